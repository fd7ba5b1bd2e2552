import { z } from 'zod'
import { RedactionPolicy } from '../../schemas/api/redaction.ts'
import { Role } from '../../schemas/api/session.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'

/** Details of each administrative action. They are sealed (group `text`): hashes never stand in a clear leaf. */
export const adminDetails = {
  'setup_link.create': z.strictObject({ tokenSha256: z.string() }),
  'user.create': z.strictObject({
    name: z.string(),
    role: Role,
    passwordHash: z.string(),
    /** Set when the one-time link made this user. */
    setupTokenSha256: z.string().exactOptional(),
  }),
  'user.password': z.strictObject({ passwordHash: z.string() }),
  'user.disable': z.strictObject({}),
  'source_key.create': z.strictObject({
    name: z.string(),
    logId: z.string(),
    keySha256: z.string(),
  }),
  'source_key.revoke': z.strictObject({}),
  /** Null takes the policy of the target away. */
  'redaction_policy.set': z.strictObject({ policy: RedactionPolicy.nullable() }),
} as const

export type AdminAction = keyof typeof adminDetails

/** Whether the fold goes by an event. */
export function isAdminAction(event: RecordedEvent): boolean {
  return (
    event['event.class'] === 'admin' && Object.hasOwn(adminDetails, event['admin.action'] ?? '')
  )
}

export interface User {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly passwordHash: string
  readonly disabled: boolean
  /** Grows with each change; commands name the one they saw. */
  readonly version: number
}

export interface SourceKey {
  readonly id: string
  readonly name: string
  readonly logId: string
  readonly keySha256: string
  readonly createdAt: string
  readonly revokedAt: string | undefined
  readonly version: number
}

/** What an admin set for a source or for all sources of a log. */
export interface SetRedactionPolicy {
  readonly policy: z.infer<typeof RedactionPolicy> | null
  readonly version: number
}

/** The fold of the `_system` log: the only source of authentication. Pure; same leaves, same state. */
export class SystemState {
  readonly users = new Map<string, User>()
  readonly sourceKeys = new Map<string, SourceKey>()
  /** By source id, or `default/<log id>`. */
  readonly redactionPolicies = new Map<string, SetRedactionPolicy>()
  /** SHA-256 of the newest one-time link; undefined once it was used, or not needed because an admin came otherwise. */
  setupTokenSha256: string | undefined

  /** Takes over one event of class `admin`. Events of other classes, and actions of later versions, are passed over. */
  apply(event: RecordedEvent): void {
    const id = event['admin.target']
    if (event['event.class'] !== 'admin' || id === undefined) return
    const details = event['admin.details']
    const version = event['admin.version'] ?? 1
    switch (event['admin.action']) {
      case 'setup_link.create':
        this.setupTokenSha256 = adminDetails['setup_link.create'].parse(details).tokenSha256
        return
      case 'user.create': {
        const { name, role, passwordHash, setupTokenSha256 } =
          adminDetails['user.create'].parse(details)
        this.users.set(id, { id, name, role, passwordHash, disabled: false, version })
        if (setupTokenSha256 !== undefined || role === 'admin') this.setupTokenSha256 = undefined
        return
      }
      case 'user.password': {
        const user = this.users.get(id)
        const { passwordHash } = adminDetails['user.password'].parse(details)
        if (user !== undefined) this.users.set(id, { ...user, passwordHash, version })
        return
      }
      case 'user.disable': {
        const user = this.users.get(id)
        if (user !== undefined) this.users.set(id, { ...user, disabled: true, version })
        return
      }
      case 'source_key.create': {
        const { name, logId, keySha256 } = adminDetails['source_key.create'].parse(details)
        const createdAt = event['time.recorded']
        this.sourceKeys.set(id, {
          id,
          name,
          logId,
          keySha256,
          createdAt,
          revokedAt: undefined,
          version,
        })
        return
      }
      case 'source_key.revoke': {
        const key = this.sourceKeys.get(id)
        if (key !== undefined) {
          const revokedAt = key.revokedAt ?? event['time.recorded']
          this.sourceKeys.set(id, { ...key, revokedAt, version })
        }
        return
      }
      case 'redaction_policy.set': {
        const { policy } = adminDetails['redaction_policy.set'].parse(details)
        this.redactionPolicies.set(id, { policy, version })
      }
    }
  }

  userByName(name: string): User | undefined {
    const wanted = name.toLowerCase()
    return [...this.users.values()].find((user) => user.name.toLowerCase() === wanted)
  }
}
