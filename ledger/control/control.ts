import { RedactionPolicy } from '../../schemas/api/redaction.ts'
import { CreateSourceKeyRequest, SourceQuota } from '../../schemas/api/sources.ts'
import { hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  normaliseTimestamp,
  timestampFromMs,
  timestampToMs,
} from '../../schemas/event/timestamp.ts'
import {
  defaultRedactionPolicy,
  type RedactionPolicy as Policy,
} from '../../schemas/redaction-policy.ts'
import { CertificateBinding, type ShownCertificate } from '../../schemas/source-certificate.ts'
import {
  chainKeyOf,
  formatSourceSecret,
  parseSourceSecret,
  type SourceSecret,
  sourceIdOfKey,
  sourceKeyOf,
} from '../../schemas/source-key.ts'
import { defaultSourceQuota, type SourceQuota as Quota } from '../../schemas/source-quota.ts'
import type { CommitObserver, LedgerReader } from '../committed.ts'
import type { Keyring } from '../keyring.ts'
import type { LedgerAppender } from '../ledger-appender.ts'
import { checkLogId, systemLogId } from '../log-id.ts'
import { Accounts } from './accounts.ts'
import { checked, expectVersion, type RunCommand } from './command.ts'
import type { PasswordHasher } from './password-hash.ts'
import {
  type AdminDetails,
  type Erasure,
  isAdminAction,
  type SetSourceCertificate,
  type SourceCredential,
  type SourceKey,
  SystemState,
} from './system-state.ts'
import { sameDigest, tokenDigest } from './token-digest.ts'

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
  /** People, and how they sign in. */
  readonly accounts: Accounts
  private readonly parts: ControlParts
  private readonly state = new SystemState()
  private appender: LedgerAppender | undefined
  private next = 0
  /** By digest of the key. In memory: it changes with each request, and is no decision. */
  private readonly lastUsed = new Map<string, number>()

  constructor(parts: ControlParts) {
    this.parts = parts
    this.accounts = new Accounts({
      ...parts,
      state: this.state,
      run: (command) => this.run(command),
    })
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
    this.accounts.prepare()
  }

  sourceKeys(): SourceKey[] {
    return [...this.state.sourceKeys.values()]
  }

  /** Erasures and refusals, oldest first. */
  erasures(): Erasure[] {
    return [...this.state.erasures.values()]
  }

  /** Puts on the record that something is to be erased: from then on it is, also over restarts. @returns its id */
  async createErasure(details: AdminDetails<'erasure.create'>, actor: string): Promise<string> {
    const target = hex(this.parts.random(8))
    await this.run({ action: 'erasure.create', target, version: 1, actor, details })
    return target
  }

  /** Puts on the record that an erasure reached every place. */
  async completeErasure(target: string, leafIndex: number): Promise<void> {
    const check = () => {
      if (this.state.erasures.get(target)?.completed === undefined) return
      throw new SealtrailError('VERSION_CONFLICT', `erasure ${target} is complete already`)
    }
    const details = { leafIndex }
    const actor = ownSourceId
    await this.run({ action: 'erasure.complete', target, version: 2, actor, details, check })
  }

  /** Puts on the record that a request was refused, and by which exception. @returns its id */
  async refuseErasure(details: AdminDetails<'erasure.refuse'>, actor: string): Promise<string> {
    const target = hex(this.parts.random(8))
    await this.run({ action: 'erasure.refuse', target, version: 1, actor, details })
    return target
  }

  /**
   * Secret and key of a new source, shown once: only the hash of the key is kept.
   *
   * @throws SealtrailError `REQUEST_INVALID` for a bad name, `CONFIG_INVALID` for a log that no source may write
   */
  async createSourceKey(source: NewSource, actor: string): Promise<ShownOnce> {
    const secret = { id: hex(this.parts.random(6)), secret: this.parts.random(32) }
    await this.addSourceKey(secret, source, actor)
    return shownOnce(secret)
  }

  /**
   * A new secret and key for a source. The former ones work until the overlap is over; what is sent under the new secret
   * is an epoch of its own, with a chain of its own.
   *
   * @throws SealtrailError `NOT_FOUND`, `VERSION_CONFLICT`, `REQUEST_INVALID` for a source that was revoked
   */
  async rotateSourceKey(
    id: string,
    { overlapSeconds, expiresAt }: { overlapSeconds: number; expiresAt?: string | undefined },
    expectedVersion: number,
    actor: string,
  ): Promise<ShownOnce> {
    const check = () => {
      const key = expectVersion(this.state.sourceKeys.get(id), expectedVersion, 'source key')
      if (key.revokedAt === undefined) return
      throw new SealtrailError('REQUEST_INVALID', `the source ${key.name} was revoked`, {
        hint: 'Make a new source: an id that was revoked stays so.',
      })
    }
    check()
    const secret = { id, secret: this.parts.random(32) }
    const keySha256 = tokenDigest(sourceKeyOf(secret))
    await this.parts.keyring.setSourceChainKey(chainKeyIdOf(id, keySha256), chainKeyOf(secret))
    const overlapUntil = timestampFromMs(this.parts.clock() + overlapSeconds * 1000)
    await this.run({
      action: 'source_key.rotate',
      target: id,
      version: expectedVersion + 1,
      actor,
      details: { keySha256, overlapUntil, ...this.expiry(expiresAt) },
      check,
    })
    return shownOnce(secret)
  }

  /** When a key was last used, Unix milliseconds; undefined since this process began. */
  lastUsedMs({ keySha256 }: SourceCredential): number | undefined {
    return this.lastUsed.get(keySha256)
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
    const keySha256 = tokenDigest(sourceKeyOf(secret))
    const known = this.state.sourceKeys.get(secret.id)?.credentials ?? []
    if (!known.some((each) => each.keySha256 === keySha256))
      await this.addSourceKey(secret, source, 'operator')
    return secret.id
  }

  async revokeSourceKey(id: string, expectedVersion: number, actor: string): Promise<void> {
    await this.run({
      action: 'source_key.revoke',
      target: id,
      version: expectedVersion + 1,
      actor,
      details: {},
      check: () => void expectVersion(this.state.sourceKeys.get(id), expectedVersion, 'source key'),
    })
  }

  /** Source of a Bearer token; undefined for an unknown, wrong, expired or revoked one. Asks for no certificate. */
  authenticateSourceKey(
    token: string,
  ): { sourceId: string; logId: string; chainKeyId?: string } | undefined {
    const id = sourceIdOfKey(token)
    const key = id === undefined ? undefined : this.state.sourceKeys.get(id)
    if (key === undefined || key.revokedAt !== undefined) return undefined
    const presented = tokenDigest(token)
    const nowMs = this.parts.clock()
    const at = key.credentials.findIndex(({ keySha256 }) => sameDigest(presented, keySha256))
    const found = key.credentials[at]
    if (found === undefined) return undefined
    if (found.expiresAt !== undefined && timestampToMs(found.expiresAt) <= nowMs) return undefined
    this.lastUsed.set(presented, nowMs)
    const identity = { sourceId: key.id, logId: key.logId }
    const chainKeyId = chainKeyIdOf(key.id, presented)
    const isRotated = this.parts.keyring.sourceChainKey(chainKeyId) !== undefined
    return isRotated ? { ...identity, chainKeyId } : identity
  }

  private expiry(expiresAt: string | undefined): { expiresAt?: string } {
    if (expiresAt === undefined) return {}
    const normal = normaliseTimestamp(expiresAt)
    if (normal === undefined || timestampToMs(normal) <= this.parts.clock()) {
      throw new SealtrailError('REQUEST_INVALID', 'expiresAt is no time in the future', {
        hint: 'Write it as RFC 3339, e.g. 2027-01-31T00:00:00Z.',
      })
    }
    return { expiresAt: normal }
  }

  /**
   * Source of a delivery, by its Bearer token and the certificate that it is bound to; by the certificate alone where
   * the binding says so. What a certificate must be is told only to who has the key.
   *
   * @throws SealtrailError `CREDENTIALS_INVALID` when the certificate is not the one of the source
   */
  authenticateSource(
    token: string | undefined,
    shown: ShownCertificate,
  ): { sourceId: string; logId: string; chainKeyId?: string; certificate?: string } | undefined {
    if (token === undefined) return this.sourceOfCertificate(shown)
    const source = this.authenticateSourceKey(token)
    if (source === undefined) return undefined
    const binding = this.sourceCertificate(source.sourceId).certificate
    if (binding === null) return source
    if (shown.state === 'verified' && shown.names.has(binding.certificate))
      return { ...source, certificate: binding.certificate }
    throw certificateRefused(shown)
  }

  private sourceOfCertificate(shown: ShownCertificate) {
    if (shown.state !== 'verified') return undefined
    for (const [sourceId, { certificate }] of this.state.sourceCertificates) {
      if (certificate?.use !== 'instead_of_key' || !shown.names.has(certificate.certificate))
        continue
      const key = this.state.sourceKeys.get(sourceId)
      if (key === undefined || key.revokedAt !== undefined) continue
      return { sourceId, logId: key.logId, certificate: certificate.certificate }
    }
    return undefined
  }

  /** What a source is bound to. Version 0 where nothing was ever set. */
  sourceCertificate(sourceId: string): SetSourceCertificate {
    return this.state.sourceCertificates.get(sourceId) ?? { certificate: null, version: 0 }
  }

  /**
   * Binds a source to a client certificate, or frees it. From the next request on.
   *
   * @throws SealtrailError `VERSION_CONFLICT`, `REQUEST_INVALID` also for a certificate that stands for another source
   */
  async setSourceCertificate(
    sourceId: string,
    binding: CertificateBinding | null,
    expectedVersion: number,
    actor: string,
  ): Promise<void> {
    const certificate = checked(CertificateBinding.nullable(), binding, 'certificate')
    const check = () => {
      expectVersion(this.sourceCertificate(sourceId), expectedVersion, 'certificate of a source')
      if (certificate?.use === 'instead_of_key') this.expectAlone(sourceId, certificate.certificate)
    }
    check()
    await this.run({
      action: 'source_certificate.set',
      target: sourceId,
      version: expectedVersion + 1,
      actor,
      details: { certificate },
      check,
    })
  }

  /** Without a key, a certificate must say which source it is. */
  private expectAlone(sourceId: string, certificate: string): void {
    for (const [other, { certificate: binding }] of this.state.sourceCertificates) {
      const same = binding?.use === 'instead_of_key' && binding.certificate === certificate
      const key = this.state.sourceKeys.get(other)
      if (other === sourceId || !same || key === undefined || key.revokedAt !== undefined) continue
      throw new SealtrailError(
        'REQUEST_INVALID',
        'certificate: it stands for another source already, without a key',
        { hint: 'Let this source show it besides its key, or issue it one of its own.' },
      )
    }
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
    await this.run({
      action: 'redaction_policy.set',
      target,
      version: expectedVersion + 1,
      actor,
      details,
      check: () => void expectVersion(this.ownRedactionPolicy(target), expectedVersion, 'policy'),
    })
  }

  /** How much a source may send: as it was set for it, else as is built in. */
  sourceQuota(sourceId: string): Quota {
    return this.ownSourceQuota(sourceId).quota ?? defaultSourceQuota
  }

  /** What was set for a source. Version 0 where nothing ever was. */
  ownSourceQuota(sourceId: string): { quota: Quota | null; version: number } {
    return this.state.sourceQuotas.get(sourceId) ?? { quota: null, version: 0 }
  }

  /**
   * Sets the quota of a source, or takes it away: then the built-in one holds. From the next request on.
   *
   * @throws SealtrailError `VERSION_CONFLICT`, `REQUEST_INVALID`
   */
  async setSourceQuota(
    sourceId: string,
    quota: Quota | null,
    expectedVersion: number,
    actor: string,
  ): Promise<void> {
    const details = { quota: checked(SourceQuota.nullable(), quota, 'quota') }
    await this.run({
      action: 'source_quota.set',
      target: sourceId,
      version: expectedVersion + 1,
      actor,
      details,
      check: () => void expectVersion(this.ownSourceQuota(sourceId), expectedVersion, 'quota'),
    })
  }

  private async addSourceKey(
    secret: SourceSecret,
    source: NewSource,
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
    const keySha256 = tokenDigest(sourceKeyOf(secret))
    await this.run({
      action: 'source_key.create',
      target: secret.id,
      version: 1,
      actor,
      details: { name, logId, keySha256, ...this.expiry(source.expiresAt) },
      check: free,
    })
    const [made] = this.state.sourceKeys.get(secret.id)?.credentials ?? []
    if (made?.keySha256 !== keySha256) {
      throw new SealtrailError('INTERNAL', 'the new source key is not in the fold')
    }
  }

  private readonly run: RunCommand = async (command) => {
    if (this.appender === undefined) throw new SealtrailError('INTERNAL', 'control is not loaded')
    const now = timestampFromMs(this.parts.clock())
    const { check } = command
    await this.appender.append(
      systemLogId,
      [
        {
          'event.class': 'admin',
          'record.disposition': 'mapped',
          'source.id': ownSourceId,
          'time.occurred': now,
          'time.observed': now,
          'admin.action': command.action,
          'admin.target': command.target,
          'admin.actor': command.actor,
          'admin.version': command.version,
          'admin.details': command.details,
        },
      ],
      check === undefined ? {} : { validate: () => check() },
    )
  }

  private applyFrom(index: number, event: Parameters<SystemState['apply']>[0]): void {
    if (index < this.next) return
    this.next = index + 1
    this.state.apply(event)
  }
}

