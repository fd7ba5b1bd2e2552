import { z } from 'zod'
import { RedactionPolicy } from '../../schemas/api/redaction.ts'
import { Role } from '../../schemas/api/session.ts'
import { SourceQuota } from '../../schemas/api/sources.ts'
import { ErasureDetails, ErasureException, erasureActions } from '../../schemas/erasure.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import { timestampFromMs, timestampToMs } from '../../schemas/event/timestamp.ts'
import { CertificateBinding } from '../../schemas/source-certificate.ts'

const Link = z.strictObject({ tokenSha256: z.string(), expiresAt: z.string() })

/** How somebody came in; `confirmation` proves the second factor again for a change of the account. */
export const SignInMethod = z.enum(['password', 'setup_link', 'identity_provider', 'confirmation'])
export type SignInMethod = z.infer<typeof SignInMethod>

/**
 * Details of each administrative action. They are sealed (group `text`) and never projected: hashes and secrets stand
 * neither in a clear leaf nor in a table.
 */
export const adminDetails = {
  'setup_link.create': z.strictObject({
    tokenSha256: z.string(),
    expiresAt: z.string().exactOptional(),
  }),
  'user.create': z.strictObject({
    name: z.string(),
    role: Role,
    passwordHash: z.string().exactOptional(),
    /** Set when the one-time link made this user. */
    setupTokenSha256: z.string().exactOptional(),
    /** Log that this person reads; absent for that of the deployment. */
    logId: z.string().exactOptional(),
    /** One-time link with which the person chooses a password. */
    link: Link.exactOptional(),
    /** The person at an identity provider: matched by both, never by a name. */
    federated: z.strictObject({ issuer: z.string(), subject: z.string() }).exactOptional(),
  }),
  'user.password': z.strictObject({ passwordHash: z.string() }),
  'user.link': Link,
  'user.role': z.strictObject({ role: Role }),
  'user.disable': z.strictObject({}),
  'user.enable': z.strictObject({}),
  'user.totp': z.strictObject({
    /** Hex. */
    secret: z.string(),
    /** Step of the code that confirmed it: it is used up. */
    step: z.int(),
    recoverySha256: z.array(z.string()),
  }),
  'user.totp_remove': z.strictObject({}),
  'user.sign_in': z.strictObject({
    method: SignInMethod,
    /** What was used up by it. */
    totpStep: z.int().exactOptional(),
    recoverySha256: z.string().exactOptional(),
  }),
  'settings.sign_in': z.strictObject({ totpRoles: z.array(Role) }),
  'source_key.create': z.strictObject({
    name: z.string(),
    logId: z.string(),
    keySha256: z.string(),
    /** When the key stops working by itself. */
    expiresAt: z.string().exactOptional(),
  }),
  'source_key.rotate': z.strictObject({
    keySha256: z.string(),
    /** Until then the keys before work too. */
    overlapUntil: z.string(),
    expiresAt: z.string().exactOptional(),
  }),
  'source_key.revoke': z.strictObject({}),
  /** Null takes the policy of the target away. */
  'redaction_policy.set': z.strictObject({ policy: RedactionPolicy.nullable() }),
  'source_quota.set': z.strictObject({ quota: SourceQuota.nullable() }),
  'source_certificate.set': z.strictObject({ certificate: CertificateBinding.nullable() }),
  /** Everything that carrying it out needs, so that it goes on after a restart. */
  'erasure.create': ErasureDetails.extend({ logId: z.string(), action: z.enum(erasureActions) }),
  'erasure.complete': z.strictObject({ leafIndex: z.int().nonnegative() }),
  'erasure.refuse': z.strictObject({
    logId: z.string(),
    exception: ErasureException,
    reference: z.string().max(64),
  }),
} as const

export type AdminAction = keyof typeof adminDetails
export type AdminDetails<A extends AdminAction> = z.infer<(typeof adminDetails)[A]>

/** Whether the fold goes by an event. */
export function isAdminAction(event: RecordedEvent): boolean {
  return (
    event['event.class'] === 'admin' && Object.hasOwn(adminDetails, event['admin.action'] ?? '')
  )
}

export interface OneTimeLink {
  readonly tokenSha256: string
  readonly expiresAt: string
}

/** A second factor. */
export interface Totp {
  /** Hex. */
  readonly secret: string
  /** Codes of this step and of those before are used up. */
  readonly lastStep: number
  /** Recovery codes that are left. */
  readonly recoverySha256: readonly string[]
}

