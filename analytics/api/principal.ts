import type { Role } from '../../schemas/api/session.ts'
import type { SealedGroup } from '../../schemas/event/fields.ts'
import { sealedGroups } from '../../schemas/event/fields.ts'

/**
 * Who asks. `operator` is whoever may open the control socket of the data directory, i.e. the operating-system user
 * that runs Sealtrail; it needs no password because it could read the files anyway.
 */
export type Principal =
  | {
      readonly kind: 'user'
      readonly id: string
      readonly name: string
      readonly role: Role
      readonly logId: string
    }
  | { readonly kind: 'operator'; readonly logId: string }

/** The principal as it stands on the record (`admin.actor`). */
export function actorOf(principal: Principal): string {
  return principal.kind === 'user' ? `user:${principal.id}` : 'operator'
}

export function isAdmin(principal: Principal): boolean {
  return principal.kind === 'operator' || principal.role === 'admin'
}

const metadataGroups: ReadonlySet<SealedGroup> = new Set(['identity', 'addresses'])
const allGroups: ReadonlySet<SealedGroup> = new Set(sealedGroups)

/** Sealed groups that a principal may see. Viewers see metadata only: no arguments, results, texts or raw records. */
export function permittedGroups(principal: Principal): ReadonlySet<SealedGroup> {
  if (principal.kind === 'operator') return allGroups
  return principal.role === 'viewer' ? metadataGroups : allGroups
}
