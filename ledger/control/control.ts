import { createHash, timingSafeEqual } from 'node:crypto'
import type { z } from 'zod'
import { RedactionPolicy } from '../../schemas/api/redaction.ts'
import { Password, type Role, UserName } from '../../schemas/api/session.ts'
import { CreateSourceKeyRequest } from '../../schemas/api/sources.ts'
import { fromHex, hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import {
  defaultRedactionPolicy,
  type RedactionPolicy as Policy,
} from '../../schemas/redaction-policy.ts'
import {
  chainKeyOf,
  formatSourceSecret,
  parseSourceSecret,
  type SourceSecret,
  sourceIdOfKey,
  sourceKeyOf,
} from '../../schemas/source-key.ts'
import type { CommitObserver, LedgerReader } from '../committed.ts'
import type { Keyring } from '../keyring.ts'
import type { LedgerAppender } from '../ledger-appender.ts'
import { checkLogId, systemLogId } from '../log-id.ts'
import type { PasswordHasher } from './password-hash.ts'
import {
  type AdminAction,
  type adminDetails,
  isAdminAction,
  type SourceKey,
  SystemState,
  type User,
} from './system-state.ts'

/** `source.id` of what Sealtrail itself puts on the record: no source may be taken for it. */
const ownSourceId = 'sealtrail'

export interface ControlParts {
  readonly reader: LedgerReader
  readonly keyring: Keyring
  readonly passwords: PasswordHasher
  readonly clock: () => number
  readonly random: (bytes: number) => Uint8Array
}

/**
 * Authority of the deployment: the `_system` log folded in memory, so that sign-in works while the columnar store is
 * down. Every command goes through the sequencer, is validated against the fold right before its commit, and is
 * answered when it is durable.
 */
export class Control {
  /** Give this to the sequencer: the fold follows its own commits. */
  readonly observe: CommitObserver = (segment) => {
    // What comes before it is not folded yet: load reads both from the ledger.
    if (segment.logId !== systemLogId || segment.fromIndex > this.next) return
    for (const leaf of segment.leaves) this.applyFrom(leaf.index, leaf.event)
  }
  private readonly parts: ControlParts
  private readonly state = new SystemState()
  private appender: LedgerAppender | undefined
  private next = 0
  /** Verified against when a name is unknown, so that it takes as long as a known one. */
  private decoyHash: Promise<string> | undefined

  constructor(parts: ControlParts) {
    this.parts = parts
  }

  /**
   * Folds what is stored, and what is committed meanwhile.
   *
   * @throws SealtrailError `PAYLOAD_MISSING` for a record whose details are gone: users and keys are then not known.
   */
  async load(appender: LedgerAppender): Promise<void> {
    let size = await this.parts.reader.size(systemLogId)
    while (this.next < size) {
      for await (const leaves of this.parts.reader.read(systemLogId, this.next, size)) {
        for (const leaf of leaves) {
          if (leaf.opened === 'erased' && isAdminAction(leaf.event)) throw undecided(leaf.index)
          this.applyFrom(leaf.index, leaf.event)
        }
      }
      size = await this.parts.reader.size(systemLogId)
    }
    // Only now: a command is never checked against half a fold.
    this.appender = appender
    this.decoyHash = this.parts.passwords.hash(hex(this.parts.random(16)))
  }

  needsSetup(): boolean {
    return this.state.users.size === 0
  }

  user(id: string): User | undefined {
    return this.state.users.get(id)
  }

  users(): User[] {
    return [...this.state.users.values()]
  }

  sourceKeys(): SourceKey[] {
    return [...this.state.sourceKeys.values()]
  }

  /** Token of a new one-time link; earlier ones stop working. */
  async createSetupLink(): Promise<string> {
    const token = Buffer.from(this.parts.random(24)).toString('base64url')
    await this.command('setup_link.create', 'first-admin', 1, 'operator', {
      tokenSha256: digestOf(token),
    })
    return token
  }

  /**
   * Makes the first admin.
   *
   * @throws SealtrailError `CREDENTIALS_INVALID` for a used, old or wrong token.
   */
  async completeSetup(token: string, account: { name: string; password: string }): Promise<User> {
    const presented = digestOf(token)
    const valid = () => {
      const expected = this.state.setupTokenSha256
      if (expected === undefined || !sameDigest(presented, expected)) {
        throw new SealtrailError(
          'CREDENTIALS_INVALID',
          'this link was used already or is not the newest one',
          {
            hint: 'Print a new one on the machine: sealtrail setup-link',
          },
        )
      }
    }
    valid()
    return this.addUser({ ...account, role: 'admin' }, 'operator', valid, presented)
  }

  createUser(
    account: { name: string; password: string; role: Role },
    actor: string,
  ): Promise<User> {
    return this.addUser(account, actor, () => undefined)
  }

  async setPassword(
    id: string,
    password: string,
    expectedVersion: number,
    actor: string,
  ): Promise<void> {
    const passwordHash = await this.parts.passwords.hash(checked(Password, password, 'password'))
    const check = () => expectVersion(this.state.users.get(id), expectedVersion, 'user')
    await this.command('user.password', id, expectedVersion + 1, actor, { passwordHash }, check)
  }

  async disableUser(id: string, expectedVersion: number, actor: string): Promise<void> {
    const check = () => expectVersion(this.state.users.get(id), expectedVersion, 'user')
    await this.command('user.disable', id, expectedVersion + 1, actor, {}, check)
  }

  /** The user of a name and password; the same work is done for a name that nobody has. */
  async authenticateUser(name: string, password: string): Promise<User | undefined> {
    const user = this.state.userByName(name)
    const stored = user?.passwordHash ?? (await this.decoyHash) ?? ''
    const matches = await this.parts.passwords.verify(stored, password)
    // Hashing takes a while: the user may have been disabled, or have another password by now.
    const now = user === undefined ? undefined : this.state.users.get(user.id)
    return matches && now?.version === user?.version && now?.disabled === false ? now : undefined
  }

  /**
   * Secret and key of a new source, shown once: only the hash of the key is kept.
   *
   * @throws SealtrailError `REQUEST_INVALID` for a bad name, `CONFIG_INVALID` for a log that no source may write
   */
  async createSourceKey(
    source: { name: string; logId: string },
    actor: string,
  ): Promise<{ id: string; secret: string; key: string }> {
    const secret = { id: hex(this.parts.random(6)), secret: this.parts.random(32) }
    await this.addSourceKey(secret, source, actor)
    return { id: secret.id, secret: formatSourceSecret(secret), key: sourceKeyOf(secret) }
  }

  /**
   * Takes a secret that the operator brought along (unattended starts). Idempotent.
   *
   * @throws SealtrailError `CONFIG_INVALID` when it is malformed, or when its id belongs to another secret
   */
  async adoptSourceSecret(text: string, source: { name: string; logId: string }): Promise<string> {
    const secret = parseSourceSecret(text)
    if (secret === undefined) {
      throw new SealtrailError('CONFIG_INVALID', 'the source secret is not sts_<id>_<secret>')
    }
    const known = this.state.sourceKeys.get(secret.id)?.keySha256
    if (known !== digestOf(sourceKeyOf(secret))) await this.addSourceKey(secret, source, 'operator')
    return secret.id
  }

  async revokeSourceKey(id: string, expectedVersion: number, actor: string): Promise<void> {
    const check = () => expectVersion(this.state.sourceKeys.get(id), expectedVersion, 'source key')
    await this.command('source_key.revoke', id, expectedVersion + 1, actor, {}, check)
  }

  /** Source of a Bearer token; undefined for an unknown, wrong or revoked one. */
  authenticateSourceKey(token: string): { sourceId: string; logId: string } | undefined {
    const id = sourceIdOfKey(token)
    const key = id === undefined ? undefined : this.state.sourceKeys.get(id)
    if (key === undefined || key.revokedAt !== undefined) return undefined
    return sameDigest(digestOf(token), key.keySha256)
      ? { sourceId: key.id, logId: key.logId }
      : undefined
  }

  /** The policy in force for a source: its own, else that of its log, else the one that is built in. */
  redactionPolicy(sourceId: string, logId: string): Policy {
    const { redactionPolicies } = this.state
    return (
      redactionPolicies.get(sourceId)?.policy ??
      redactionPolicies.get(defaultPolicyOf(logId))?.policy ??
      defaultRedactionPolicy
    )
  }

  /** What was set for a target: a source id, or {@link defaultPolicyOf} a log. Version 0 where nothing ever was. */
  ownRedactionPolicy(target: string): { policy: Policy | null; version: number } {
    return this.state.redactionPolicies.get(target) ?? { policy: null, version: 0 }
  }

  /**
   * Sets the policy of a target, or takes it away. Holds for what is received from then on: the ledger is not changed.
   *
   * @throws SealtrailError `VERSION_CONFLICT`, `REQUEST_INVALID`
   */
  async setRedactionPolicy(
    target: string,
    policy: Policy | null,
    expectedVersion: number,
    actor: string,
  ): Promise<void> {
    const details = { policy: checked(RedactionPolicy.nullable(), policy, 'policy') }
    const check = () => expectVersion(this.ownRedactionPolicy(target), expectedVersion, 'policy')
    await this.command('redaction_policy.set', target, expectedVersion + 1, actor, details, check)
  }

  private async addSourceKey(
    secret: SourceSecret,
    source: { name: string; logId: string },
    actor: string,
  ): Promise<void> {
    const name = checked(CreateSourceKeyRequest.shape.name, source.name, 'name')
    const logId = checkLogId(source.logId)
    if (logId === systemLogId) {
      throw new SealtrailError('CONFIG_INVALID', `no source writes into ${systemLogId}`)
    }
    const free = () => {
      if (secret.id !== ownSourceId && !this.state.sourceKeys.has(secret.id)) return
      throw new SealtrailError('CONFIG_INVALID', `the source id ${secret.id} is taken`, {
        hint: 'An id stays with its secret for good, also when it was revoked: choose another id.',
      })
    }
    // Before the chain key is set, so that the one of the present owner stays.
    free()
    await this.parts.keyring.setSourceChainKey(secret.id, chainKeyOf(secret))
    const keySha256 = digestOf(sourceKeyOf(secret))
    await this.command('source_key.create', secret.id, 1, actor, { name, logId, keySha256 }, free)
    if (this.state.sourceKeys.get(secret.id)?.keySha256 !== keySha256) {
      throw new SealtrailError('INTERNAL', 'the new source key is not in the fold')
    }
  }

  private async addUser(
    account: { name: string; password: string; role: Role },
    actor: string,
    check: () => void,
    setupTokenSha256?: string,
  ): Promise<User> {
    const name = checked(UserName, account.name, 'name')
    const passwordHash = await this.parts.passwords.hash(
      checked(Password, account.password, 'password'),
    )
    const id = hex(this.parts.random(8))
    await this.command(
      'user.create',
      id,
      1,
      actor,
      {
        name,
        role: account.role,
        passwordHash,
        ...(setupTokenSha256 === undefined ? {} : { setupTokenSha256 }),
      },
      () => {
        check()
        if (this.state.userByName(name) !== undefined) {
          throw new SealtrailError('VERSION_CONFLICT', `there is a user ${name} already`)
        }
      },
    )
    const user = this.state.users.get(id)
    if (user === undefined) throw new SealtrailError('INTERNAL', 'the new user is not in the fold')
    return user
  }

  private async command<A extends AdminAction>(
    action: A,
    target: string,
    version: number,
    actor: string,
    details: z.infer<(typeof adminDetails)[A]>,
    check: () => void = () => undefined,
  ): Promise<void> {
    if (this.appender === undefined) throw new SealtrailError('INTERNAL', 'control is not loaded')
    const now = timestampFromMs(this.parts.clock())
    await this.appender.append(
      systemLogId,
      [
        {
          'event.class': 'admin',
          'record.disposition': 'mapped',
          'source.id': ownSourceId,
          'time.occurred': now,
          'time.observed': now,
          'admin.action': action,
          'admin.target': target,
          'admin.actor': actor,
          'admin.version': version,
          'admin.details': details,
        },
      ],
      { validate: check },
    )
  }

  private applyFrom(index: number, event: Parameters<SystemState['apply']>[0]): void {
    if (index < this.next) return
    this.next = index + 1
    this.state.apply(event)
  }
}

/** Target of the policy that holds for all sources of a log without one of their own. */
export function defaultPolicyOf(logId: string): string {
  return `default/${logId}`
}

function undecided(index: number): SealtrailError {
  return new SealtrailError(
    'PAYLOAD_MISSING',
    `leaf ${index} of ${systemLogId} cannot be opened: who may do what is not known`,
    { hint: 'Restore the payloads and the keyring of this data directory from one backup.' },
  )
}

function expectVersion(
  target: { readonly version: number } | undefined,
  expected: number,
  what: string,
): void {
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
}

function checked<T>(schema: z.ZodType<T>, value: unknown, field: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new SealtrailError(
    'REQUEST_INVALID',
    `${field}: ${parsed.error.issues[0]?.message ?? 'not valid'}`,
  )
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function sameDigest(a: string, b: string): boolean {
  return timingSafeEqual(fromHex(a), fromHex(b))
}
