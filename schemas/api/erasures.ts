import { z } from 'zod'
import { ErasureException, ErasureGround, Subject } from '../erasure.ts'

/** What is to go: everything of up to eight names of one person or system, or the sealed content of one event. */
export const ErasureTarget = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('subject'), subjects: z.array(Subject).min(1).max(8) }),
  z.strictObject({ kind: z.literal('event'), eventId: z.uuid() }),
])
export type ErasureTarget = z.infer<typeof ErasureTarget>

/** `POST /api/v1/erasures/preview`. NDJSON: progress lines, then one `preview` or `problem`. Nothing is changed. */
export const ErasurePreviewRequest = z.strictObject({ target: ErasureTarget })
export type ErasurePreviewRequest = z.infer<typeof ErasurePreviewRequest>

/**
 * `POST /api/v1/erasures`. NDJSON: progress lines, then one `result` or `problem`. 404 when nothing is stored of the
 * subject; 403 for Sealtrail's own record.
 */
export const ErasureRequest = z.strictObject({
  target: ErasureTarget,
  ground: ErasureGround,
  /** Number of the request elsewhere; never a name, because it stays. */
  reference: z.string().max(64).exactOptional(),
  approver: z.string().min(1).max(64).exactOptional(),
})
export type ErasureRequest = z.infer<typeof ErasureRequest>

/** `POST /api/v1/erasures/refusals`: puts on the record that a request was refused, and by which exception. */
export const ErasureRefusalRequest = z.strictObject({
  exception: ErasureException,
  reference: z.string().min(1).max(64),
})
export type ErasureRefusalRequest = z.infer<typeof ErasureRefusalRequest>

export const ErasurePreview = z.strictObject({
  logId: z.string(),
  /** Events whose sealed content goes. */
  events: z.int().nonnegative(),
  /** By month of when they were recorded (UTC), ascending. */
  months: z.array(z.strictObject({ month: z.string(), events: z.int().positive() })),
  /** Texts of Sealtrail's own that go with them, by class: findings, access and administration that name the subject. */
  derived: z.array(z.strictObject({ class: z.string(), events: z.int().positive() })),
})
export type ErasurePreview = z.infer<typeof ErasurePreview>

export const ErasureProgress = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('progress'),
    stage: z.string(),
    done: z.int(),
    total: z.int(),
  }),
  z.strictObject({ kind: z.literal('preview'), preview: ErasurePreview }),
  z.strictObject({ kind: z.literal('result'), id: z.string(), leafIndex: z.int() }),
  z.strictObject({ kind: z.literal('problem'), code: z.string(), detail: z.string() }),
])
export type ErasureProgress = z.infer<typeof ErasureProgress>

export const ErasureRow = z.strictObject({
  id: z.string(),
  logId: z.string(),
  kind: z.enum(['subject', 'event', 'refusal']),
  /** `running` until every place of the register of derived data is clean; goes on after a restart. */
  state: z.enum(['running', 'done', 'refused']),
  ground: ErasureGround.nullable(),
  exception: ErasureException.nullable(),
  reference: z.string().nullable(),
  approver: z.string().nullable(),
  actor: z.string(),
  events: z.int().nonnegative(),
  /** Texts of Sealtrail's own that went too. */
  derived: z.int().nonnegative(),
  requestedAt: z.string(),
  completedAt: z.string().nullable(),
  /** Leaf of the log that says so. */
  leafIndex: z.int().nullable(),
})
export type ErasureRow = z.infer<typeof ErasureRow>

/** `GET /api/v1/erasures`, newest first. */
export const ErasuresReply = z.strictObject({ erasures: z.array(ErasureRow) })
export type ErasuresReply = z.infer<typeof ErasuresReply>
