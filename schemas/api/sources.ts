import { z } from 'zod'
import { CertificateBinding } from '../source-certificate.ts'
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

/** `POST /api/v1/sources/:id/certificate`. Null frees the source of its certificate. 409 VERSION_CONFLICT. */
export const SetSourceCertificateRequest = z.strictObject({
  certificate: CertificateBinding.nullable(),
  expectedVersion: z.int().nonnegative(),
})
export type SetSourceCertificateRequest = z.infer<typeof SetSourceCertificateRequest>

const count = z.int().nonnegative()

/** Since this process began: what is not on the record. Null for a source that sent nothing since. */
const SinceStart = z.strictObject({
  requests: count,
  records: count,
  /** Records that had come before, and were answered as such. */
  duplicates: count,
  /** Requests that were refused because of the quota. */
  refused: count,
  rejectedBytesToday: count,
  /** Unmapped and rejected records of today of which only hash and size were kept. */
  hashedToday: count,
  /** Means over about a minute. */
  eventsPerSecond: z.number().nonnegative(),
  bytesPerSecond: z.number().nonnegative(),
})

export const SourceRow = z.strictObject({
  id: z.string(),
  name: z.string(),
  createdAt: z.string(),
  revokedAt: z.string().nullable(),
  /** Expected version for commands on this key. */
  version: z.int(),
  /**
   * `active`: an event within five minutes, or a stream that is open. `silent`: a collector opened a stream, did not
   * close it, and is not heard any more. `idle`: nothing lately, and nobody promised anything.
   */
  state: z.enum(['active', 'silent', 'idle', 'never', 'revoked']),
  /** Recorded time, as every time that is not the claim of a source. */
  lastEventAt: z.string().nullable(),
  /** Over the last five minutes. */
  eventsPerMinute: z.number().nonnegative(),
  /** Over the last 24 hours. */
  usualEventsPerMinute: z.number().nonnegative(),
  /**
   * Recorded less occurred time of the last hour: the smallest difference is what the clocks differ by, and the way at
   * its best; the median beyond it is how long records usually take. Null where the source told no time.
   */
  skewMs: z.int().nullable(),
  lagMs: count.nullable(),
  mapped: count,
  unmapped: count,
  rejected: count,
  gaps: count,
  /** Records that the gaps stand for, less those that came late. */
  missing: count,
  silences: count,
  /** Records whose `source.prev` is not the chain value of the one before: something was put in, taken out or changed. */
  chainBreaks: count,
  /** Records with the id of an earlier one and other content. */
  conflicts: count,
  /** Who numbers: `collector` proves completeness from the source on, `receiver` only the last leg. */
  numbering: z.enum(['collector', 'receiver', 'both']).nullable(),
  lastEpoch: z.string().nullable(),
  lastSeq: count.nullable(),
  openStreams: count,
  sinceStart: SinceStart.nullable(),
  quota: SourceQuota,
  /** Expected version for `POST /api/v1/sources/:id/quota`. */
  quotaVersion: count,
  /** Client certificate that it must show. */
  certificate: CertificateBinding.nullable(),
  /** Expected version for `POST /api/v1/sources/:id/certificate`. */
  certificateVersion: count,
})
export type SourceRow = z.infer<typeof SourceRow>

/** `GET /api/v1/sources/:id`. */
export const SourceDetailReply = z.strictObject({
  source: SourceRow,
  /** Events of each of the last 24 hours, oldest first. */
  hours: z.array(z.strictObject({ from: z.string(), events: count })),
  /** What was said of its streams, newest first. */
  signals: z.array(
    z.strictObject({
      leafIndex: count,
      recordedAt: z.string(),
      signal: z.string(),
      epoch: z.string().nullable(),
      missing: count.nullable(),
      note: z.string().nullable(),
    }),
  ),
  /** Why records are unmapped or rejected, most frequent first, each with the newest one. */
  reasons: z.array(
    z.strictObject({
      disposition: z.string(),
      reason: z.string(),
      count,
      newestAt: z.string(),
      newestEventId: z.string(),
    }),
  ),
  /** Streams of collectors, those heard last first. */
  epochs: z.array(
    z.strictObject({
      epoch: z.string(),
      lastSeq: count,
      events: count,
      missing: count,
      lastAt: z.string(),
      lastSignal: z.string().nullable(),
    }),
  ),
})
export type SourceDetailReply = z.infer<typeof SourceDetailReply>

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
export const CreateSourceKeyRequest = z.strictObject({
  name: SourceName,
  /** RFC 3339, when the key stops working; absent for one that does not by itself. */
  expiresAt: z.string().max(40).optional(),
})
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

/** `POST /api/v1/source-keys/:id/rotate`: a new secret and key; the former ones work until the overlap is over. */
export const RotateSourceKeyRequest = z.strictObject({
  overlapSeconds: z
    .int()
    .min(0)
    .max(90 * 86_400)
    .default(86_400),
  expiresAt: z.string().max(40).optional(),
  expectedVersion: z.int(),
})
export type RotateSourceKeyRequest = z.infer<typeof RotateSourceKeyRequest>

/** One source and its keys, newest first. */
export const SourceKeyRow = z.strictObject({
  id: z.string(),
  name: z.string(),
  revokedAt: z.string().nullable(),
  /** Expected version for commands on this key. */
  version: z.int(),
  keys: z.array(
    z.strictObject({
      /** Beginning of the SHA-256 of the key: names it, and lets nobody in. */
      fingerprint: z.string(),
      /** `ending`: a newer one was made, and this one works until `expiresAt`. */
      state: z.enum(['current', 'ending', 'expired', 'revoked']),
      createdAt: z.string(),
      expiresAt: z.string().nullable(),
      /** null: not since this process began. */
      lastUsedAt: z.string().nullable(),
    }),
  ),
})
export type SourceKeyRow = z.infer<typeof SourceKeyRow>

/** `GET /api/v1/source-keys`. */
export const SourceKeysReply = z.strictObject({ sources: z.array(SourceKeyRow) })
export type SourceKeysReply = z.infer<typeof SourceKeysReply>
