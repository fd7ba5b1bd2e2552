import { z } from 'zod'
import { Role, UserName } from './session.ts'

export const UserRow = z.strictObject({
  id: z.string(),
  name: z.string(),
  role: Role,
  /** `invited`: the one-time link waits for its first use. */
  state: z.enum(['active', 'invited', 'disabled']),
  /** Issuer of the identity provider that signs this person in; null for an account with a password. */
  identityProvider: z.string().nullable(),
  /** Has a second factor. */
  totp: z.boolean(),
  createdAt: z.string(),
  lastSignInAt: z.string().nullable(),
  /** When the one-time link that waits is over; null where none waits. */
  linkExpiresAt: z.string().nullable(),
  /** Sessions that are open now. */
  sessions: z.int().nonnegative(),
  /** Expected version for commands on this user. */
  version: z.int(),
})
export type UserRow = z.infer<typeof UserRow>

/** `GET /api/v1/users`. */
export const UsersReply = z.strictObject({
  users: z.array(UserRow),
  signIn: z.strictObject({
    /** Roles that must have a second factor. */
    totpRoles: z.array(Role),
    version: z.int(),
  }),
})
export type UsersReply = z.infer<typeof UsersReply>

/** `POST /api/v1/users`. */
export const CreateUserRequest = z.strictObject({
  name: UserName,
  role: Role,
  /** Log that this person reads. The operator on the machine alone may name another than the deployment's. */
  logId: z.string().max(64).optional(),
})
export type CreateUserRequest = z.infer<typeof CreateUserRequest>

/** The token of a one-time link to `/set-password#<token>`, shown once. It works for a day. */
export const PasswordLink = z.strictObject({ user: UserRow, token: z.string() })
export type PasswordLink = z.infer<typeof PasswordLink>

/** `POST /api/v1/users/:id/{disable,enable,password-link,remove-totp,end-sessions}`. */
export const UserCommand = z.strictObject({ expectedVersion: z.int() })
export type UserCommand = z.infer<typeof UserCommand>

/** `POST /api/v1/users/:id/role`. */
export const ChangeRoleRequest = z.strictObject({ role: Role, expectedVersion: z.int() })
export type ChangeRoleRequest = z.infer<typeof ChangeRoleRequest>

/** `POST /api/v1/settings/sign-in`. */
export const SignInSettingsRequest = z.strictObject({
  totpRoles: z.array(Role).max(4),
  expectedVersion: z.int(),
})
export type SignInSettingsRequest = z.infer<typeof SignInSettingsRequest>

/** One administrative change, from the `_system` log, without any secret or hash of one. */
export const AdministrationRow = z.strictObject({
  leafIndex: z.int().nonnegative(),
  eventId: z.string(),
  recordedAt: z.string(),
  class: z.enum(['admin', 'access']),
  action: z.string(),
  /** Id and, where it is known, name of who did it. */
  actor: z.string(),
  actorName: z.string().nullable(),
  target: z.string(),
  targetName: z.string().nullable(),
  /** What of the change may be read, e.g. `role: auditor`. */
  change: z.string(),
})
export type AdministrationRow = z.infer<typeof AdministrationRow>

/** `GET /api/v1/administration`. Newest first; `before` continues below the last row. */
export const AdministrationRequest = z.strictObject({
  before: z.coerce.number().int().nonnegative().optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
})
export type AdministrationRequest = z.infer<typeof AdministrationRequest>
export const AdministrationReply = z.strictObject({
  rows: z.array(AdministrationRow),
  /** null at the beginning of the log. */
  next: z.int().nonnegative().nullable(),
})
export type AdministrationReply = z.infer<typeof AdministrationReply>
