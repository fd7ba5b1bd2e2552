import type { z } from 'zod'
import { SealtrailError } from '../../schemas/errors.ts'
import type { AdminAction, AdminDetails } from './system-state.ts'

/** One administrative change, as it stands on the record. */
export interface AdminCommand<A extends AdminAction> {
  readonly action: A
  /** Id of what is changed. */
  readonly target: string
  /** Version of the target after the change. */
  readonly version: number
  /** `user:<id>`, `operator`, `identity_provider` or `sealtrail`. */
  readonly actor: string
  readonly details: AdminDetails<A>
  /** Called right before the commit, against the newest fold; throws to abort, and nothing is written. */
  readonly check?: () => void
}

/** Puts a command on the record; resolves when it is durable and folded. */
export type RunCommand = <A extends AdminAction>(command: AdminCommand<A>) => Promise<void>

/** @throws SealtrailError `NOT_FOUND`, `VERSION_CONFLICT` */
export function expectVersion<T extends { readonly version: number }>(
  target: T | undefined,
  expected: number,
  what: string,
): T {
  if (target === undefined) throw new SealtrailError('NOT_FOUND', `there is no such ${what}`)
  if (target.version !== expected) {
    throw new SealtrailError(
      'VERSION_CONFLICT',
      `this ${what} is at version ${target.version}, not ${expected}`,
      {
        hint: 'Load it again and repeat the change.',
      },
    )
  }
  return target
}

/** @throws SealtrailError `REQUEST_INVALID` */
export function checked<T>(schema: z.ZodType<T>, value: unknown, field: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new SealtrailError(
    'REQUEST_INVALID',
    `${field}: ${parsed.error.issues[0]?.message ?? 'not valid'}`,
  )
}
