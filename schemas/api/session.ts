import { z } from 'zod'

export const Role = z.enum(['viewer', 'analyst', 'auditor', 'admin'])
export type Role = z.infer<typeof Role>

export const Password = z.string().min(12).max(256)
export const UserName = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[a-zA-Z0-9._@-]+$/)

/** `GET /api/v1/setup`: whether the one-time link still waits for its first admin. */
export const SetupStatus = z.strictObject({ needsSetup: z.boolean() })
export type SetupStatus = z.infer<typeof SetupStatus>

/** `POST /api/v1/setup`: makes the first admin with the token of the one-time link, and logs in. */
export const SetupRequest = z.strictObject({
  token: z.string().max(256),
  name: UserName,
  password: Password,
})
export type SetupRequest = z.infer<typeof SetupRequest>

/** `POST /api/v1/login`. `POST /api/v1/logout` takes and returns an empty object. */
export const LoginRequest = z.strictObject({
  name: z.string().max(64),
  password: z.string().max(256),
})
export type LoginRequest = z.infer<typeof LoginRequest>

/** `GET /api/v1/me`, and the reply of setup and login. 401 without a session. */
export const Me = z.strictObject({
  user: z.strictObject({ id: z.string(), name: z.string(), role: Role }),
  /** The log (tenant) that this person reads. */
  logId: z.string(),
})
export type Me = z.infer<typeof Me>
