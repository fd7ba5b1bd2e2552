import { z } from 'zod'
import { ErasureGround, erasureActions } from '../erasure.ts'
import { sealedGroups } from '../event/fields.ts'
import { EventRow } from './search.ts'

const base64 = z.string()

/** What a browser needs to check one event by itself: stored leaf bytes, openings, inclusion proof, signed checkpoint. */
export const Evidence = z.strictObject({
  logId: z.string(),
  leafIndex: z.int().nonnegative(),
  /** Leaf bytes as stored. */
  leaf: base64,
  openings: z.array(
    z.strictObject({ group: z.enum(sealedGroups), salt: base64, plaintext: z.string() }),
  ),
  /** Groups that the leaf commits to but that are not shown, and why. */
  withheld: z.array(
    z.strictObject({ group: z.enum(sealedGroups), reason: z.enum(['erased', 'not_permitted']) }),
  ),
  /** null while the leaf is durable but not yet under a signed checkpoint. */
  inclusion: z
    .strictObject({
      treeSize: z.int().positive(),
      /** RFC 6962 audit path, leaf to root. */
      hashes: z.array(base64),
      /** C2SP signed-note checkpoint of `treeSize`. */
      checkpoint: z.string(),
    })
    .nullable(),
  /** C2SP vkey of the log. A browser pins the first one it saw. */
  verifierKey: z.string(),
})
export type Evidence = z.infer<typeof Evidence>

/** `GET /api/v1/events/:eventId`. `row` is what the projection says, `evidence` what the ledger says. */
export const EventDetail = z.strictObject({
  row: EventRow,
  evidence: Evidence,
  /** Definition of the tool in force at the call, as canonical JSON; null when it was never seen. */
  definition: z
    .strictObject({
      hash: z.string(),
      json: z.string(),
      /** Event that brought this definition. */
      firstSeenEventId: z.string(),
      firstSeenAt: z.string(),
    })
    .nullable(),
  /** What closed the groups that are withheld as erased; null where nothing is, or where no erasure on the record says so. */
  erasure: z
    .strictObject({
      action: z.enum(erasureActions),
      at: z.string(),
      /** null for whoever may not read texts of the log. */
      ground: ErasureGround.nullable(),
      reference: z.string().nullable(),
      /** Leaf of the same log that records it; null until the erasure is complete. */
      leafIndex: z.int().nonnegative().nullable(),
    })
    .nullable(),
  /** Neighbours in the log of the same call, when it has several observations. */
  observations: z.array(z.strictObject({ leafIndex: z.int(), eventId: z.string() })),
})
export type EventDetail = z.infer<typeof EventDetail>

/** `GET /api/v1/events/:eventId/tlog-proof`: a proof that other programs verify. */
export const TlogProof = z.strictObject({
  leafIndex: z.int().nonnegative(),
  /** Leaf bytes as stored. */
  leaf: base64,
  /** C2SP `tlog-proof@v1`. */
  proof: z.string(),
  verifierKey: z.string(),
})
export type TlogProof = z.infer<typeof TlogProof>

/** `GET /api/v1/consistency?log=&old=&new=`: RFC 6962 consistency proof between two tree sizes. */
export const ConsistencyReply = z.strictObject({
  logId: z.string(),
  oldSize: z.int().nonnegative(),
  newSize: z.int().nonnegative(),
  hashes: z.array(base64),
})
export type ConsistencyReply = z.infer<typeof ConsistencyReply>
