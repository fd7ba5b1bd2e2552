import { z } from 'zod'
import type { SourceQuota as Quota } from '../source-quota.ts'

/** How much a source may send, see schemas/source-quota.ts. */
export const SourceQuota: z.ZodType<Quota> = z.strictObject({
  eventsPerSecond: z.int().min(1).max(10_000_000),
  bytesPerSecond: z
    .int()
    .min(1024)
    .max(2 ** 40),
  rejectedBytesPerDay: z
    .int()
    .min(0)
    .max(2 ** 50),
})

/** `POST /api/v1/sources/:id/quota`. Null takes the own quota away. 409 VERSION_CONFLICT. */
export const SetSourceQuotaRequest = z.strictObject({
  quota: SourceQuota.nullable(),
  expectedVersion: z.int().nonnegative(),
})
export type SetSourceQuotaRequest = z.infer<typeof SetSourceQuotaRequest>

export const SourceRow = z.strictObject({
  id: z.string(),
  name: z.string(),
  createdAt: z.string(),
  revokedAt: z.string().nullable(),
  /** Expected version for commands on this key. */
  version: z.int(),
  lastEventAt: z.string().nullable(),
  mapped: z.int().nonnegative(),
  unmapped: z.int().nonnegative(),
  rejected: z.int().nonnegative(),
  gaps: z.int().nonnegative(),
})
export type SourceRow = z.infer<typeof SourceRow>

/** `GET /api/v1/sources`. */
export const SourcesReply = z.strictObject({ sources: z.array(SourceRow) })
export type SourcesReply = z.infer<typeof SourcesReply>

/** Text that has a canonical form: without one the record would be kept as rejected, and the source be nowhere. */
const SourceName = z
  .string()
  .min(1)
  .max(64)
  .refine((name) => name.isWellFormed(), 'is not well-formed text')

/** `POST /api/v1/source-keys`. */
export const CreateSourceKeyRequest = z.strictObject({ name: SourceName })
export type CreateSourceKeyRequest = z.infer<typeof CreateSourceKeyRequest>

/** Shown once. `key` is the Bearer for foreign senders; `secret` is for Sealtrail's collectors, which derive the key. */
export const CreateSourceKeyReply = z.strictObject({
  id: z.string(),
  key: z.string(),
  secret: z.string(),
})
export type CreateSourceKeyReply = z.infer<typeof CreateSourceKeyReply>

/** `POST /api/v1/source-keys/:id/revoke`. 409 VERSION_CONFLICT when somebody else changed it first. */
export const RevokeSourceKeyRequest = z.strictObject({ expectedVersion: z.int() })
export type RevokeSourceKeyRequest = z.infer<typeof RevokeSourceKeyRequest>
