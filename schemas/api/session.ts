import { z } from 'zod'

/**
 * `viewer` sees who did what when, but no arguments, results, texts or raw records; `analyst` sees all of it; `auditor`
 * reads everything, administration included, exports, and changes nothing; `admin` administers. docs/roles.md says
 * which route takes whom.
 */
export const Role = z.enum(['viewer', 'analyst', 'auditor', 'admin'])
export type Role = z.infer<typeof Role>

export const Password = z.string().min(12).max(256)
export const UserName = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[a-zA-Z0-9._@-]+$/)

/** `GET /api/v1/setup`: what the sign-in page must know before anybody is signed in. */
export const SetupStatus = z.strictObject({
  /** Whether the one-time link still waits for its first admin. */
  needsSetup: z.boolean(),
  /** Name of the identity provider that people may sign in with; null where there is none. */
  identityProvider: z.string().nullable(),
})
export type SetupStatus = z.infer<typeof SetupStatus>

/** `POST /api/v1/setup`: makes the first admin with the token of the one-time link, and logs in. */
export const SetupRequest = z.strictObject({
  token: z.string().max(256),
  name: UserName,
  password: Password,
})
export type SetupRequest = z.infer<typeof SetupRequest>

/**
 * `POST /api/v1/login`. 401 SECOND_FACTOR_REQUIRED when the account needs a code and none came along: ask for it, and
 * send all three.
 */
export const LoginRequest = z.strictObject({
  name: z.string().max(64),
  password: z.string().max(256),
  /** Of the authenticator, or a recovery code. */
  code: z.string().max(64).optional(),
})
export type LoginRequest = z.infer<typeof LoginRequest>

/** `POST /api/v1/logout`. */
export const LogoutReply = z.strictObject({
  /** Where to end the session at the identity provider too; null for who came by password. */
  endSessionUrl: z.string().nullable(),
})
export type LogoutReply = z.infer<typeof LogoutReply>

/** `POST /api/v1/password-links`: chooses a password with the token of a one-time link. Sign in with it then. */
export const PasswordLinkRequest = z.strictObject({
  token: z.string().max(256),
  password: Password,
})
export type PasswordLinkRequest = z.infer<typeof PasswordLinkRequest>
export const PasswordLinkReply = z.strictObject({ name: z.string() })
export type PasswordLinkReply = z.infer<typeof PasswordLinkReply>

/** `GET /api/v1/me`, and the reply of setup and login. 401 without a session. */
export const Me = z.strictObject({
  user: z.strictObject({ id: z.string(), name: z.string(), role: Role }),
  /** The log (tenant) that this person reads. */
  logId: z.string(),
  /** True while the role needs a second factor that is not set up: nothing but the account answers. */
  mustEnrol: z.boolean(),
})
export type Me = z.infer<typeof Me>
