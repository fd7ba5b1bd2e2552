import { Password, Role, UserName } from '../../schemas/api/session.ts'
import { fromHex, hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { timestampFromMs, timestampToMs } from '../../schemas/event/timestamp.ts'
import { checkLogId, systemLogId } from '../log-id.ts'
import { checked, expectVersion, type RunCommand } from './command.ts'
import type { PasswordHasher } from './password-hash.ts'
import { newRecoveryCodes, recoveryDigest } from './recovery-codes.ts'
import {
  type AdminAction,
  type AdminDetails,
  linkLifetimeMs,
  type OneTimeLink,
  type SignInMethod,
  type SignInSettings,
  type SystemState,
  type User,
} from './system-state.ts'
import { sameDigest, tokenDigest } from './token-digest.ts'
import { totpSecretBytes, totpStepOf } from './totp.ts'

export interface AccountsParts {
  readonly state: SystemState
  readonly run: RunCommand
  readonly passwords: PasswordHasher
  readonly clock: () => number
  readonly random: (bytes: number) => Uint8Array
}

/** A person as an identity provider tells him. */
export interface FederatedPerson {
  readonly issuer: string
  readonly subject: string
  /** As shown; of another account it may be too. */
  readonly name: string
  readonly role: Role
}

/**
 * People: who they are, what they may, and how they prove it. All of it is a fold of the `_system` log; every change is
 * a command with the version that its author saw.
 */
export class Accounts {
  private readonly parts: AccountsParts
  private readonly state: SystemState
  private readonly run: RunCommand
  /** Verified against when there is no password to compare, so that it takes as long as with one. */
  private decoyHash: Promise<string> | undefined

  constructor(parts: AccountsParts) {
    this.parts = parts
    this.state = parts.state
    this.run = parts.run
  }

  needsSetup(): boolean {
    return this.state.users.size === 0
  }

  user(id: string): User | undefined {
    return this.state.users.get(id)
  }

  /** In whatever case. */
  userByName(name: string): User | undefined {
    return this.state.userByName(name)
  }

  users(): User[] {
    return [...this.state.users.values()]
  }

  signInSettings(): SignInSettings {
    return this.state.signIn
  }

  /** Whether the role of a user needs a second factor that he has not. An identity provider asks for its own. */
  mustEnrol(user: User): boolean {
    return (
      user.totp === undefined &&
      user.federated === undefined &&
      this.state.signIn.totpRoles.includes(user.role)
    )
  }

  /** Token of a new one-time link to an admin account; earlier ones stop working. */
  async createSetupLink(): Promise<string> {
    const { token, link } = this.newLink()
    await this.run({
      action: 'setup_link.create',
      target: 'first-admin',
      version: 1,
      actor: 'operator',
      details: link,
    })
    return token
  }

  /**
   * Makes an admin with a one-time link.
   *
   * @throws SealtrailError `CREDENTIALS_INVALID` for a used, old or wrong token.
   */
  async completeSetup(token: string, account: { name: string; password: string }): Promise<User> {
    const presented = tokenDigest(token)
    const valid = () => {
      const { setupLink } = this.state
      if (
        setupLink === undefined ||
        !sameDigest(presented, setupLink.tokenSha256) ||
        this.isOver(setupLink)
      ) {
        throw new SealtrailError(
          'CREDENTIALS_INVALID',
          'this link was used already, is over or is not the newest one',
          { hint: 'Print a new one on the machine: sealtrail setup-link' },
        )
      }
    }
    valid()
    const passwordHash = await this.hash(account.password)
    return this.addUser({
      details: { name: account.name, role: 'admin', passwordHash, setupTokenSha256: presented },
      actor: 'operator',
      check: valid,
    })
  }

  async createUser(
    account: { name: string; password: string; role: Role },
    actor: string,
  ): Promise<User> {
    const { name, role } = account
    const passwordHash = await this.hash(account.password)
    return this.addUser({ details: { name, role, passwordHash }, actor })
  }

  /**
   * Makes a user who chooses a password with a one-time link.
   *
   * @param account.logId log that he reads; absent for that of the deployment
   */
  async invite(
    account: { name: string; role: Role; logId?: string | undefined },
    actor: string,
  ): Promise<{ user: User; token: string }> {
    const { name, role, logId } = account
    if (logId !== undefined && checkLogId(logId) === systemLogId)
      throw new SealtrailError('REQUEST_INVALID', `nobody is at home in ${systemLogId}`)
    const { token, link } = this.newLink()
    const details = { name, role, link, ...(logId === undefined ? {} : { logId }) }
    return { user: await this.addUser({ details, actor }), token }
  }

  /** Token of a one-time link with which the user chooses a password. The present one works until then. */
  async createPasswordLink(id: string, expectedVersion: number, actor: string): Promise<string> {
    const { token, link } = this.newLink()
    await this.change('user.link', id, expectedVersion, actor, link, (user) => {
      if (user.disabled) {
        throw new SealtrailError('REQUEST_INVALID', `${user.name} is disabled`, {
          hint: 'Enable the account first.',
        })
      }
      demandOwnPassword(user)
    })
    return token
  }

  /** @throws SealtrailError `CREDENTIALS_INVALID` for a used, old or wrong token */
  async usePasswordLink(token: string, password: string): Promise<User> {
    const presented = tokenDigest(token)
    const owner = () => {
      const user = this.users().find(({ link }) => link?.tokenSha256 === presented)
      if (user?.link === undefined || user.disabled || this.isOver(user.link)) {
        throw new SealtrailError('CREDENTIALS_INVALID', 'this link was used already, or is over', {
          hint: 'An administrator can make a new one.',
        })
      }
      return user
    }
    const { id, version } = owner()
    const passwordHash = await this.hash(password)
    await this.change('user.password', id, version, `user:${id}`, { passwordHash }, owner)
    return this.known(id)
  }

  async setPassword(
    id: string,
    password: string,
    expectedVersion: number,
    actor: string,
  ): Promise<void> {
    const passwordHash = await this.hash(password)
    await this.change('user.password', id, expectedVersion, actor, { passwordHash })
  }

  /** @throws SealtrailError `LAST_ADMIN` */
  async setRole(id: string, role: Role, expectedVersion: number, actor: string): Promise<void> {
    const details = { role: checked(Role, role, 'role') }
    await this.change('user.role', id, expectedVersion, actor, details, (user) => {
      if (role !== 'admin') this.demandAnotherAdmin(user)
    })
  }

  /** @throws SealtrailError `LAST_ADMIN` */
  async disableUser(id: string, expectedVersion: number, actor: string): Promise<void> {
    await this.change('user.disable', id, expectedVersion, actor, {}, (user) =>
      this.demandAnotherAdmin(user),
    )
  }

  async enableUser(id: string, expectedVersion: number, actor: string): Promise<void> {
    await this.change('user.enable', id, expectedVersion, actor, {})
  }

  async setSignInSettings(
    totpRoles: readonly Role[],
    expectedVersion: number,
    actor: string,
  ): Promise<void> {
    await this.run({
      action: 'settings.sign_in',
      target: 'sign-in',
      version: expectedVersion + 1,
      actor,
      details: { totpRoles: [...new Set(totpRoles)] },
      check: () => void expectVersion(this.state.signIn, expectedVersion, 'setting'),
    })
  }

  /** The user of a name and password; the same work is done for a name that nobody has. */
  async authenticateUser(name: string, password: string): Promise<User | undefined> {
    this.prepare()
    const user = this.state.userByName(name)
    const stored = user?.passwordHash ?? (await this.decoyHash) ?? ''
    const matches = await this.parts.passwords.verify(stored, password)
    if (user?.passwordHash === undefined) return undefined
    // Hashing takes a while: the user may have been disabled, or have another password by now.
    const now = this.state.users.get(user.id)
    return matches && now?.version === user.version && !now.disabled ? now : undefined
  }

  /** Before the first sign-in: the price of an unknown name is paid once. */
  prepare(): void {
    this.decoyHash ??= this.parts.passwords.hash(hex(this.parts.random(16)))
  }

  /**
   * Puts a sign-in on the record, with what it used up: a code works once, also at the same moment and after a restart.
   *
   * @param code of the authenticator, or a recovery code; asked from whoever has a second factor and came by password
   * @throws SealtrailError `SECOND_FACTOR_REQUIRED` without a code, `CREDENTIALS_INVALID` for a wrong or used one
   */
  async signIn(seen: User, method: SignInMethod, code?: string): Promise<User> {
    const used =
      seen.totp === undefined || method === 'identity_provider' || method === 'setup_link'
        ? {}
        : this.secondFactor(seen, code)
    await this.run({
      action: 'user.sign_in',
      target: seen.id,
      version: seen.version,
      actor: `user:${seen.id}`,
      details: { method, ...used },
      check: () => {
        const user = this.state.users.get(seen.id)
        const isSame = user?.version === seen.version && !user.disabled
        const isFresh =
          (used.totpStep === undefined || used.totpStep > (user?.totp?.lastStep ?? 0)) &&
          (used.recoverySha256 === undefined ||
            user?.totp?.recoverySha256.includes(used.recoverySha256) === true)
        if (!isSame || !isFresh) throw wrongCode()
      },
    })
    return this.known(seen.id)
  }

  /** Throws as {@link signIn} does, and uses the code up: for what needs the second factor again. */
  async proveSecondFactor(user: User, code: string | undefined): Promise<void> {
    await this.signIn(user, 'confirmation', code)
  }

  newTotpSecret(): Uint8Array {
    return this.parts.random(totpSecretBytes)
  }

  /**
   * Makes an authenticator the second factor of a user, once it showed that it has the secret.
   *
   * @returns recovery codes, shown once
   * @throws SealtrailError `CREDENTIALS_INVALID` for a wrong code
   */
  async enrolTotp(
    id: string,
    secret: Uint8Array,
    code: string,
    expectedVersion: number,
  ): Promise<string[]> {
    const step = totpStepOf(secret, code, this.parts.clock())
    if (step === undefined) throw wrongCode()
    const codes = newRecoveryCodes(this.parts.random)
    const recoverySha256 = codes.map((each) => recoveryDigest(each) ?? '')
    const details = { secret: hex(secret), step, recoverySha256 }
    await this.change('user.totp', id, expectedVersion, `user:${id}`, details, demandOwnPassword)
    return codes
  }

  async removeTotp(id: string, expectedVersion: number, actor: string): Promise<void> {
    await this.change('user.totp_remove', id, expectedVersion, actor, {}, (user) => {
      if (user.totp === undefined)
        throw new SealtrailError('NOT_FOUND', `${user.name} has no second factor`)
    })
  }

  /**
   * The account of somebody whom an identity provider knows, made or brought up to date. Matched by issuer and subject
   * alone: a name, or an address, is what somebody there chose.
   *
   * @throws SealtrailError `PERMISSION_DENIED` for a disabled account
   */
  async provision(person: FederatedPerson): Promise<User> {
    const { issuer, subject, role } = person
    const actor = 'identity_provider'
    const find = () =>
      this.users().find(
        ({ federated }) => federated?.issuer === issuer && federated.subject === subject,
      )
    const user = find()
    if (user === undefined) {
      return this.addUser({
        details: { name: this.freeName(person.name), role, federated: { issuer, subject } },
        actor,
        check: () => {
          if (find() !== undefined)
            throw new SealtrailError('VERSION_CONFLICT', 'this person was just added')
        },
      })
    }
    if (user.disabled) {
      throw new SealtrailError('PERMISSION_DENIED', `the account ${user.name} is disabled`)
    }
    // No question of a last admin: who is one is decided over there, and the operator's link is always a way in.
    if (user.role !== role) await this.change('user.role', user.id, user.version, actor, { role })
    return this.known(user.id)
  }

  private secondFactor(
    user: User,
    code: string | undefined,
  ): { totpStep?: number; recoverySha256?: string } {
    const { totp } = user
    if (totp === undefined) return {}
    if (code === undefined || code.trim() === '') {
      throw new SealtrailError('SECOND_FACTOR_REQUIRED', 'this account asks for a second factor', {
        hint: 'Enter the code of your authenticator, or a recovery code.',
      })
    }
    const typed = code.replaceAll(/\s/g, '')
    const step = totpStepOf(fromHex(totp.secret), typed, this.parts.clock())
    if (step !== undefined && step > totp.lastStep) return { totpStep: step }
    const recovery = recoveryDigest(typed)
    if (recovery !== undefined && totp.recoverySha256.includes(recovery))
      return { recoverySha256: recovery }
    throw wrongCode()
  }

  private async addUser(command: {
    details: AdminDetails<'user.create'>
    actor: string
    check?: () => void
  }): Promise<User> {
    const { details, actor, check } = command
    const name = checked(UserName, details.name, 'name')
    const id = hex(this.parts.random(8))
    await this.run({
      action: 'user.create',
      target: id,
      version: 1,
      actor,
      details: { ...details, role: checked(Role, details.role, 'role') },
      check: () => {
        check?.()
        if (this.state.userByName(name) !== undefined)
          throw new SealtrailError('VERSION_CONFLICT', `there is a user ${name} already`)
      },
    })
    return this.known(id)
  }

  private async change<A extends UserChange>(
    action: A,
    id: string,
    expectedVersion: number,
    actor: string,
    details: AdminDetails<A>,
    check: (user: User) => void = () => undefined,
  ): Promise<void> {
    await this.run({
      action,
      target: id,
      version: expectedVersion + 1,
      actor,
      details,
      check: () => check(expectVersion(this.state.users.get(id), expectedVersion, 'user')),
    })
  }

  /** @throws SealtrailError `LAST_ADMIN` when without this user nobody of his log could administer it */
  private demandAnotherAdmin(user: User): void {
    if (!isActiveAdmin(user)) return
    const another = this.users().some(
      (each) => each.id !== user.id && each.logId === user.logId && isActiveAdmin(each),
    )
    if (another) return
    throw new SealtrailError('LAST_ADMIN', `no administrator would be left without ${user.name}`, {
      hint: 'Make somebody else an administrator first, who has signed in.',
    })
  }

  private freeName(wanted: string): string {
    const base = wanted.replaceAll(/[^a-zA-Z0-9._@-]+/g, '-').slice(0, 55) || 'person'
    return this.state.userByName(base) === undefined ? base : `${base}-${hex(this.parts.random(4))}`
  }

  private known(id: string): User {
    const user = this.state.users.get(id)
    if (user === undefined) throw new SealtrailError('INTERNAL', 'the user is not in the fold')
    return user
  }

  private async hash(password: string): Promise<string> {
    return this.parts.passwords.hash(checked(Password, password, 'password'))
  }

  private newLink(): { token: string; link: OneTimeLink } {
    const token = Buffer.from(this.parts.random(24)).toString('base64url')
    const expiresAt = timestampFromMs(this.parts.clock() + linkLifetimeMs)
    return { token, link: { tokenSha256: tokenDigest(token), expiresAt } }
  }

  private isOver({ expiresAt }: OneTimeLink): boolean {
    return timestampToMs(expiresAt) <= this.parts.clock()
  }
}

type UserChange = Exclude<Extract<AdminAction, `user.${string}`>, 'user.create' | 'user.sign_in'>

/** Somebody who can sign in and administer. */
function isActiveAdmin(user: User): boolean {
  const canSignIn = user.passwordHash !== undefined || user.federated !== undefined
  return user.role === 'admin' && !user.disabled && canSignIn
}

function demandOwnPassword(user: User): void {
  if (user.federated === undefined) return
  throw new SealtrailError(
    'REQUEST_INVALID',
    `${user.name} signs in at ${user.federated.issuer}, and has neither password nor second factor here`,
  )
}

function wrongCode(): SealtrailError {
  return new SealtrailError('CREDENTIALS_INVALID', 'the code is wrong or was used already', {
    hint: 'Wait for the next one of your authenticator, or use a recovery code.',
  })
}
