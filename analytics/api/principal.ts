import { Role } from '../../schemas/api/session.ts'
import type { SealedGroup } from '../../schemas/event/fields.ts'
import { sealedGroups } from '../../schemas/event/fields.ts'

/**
 * Who asks. `operator` is whoever may open the control socket of the data directory, i.e. the operating-system user
 * that runs Sealtrail; it needs no password because it could read the files anyway.
 */
export type Principal = UserPrincipal | { readonly kind: 'operator'; readonly logId: string }

/** A signed-in person. */
export interface UserPrincipal {
  readonly kind: 'user'
  readonly id: string
  readonly name: string
  readonly role: Role
  /** The one log that this person reads. */
  readonly logId: string
  readonly sessionId: string
  /** The role needs a second factor that is not set up yet: nothing but the account answers. */
  readonly mustEnrol: boolean
}

/** Sets of roles for `config.roles` of routes; docs/roles.md shows them as a table. */
export const anyRole: readonly Role[] = Role.options
/** Whoever sees what is in a call: findings quote arguments. */
export const contentRoles: readonly Role[] = ['analyst', 'auditor', 'admin']
/** Whoever takes records away, and reads what administrators did. */
export const auditRoles: readonly Role[] = ['auditor', 'admin']
export const adminRole: readonly Role[] = ['admin']

/** The principal as it stands on the record (`admin.actor`). */
export function actorOf(principal: Principal): string {
  return principal.kind === 'user' ? `user:${principal.id}` : 'operator'
}

export function hasRole(principal: Principal, roles: readonly Role[]): boolean {
  return principal.kind === 'operator' || roles.includes(principal.role)
}

const metadataGroups: ReadonlySet<SealedGroup> = new Set(['identity', 'addresses'])
const allGroups: ReadonlySet<SealedGroup> = new Set(sealedGroups)

/** Sealed groups that a principal may see. Viewers see metadata only: no arguments, results, texts or raw records. */
export function permittedGroups(principal: Principal): ReadonlySet<SealedGroup> {
  if (principal.kind === 'operator') return allGroups
  return principal.role === 'viewer' ? metadataGroups : allGroups
}