function certificateRefused(shown: ShownCertificate): SealtrailError {
  const why = {
    none: 'this source must show a client certificate, and there was none',
    verified: 'the client certificate is not the one that this source is bound to',
    refused: `the client certificate is not accepted: ${shown.state === 'refused' ? shown.reason : ''}`,
  }
  return new SealtrailError('CREDENTIALS_INVALID', why[shown.state], {
    hint: 'For the tap: SEALTRAIL_CLIENT_CERT_FILE and SEALTRAIL_CLIENT_KEY_FILE. Through a proxy that ends TLS no certificate is seen.',
  })
}

/** Target of the policy that holds for all sources of a log without one of their own. */
export function defaultPolicyOf(logId: string): string {
  return `default/${logId}`
}

export interface NewSource {
  readonly name: string
  readonly logId: string
  /** RFC 3339; absent for a key that does not stop working by itself. */
  readonly expiresAt?: string | undefined
}

/** What is known of a secret once: only the hash of the key is kept. */
export interface ShownOnce {
  readonly id: string
  readonly secret: string
  readonly key: string
}

function shownOnce(secret: SourceSecret): ShownOnce {
  return { id: secret.id, secret: formatSourceSecret(secret), key: sourceKeyOf(secret) }
}

/** Of the first secret of a source the chain key has the name of the source; of later ones a name of their own. */
function chainKeyIdOf(sourceId: string, keySha256: string): string {
  return `${sourceId}.${keySha256.slice(0, 16)}`
}

function undecided(index: number): SealtrailError {
  return new SealtrailError(
    'PAYLOAD_MISSING',
    `leaf ${index} of ${systemLogId} cannot be opened: who may do what is not known`,
    { hint: 'Restore the payloads and the keyring of this data directory from one backup.' },
  )
}