export interface User {
  readonly id: string
  readonly name: string
  readonly role: Role
  /** Log that this person reads; undefined for that of the deployment. */
  readonly logId: string | undefined
  /** undefined until the one-time link was used, and for people who sign in elsewhere. */
  readonly passwordHash: string | undefined
  readonly link: OneTimeLink | undefined
  readonly totp: Totp | undefined
  readonly federated: { readonly issuer: string; readonly subject: string } | undefined
  readonly disabled: boolean
  readonly createdAt: string
  readonly lastSignInAt: string | undefined
  /** Grows with each change; commands name the one they saw. */
  readonly version: number
  /** Version of the last change after which earlier sessions are over. */
  readonly sessionsSince: number
}

export interface SignInSettings {
  /** Roles that must have a second factor. */
  readonly totpRoles: readonly Role[]
  readonly version: number
}

/** One key of a source: there are several while a rotation overlaps. */
export interface SourceCredential {
  readonly keySha256: string
  readonly createdAt: string
  /** When it stops working; undefined for one that does not by itself. */
  readonly expiresAt: string | undefined
}

export interface SourceKey {
  readonly id: string
  readonly name: string
  readonly logId: string
  /** Those that are left, newest last; the last three, and the others stopped working long ago. */
  readonly credentials: readonly SourceCredential[]
  readonly createdAt: string
  readonly revokedAt: string | undefined
  readonly version: number
}

/** What an admin set for a source or for all sources of a log. */
export interface SetSourceQuota {
  /** Null where it was taken away again. */
  readonly quota: z.infer<typeof SourceQuota> | null
  readonly version: number
}

export interface SetSourceCertificate {
  /** Null where the source is bound to none any more. */
  readonly certificate: CertificateBinding | null
  readonly version: number
}

export interface SetRedactionPolicy {
  readonly policy: z.infer<typeof RedactionPolicy> | null
  readonly version: number
}
/** Keys of a source that are remembered: with each rotation beyond it the oldest stops working, overlap or not. */
const maxCredentials = 3

/** How long a setup link works that says nothing about it. */
export const linkLifetimeMs = 24 * 60 * 60_000

/** An erasure, or a refused one, of the log that it names. */
export interface Erasure {
  readonly id: string
  readonly actor: string
  readonly requestedAt: string
  readonly request:
    | z.infer<(typeof adminDetails)['erasure.create']>
    | z.infer<(typeof adminDetails)['erasure.refuse']>
  /** Set when every place was clean. */
  readonly completed: { readonly at: string; readonly leafIndex: number } | undefined
}

/** The fold of the `_system` log: the only source of authentication. Pure; same leaves, same state. */
export class SystemState {
  readonly users = new Map<string, User>()
  readonly sourceKeys = new Map<string, SourceKey>()
  /** By source id, or `default/<log id>`. */
  readonly redactionPolicies = new Map<string, SetRedactionPolicy>()
  /** By source. */
  readonly sourceQuotas = new Map<string, SetSourceQuota>()
  /** By source. */
  readonly sourceCertificates = new Map<string, SetSourceCertificate>()
  signIn: SignInSettings = { totpRoles: [], version: 0 }
  /** The newest one-time link; undefined once it was used, or not needed because an admin came otherwise. */
  setupLink: OneTimeLink | undefined
  readonly erasures = new Map<string, Erasure>()

