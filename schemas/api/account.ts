import { z } from 'zod'
import { Password, Role } from './session.ts'

/** One signed-in browser. */
export const SessionRow = z.strictObject({
  /** Names the session, and lets nobody in. */
  id: z.string(),
  startedAt: z.string(),
  lastSeenAt: z.string(),
  /** Address that it was last seen from. */
  address: z.string(),
  /** User-Agent header at the sign-in, cut; a browser may say anything. */
  userAgent: z.string(),
  current: z.boolean(),
})
export type SessionRow = z.infer<typeof SessionRow>

/** `GET /api/v1/account`: one's own. */
export const AccountReply = z.strictObject({
  id: z.string(),
  name: z.string(),
  role: Role,
  /** Issuer of the identity provider that signs this person in; null for an account with a password. */
  identityProvider: z.string().nullable(),
  totp: z.strictObject({
    enabled: z.boolean(),
    /** The role needs a second factor. */
    required: z.boolean(),
    recoveryCodesLeft: z.int().nonnegative(),
  }),
  sessions: z.array(SessionRow),
})
export type AccountReply = z.infer<typeof AccountReply>

/** `POST /api/v1/account/password`. Other sessions end; this one goes on. */
export const ChangePasswordRequest = z.strictObject({
  oldPassword: z.string().max(256),
  password: Password,
})
export type ChangePasswordRequest = z.infer<typeof ChangePasswordRequest>

/** `POST /api/v1/account/totp/begin`. The secret is shown once and waits ten minutes for its first code. */
export const BeginTotpRequest = z.strictObject({ password: z.string().max(256) })
export type BeginTotpRequest = z.infer<typeof BeginTotpRequest>
export const BeginTotpReply = z.strictObject({
  /** `otpauth://totp/…`, for a QR code. */
  uri: z.string(),
  /** Base32, for typing it. */
  secret: z.string(),
})
export type BeginTotpReply = z.infer<typeof BeginTotpReply>

/** `POST /api/v1/account/totp`: the first code. Other sessions end. */
export const EnrolTotpRequest = z.strictObject({ code: z.string().max(64) })
export type EnrolTotpRequest = z.infer<typeof EnrolTotpRequest>
/** Shown once; each stands in for the authenticator once. */
export const RecoveryCodes = z.strictObject({ recoveryCodes: z.array(z.string()) })
export type RecoveryCodes = z.infer<typeof RecoveryCodes>

/** `POST /api/v1/account/totp/remove`. */
export const RemoveTotpRequest = z.strictObject({
  password: z.string().max(256),
  code: z.string().max(64),
})
export type RemoveTotpRequest = z.infer<typeof RemoveTotpRequest>
