import { z } from 'zod'

import { ErasureGround, erasureActions } from '../erasure.ts'
import { LogAnchoring } from './anchors.ts'

export const LogIntegrity = z.strictObject({
  logId: z.string(),
  origin: z.string(),
  verifierKey: z.string(),
  /** Leaves that are durable. */
  treeSize: z.int().nonnegative(),
  root: z.string(),
  /** Newest signed checkpoint; null before the first. */
  checkpoint: z
    .strictObject({
      size: z.int().positive(),
      root: z.string(),
      note: z.string(),
      signedAt: z.string(),
    })
    .nullable(),
  /** Leaves in the columnar store, and leaves that the detectors have passed. */
  indexed: z.int().nonnegative(),
  judged: z.int().nonnegative(),
  /** Comparison of the columnar store with the ledger. */
  projection: z.strictObject({
    state: z.enum(['equal', 'checking', 'different', 'unavailable']),
    checkedUntil: z.int().nonnegative(),
    checkedAt: z.string().nullable(),
    firstDifference: z.string().nullable(),
  }),
  anchoring: LogAnchoring,
})
export type LogIntegrity = z.infer<typeof LogIntegrity>

/** How far a rebuild of the columnar store is, in leaves of the log that it is at. */
export const RebuildState = z.strictObject({
  logId: z.string(),
  done: z.int().nonnegative(),
  total: z.int().nonnegative(),
})
export type RebuildState = z.infer<typeof RebuildState>

const RebuildResult = z.strictObject({
  kind: z.literal('result'),
  logs: z.array(
    z.strictObject({
      logId: z.string(),
      rows: z.int().nonnegative(),
      /** What differs from the ledger afterwards; null where nothing does. */
      firstDifference: z.string().nullable(),
    }),
  ),
})
export type RebuildResult = z.infer<typeof RebuildResult>

/** `POST /control/rebuild`: NDJSON, progress lines, then one line with the result or why there is none. */
export const RebuildProgress = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('progress'), ...RebuildState.shape }),
  RebuildResult,
  z.strictObject({ kind: z.literal('failed'), code: z.string(), message: z.string() }),
])
export type RebuildProgress = z.infer<typeof RebuildProgress>

/**
 * `GET /api/v1/integrity/key-rotations?log=`: how the signing key of a log changed, oldest first, each with its leaf and a
 * C2SP tlog-proof under the first checkpoint that holds it, which both keys signed. Absent until that is signed.
 */
export const KeyRotationsReply = z.strictObject({
  rotations: z.array(
    z.strictObject({
      index: z.int().nonnegative(),
      previous: z.string(),
      next: z.string(),
      /** base64 */
      leaf: z.string(),
      proof: z.string(),
    }),
  ),
})
export type KeyRotationsReply = z.infer<typeof KeyRotationsReply>

/** `GET /api/v1/integrity`. */
export const IntegrityReply = z.strictObject({
  logs: z.array(LogIntegrity),
  /** What somebody must see to now: a disk that fills up, a clock that jumped. In sentences. */
  warnings: z.array(z.string()),
  /** What this deployment cannot detect, in sentences. */
  notDetected: z.array(z.string()),
  columnar: z.enum(['ready', 'restarting']),
  /** The rebuild that runs; null when none does. */
  rebuild: RebuildState.nullable(),
  bus: z.strictObject({ kind: z.string(), lag: z.int().nonnegative() }),
  version: z.string(),
})
export type IntegrityReply = z.infer<typeof IntegrityReply>

/**
 * `POST /api/v1/integrity/verify` with {logId}: recomputes everything from stored bytes. The reply is NDJSON, one
 * object a line: progress lines, then one result line.
 */
export const VerifyProgress = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('progress'), stage: z.string(), done: z.int(), total: z.int() }),
  z.strictObject({
    kind: z.literal('result'),
    ok: z.boolean(),
    treeSize: z.int(),
    checkpoints: z.int(),
    payloads: z.int(),
    /** Payloads that are closed for good, and those of them of which no leaf says so. */
    erased: z.int(),
    erasedUnsaid: z.int(),
    /** What the log says of erasures. */
    erasures: z.array(
      z.strictObject({
        leafIndex: z.int(),
        recordedAt: z.string(),
        action: z.enum(erasureActions),
        ground: ErasureGround,
        events: z.int(),
      }),
    ),
    rows: z.int().nullable(),
    /** First thing that is wrong, named; null when ok. */
    firstProblem: z.string().nullable(),
    elapsedMs: z.number(),
  }),
])
export type VerifyProgress = z.infer<typeof VerifyProgress>