  /** Takes over one event of class `admin`. Events of other classes, and actions of later versions, are passed over. */
  apply(event: RecordedEvent): void {
    const id = event['admin.target']
    if (event['event.class'] !== 'admin' || id === undefined) return
    const details = event['admin.details']
    const version = event['admin.version'] ?? 1
    const at = event['time.recorded']
    const action = event['admin.action']
    if (action?.startsWith('user.') === true && action !== 'user.create') {
      this.changeUser(id, action, details, version, at)
      return
    }
    switch (action) {
      case 'erasure.create':
      case 'erasure.refuse': {
        const request = adminDetails[action].parse(details)
        const actor = event['admin.actor'] ?? 'unknown'
        this.erasures.set(id, { id, actor, requestedAt: at, request, completed: undefined })
        return
      }
      case 'erasure.complete': {
        const erasure = this.erasures.get(id)
        const { leafIndex } = adminDetails['erasure.complete'].parse(details)
        if (erasure !== undefined)
          this.erasures.set(id, { ...erasure, completed: { at, leafIndex } })
        return
      }
      case 'setup_link.create': {
        const { tokenSha256, expiresAt } = adminDetails['setup_link.create'].parse(details)
        const unsaid = () => timestampFromMs(timestampToMs(at) + linkLifetimeMs)
        this.setupLink = { tokenSha256, expiresAt: expiresAt ?? unsaid() }
        return
      }
      case 'user.create': {
        const { setupTokenSha256, ...given } = adminDetails['user.create'].parse(details)
        this.users.set(id, {
          id,
          name: given.name,
          role: given.role,
          logId: given.logId,
          passwordHash: given.passwordHash,
          link: given.link,
          totp: undefined,
          federated: given.federated,
          disabled: false,
          createdAt: at,
          lastSignInAt: undefined,
          version,
          sessionsSince: version,
        })
        const isAdmin = given.role === 'admin' && given.passwordHash !== undefined
        if (setupTokenSha256 !== undefined || isAdmin) this.setupLink = undefined
        return
      }
      case 'settings.sign_in':
        this.signIn = { ...adminDetails['settings.sign_in'].parse(details), version }
        return
      case 'source_key.create': {
        const { name, logId, keySha256, expiresAt } =
          adminDetails['source_key.create'].parse(details)
        this.sourceKeys.set(id, {
          id,
          name,
          logId,
          credentials: [{ keySha256, createdAt: at, expiresAt }],
          createdAt: at,
          revokedAt: undefined,
          version,
        })
        return
      }
      case 'source_key.rotate': {
        const key = this.sourceKeys.get(id)
        const { keySha256, overlapUntil, expiresAt } =
          adminDetails['source_key.rotate'].parse(details)
        if (key === undefined) return
        // Timestamps are of one form: they compare as text.
        const former = key.credentials.map((each) => ({
          ...each,
          expiresAt:
            each.expiresAt !== undefined && each.expiresAt < overlapUntil
              ? each.expiresAt
              : overlapUntil,
        }))
        const credentials = [...former, { keySha256, createdAt: at, expiresAt }].slice(
          -maxCredentials,
        )
        this.sourceKeys.set(id, { ...key, credentials, version })
        return
      }
      case 'source_key.revoke': {
        const key = this.sourceKeys.get(id)
        if (key !== undefined) {
          const revokedAt = key.revokedAt ?? at
          this.sourceKeys.set(id, { ...key, revokedAt, version })
        }
        return
      }
      case 'source_quota.set': {
        const { quota } = adminDetails['source_quota.set'].parse(details)
        this.sourceQuotas.set(id, { quota, version })
        return
      }
      case 'source_certificate.set': {
        const { certificate } = adminDetails['source_certificate.set'].parse(details)
        this.sourceCertificates.set(id, { certificate, version })
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

  private changeUser(
    id: string,
    action: string,
    details: unknown,
    version: number,
    at: string,
  ): void {
    const user = this.users.get(id)
    if (user === undefined) return
    const change = (changed: Partial<User>) =>
      this.users.set(id, { ...user, ...changed, version, sessionsSince: user.sessionsSince })
    /** Whoever is signed in must sign in again. */
    const changeAndEndSessions = (changed: Partial<User>) =>
      this.users.set(id, { ...user, ...changed, version, sessionsSince: version })
    switch (action) {
      case 'user.password': {
        const { passwordHash } = adminDetails['user.password'].parse(details)
        changeAndEndSessions({ passwordHash, link: undefined })
        return
      }
      case 'user.link':
        change({ link: adminDetails['user.link'].parse(details) })
        return
      case 'user.role':
        changeAndEndSessions({ role: adminDetails['user.role'].parse(details).role })
        return
      case 'user.disable':
        changeAndEndSessions({ disabled: true, link: undefined })
        return
      case 'user.enable':
        changeAndEndSessions({ disabled: false })
        return
      case 'user.totp': {
        const { secret, step, recoverySha256 } = adminDetails['user.totp'].parse(details)
        changeAndEndSessions({ totp: { secret, lastStep: step, recoverySha256 } })
        return
      }
      case 'user.totp_remove':
        changeAndEndSessions({ totp: undefined })
        return
      case 'user.sign_in': {
        const { method, totpStep, recoverySha256 } = adminDetails['user.sign_in'].parse(details)
        const totp = user.totp && {
          ...user.totp,
          lastStep: Math.max(user.totp.lastStep, totpStep ?? 0),
          recoverySha256: user.totp.recoverySha256.filter((each) => each !== recoverySha256),
        }
        const lastSignInAt = method === 'confirmation' ? user.lastSignInAt : at
        this.users.set(id, { ...user, totp, lastSignInAt })
      }
    }
  }
}
