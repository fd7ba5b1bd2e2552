import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PasswordHasher } from '../../ledger/control/password-hash.ts'
import type { User } from '../../ledger/control/system-state.ts'
import { totpCode, totpStepAt } from '../../ledger/control/totp.ts'
import { systemLogId } from '../../ledger/log-id.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { openControl, stateOf } from './open-control.ts'

/** These tests are about the fold; argon2id would only make them slow. */
const plain: PasswordHasher = {
  hash: async (password) => `plain:${password}`,
  verify: async (stored, password) => stored === `plain:${password}`,
}
const password = 'correct horse battery staple'
const dayMs = 24 * 60 * 60_000

let directory: string
let opened: Awaited<ReturnType<typeof openControl>>
const accounts = () => opened.control.accounts

beforeEach(async () => {
  directory = await temporaryDirectory()
  opened = await openControl(directory, { passwords: plain })
})
afterEach(() => opened.close())

/** The state survives exactly. */
async function reopen(): Promise<void> {
  const before = stateOf(opened.control)
  const { nowMs } = opened.clock
  await opened.close()
  opened = await openControl(directory, { passwords: plain })
  opened.clock.nowMs = nowMs
  expect(stateOf(opened.control)).toEqual(before)
}

async function refused(code: string, command: () => Promise<unknown>): Promise<void> {
  const before = { size: await opened.storage.size(systemLogId), state: stateOf(opened.control) }
  await expect(command()).rejects.toMatchObject({ code })
  const after = { size: await opened.storage.size(systemLogId), state: stateOf(opened.control) }
  expect(after).toEqual(before)
}

const make = (name: string, role: User['role'] = 'analyst') =>
  accounts().createUser({ name, password, role }, 'operator')
const now = (user: User): User => {
  const found = accounts().user(user.id)
  if (found === undefined) throw new Error('no such user')
  return found
}

describe('the last administrator', () => {
  test('can be neither disabled nor made anything else, and another one changes that', async () => {
    const root = await make('root', 'admin')
    await make('ann')
    await refused('LAST_ADMIN', () => accounts().disableUser(root.id, 1, 'x'))
    await refused('LAST_ADMIN', () => accounts().setRole(root.id, 'viewer', 1, 'x'))
    const second = await make('second', 'admin')
    await accounts().setRole(root.id, 'viewer', 1, 'x')
    await refused('LAST_ADMIN', () => accounts().disableUser(second.id, 1, 'x'))
    await reopen()
    await refused('LAST_ADMIN', () => accounts().disableUser(second.id, 1, 'x'))
  })

  test('is not relieved by one who never signed in, is disabled, or is at home in another log', async () => {
    const root = await make('root', 'admin')
    await accounts().invite({ name: 'invited', role: 'admin' }, 'x')
    const { token } = await accounts().invite({ name: 'b', role: 'admin', logId: 'other' }, 'x')
    await accounts().usePasswordLink(token, password)
    const disabled = await make('disabled', 'admin')
    await accounts().disableUser(disabled.id, 1, 'x')
    await refused('LAST_ADMIN', () => accounts().disableUser(root.id, 1, 'x'))
  })

  test('of two administrators who disable each other at the same moment one stays', async () => {
    const a = await make('a', 'admin')
    const b = await make('b', 'admin')
    const results = await Promise.allSettled([
      accounts().disableUser(a.id, 1, `user:${b.id}`),
      accounts().disableUser(b.id, 1, `user:${a.id}`),
    ])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })
})

describe('sessions', () => {
  test('are over after another password, role, second factor or a disabled account, and after nothing else', async () => {
    await make('root', 'admin')
    const { id } = await make('ann')
    const since = () => accounts().user(id)?.sessionsSince
    const version = () => accounts().user(id)?.version ?? 0
    const changes: [string, boolean, () => Promise<unknown>][] = [
      ['link', false, () => accounts().createPasswordLink(id, version(), 'x')],
      ['role', true, () => accounts().setRole(id, 'auditor', version(), 'x')],
      ['password', true, () => accounts().setPassword(id, password, version(), 'x')],
      ['disable', true, () => accounts().disableUser(id, version(), 'x')],
      ['enable', true, () => accounts().enableUser(id, version(), 'x')],
      [
        'totp',
        true,
        async () => {
          const secret = accounts().newTotpSecret()
          const code = totpCode(secret, totpStepAt(opened.clock.nowMs))
          await accounts().enrolTotp(id, secret, code, version())
        },
      ],
      ['totp removed', true, () => accounts().removeTotp(id, version(), 'x')],
      [
        'sign-in',
        false,
        async () => {
          const user = accounts().user(id)
          if (user !== undefined) await accounts().signIn(user, 'password')
        },
      ],
    ]
    for (const [name, ends, change] of changes) {
      const before = since()
      await change()
      expect([name, since() !== before]).toEqual([name, ends])
    }
  })
})

describe('a link to choose a password', () => {
  test('works once, for a day, and makes an invited person a user', async () => {
    await make('root', 'admin')
    const { user, token } = await accounts().invite({ name: 'ann', role: 'auditor' }, 'x')
    expect(await accounts().authenticateUser('ann', '')).toBeUndefined()
    await refused('CREDENTIALS_INVALID', () => accounts().usePasswordLink('wrong', password))
    await refused('REQUEST_INVALID', () => accounts().usePasswordLink(token, 'short'))
    await reopen()
    opened.clock.nowMs += dayMs
    await refused('CREDENTIALS_INVALID', () => accounts().usePasswordLink(token, password))
    const second = await accounts().createPasswordLink(user.id, 1, 'x')
    await refused('CREDENTIALS_INVALID', () => accounts().usePasswordLink(token, password))
    opened.clock.nowMs += dayMs - 1
    await accounts().usePasswordLink(second, password)
    expect(await accounts().authenticateUser('ann', password)).toMatchObject({ role: 'auditor' })
    await refused('CREDENTIALS_INVALID', () => accounts().usePasswordLink(second, password))
  })

  test('two browsers with one link at the same time: one of them chooses', async () => {
    const { token } = await accounts().invite({ name: 'ann', role: 'viewer' }, 'x')
    const results = await Promise.allSettled(
      ['first long password', 'second long password'].map((each) =>
        accounts().usePasswordLink(token, each),
      ),
    )
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  test('is dead for a disabled account, and cannot be made for one', async () => {
    const ann = await make('ann')
    const token = await accounts().createPasswordLink(ann.id, 1, 'x')
    await accounts().disableUser(ann.id, 2, 'x')
    await refused('CREDENTIALS_INVALID', () => accounts().usePasswordLink(token, password))
    await refused('REQUEST_INVALID', () => accounts().createPasswordLink(ann.id, 3, 'x'))
  })

  test('the setup link is over after a day, as it is when it was printed before links said so', async () => {
    const token = await accounts().createSetupLink()
    opened.clock.nowMs += dayMs
    await refused('CREDENTIALS_INVALID', () =>
      accounts().completeSetup(token, { name: 'root', password }),
    )
  })
})

describe('a second factor', () => {
  const codeAt = (secret: Uint8Array, steps = 0) =>
    totpCode(secret, totpStepAt(opened.clock.nowMs) + steps)

  async function enrolled() {
    const user = await make('ann')
    const secret = accounts().newTotpSecret()
    const codes = await accounts().enrolTotp(user.id, secret, codeAt(secret), 1)
    opened.clock.nowMs += 60_000
    return { user: now(user), secret, codes }
  }

  test('is asked for by password, wrong codes let nobody in, and the right one does', async () => {
    const { user, secret } = await enrolled()
    await refused('SECOND_FACTOR_REQUIRED', () => accounts().signIn(user, 'password'))
    await refused('SECOND_FACTOR_REQUIRED', () => accounts().signIn(user, 'password', ' '))
    const wrong = codeAt(secret) === '000000' ? '000001' : '000000'
    await refused('CREDENTIALS_INVALID', () => accounts().signIn(user, 'password', wrong))
    await refused('CREDENTIALS_INVALID', () =>
      accounts().signIn(user, 'password', codeAt(secret, -3)),
    )
    await accounts().signIn(user, 'password', codeAt(secret))
  })

  test('each code works once: again, at the same moment, an earlier one, and after a restart', async () => {
    const { user, secret } = await enrolled()
    const both = await Promise.allSettled(
      [1, 2].map(() => accounts().signIn(user, 'password', codeAt(secret))),
    )
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await reopen()
    const again = now(user)
    await refused('CREDENTIALS_INVALID', () => accounts().signIn(again, 'password', codeAt(secret)))
    await refused('CREDENTIALS_INVALID', () =>
      accounts().signIn(again, 'password', codeAt(secret, -1)),
    )
    opened.clock.nowMs += 30_000
    await accounts().signIn(again, 'password', codeAt(secret))
  })

  test('a recovery code stands in once, also for two at the same moment', async () => {
    const { user, codes } = await enrolled()
    const [code = ''] = codes
    const both = await Promise.allSettled(
      [code, code.toUpperCase()].map((each) => accounts().signIn(user, 'password', each)),
    )
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await reopen()
    await refused('CREDENTIALS_INVALID', () => accounts().signIn(now(user), 'password', code))
    expect(now(user).totp?.recoverySha256).toHaveLength(9)
    await accounts().signIn(now(user), 'password', codes[1])
  })

  test('is not set up by a wrong code, and its first code is used up by it', async () => {
    const user = await make('ann')
    const secret = accounts().newTotpSecret()
    await refused('CREDENTIALS_INVALID', () => accounts().enrolTotp(user.id, secret, 'no', 1))
    await accounts().enrolTotp(user.id, secret, codeAt(secret), 1)
    await refused('CREDENTIALS_INVALID', () =>
      accounts().signIn(now(user), 'password', codeAt(secret)),
    )
  })

  test('roles that must have one are a setting with a version', async () => {
    const ann = await make('ann', 'auditor')
    expect(accounts().mustEnrol(ann)).toBe(false)
    await accounts().setSignInSettings(['auditor', 'admin'], 0, 'x')
    await refused('VERSION_CONFLICT', () => accounts().setSignInSettings([], 0, 'x'))
    await reopen()
    expect(accounts().mustEnrol(now(ann))).toBe(true)
    const secret = accounts().newTotpSecret()
    await accounts().enrolTotp(ann.id, secret, codeAt(secret), 1)
    expect(accounts().mustEnrol(now(ann))).toBe(false)
  })
})

describe('people of an identity provider', () => {
  const person = {
    issuer: 'https://id.test',
    subject: 's-1',
    name: 'Ann B',
    role: 'viewer',
  } as const

  test('are matched by issuer and subject, never by a name; the role follows', async () => {
    const local = await make('Ann-B', 'admin')
    const ann = await accounts().provision(person)
    expect(ann.id).not.toBe(local.id)
    expect(ann.name).toMatch(/^Ann-B-[0-9a-f]{8}$/)
    await reopen()
    const again = await accounts().provision({ ...person, name: 'renamed', role: 'auditor' })
    expect(again).toMatchObject({ id: ann.id, name: ann.name, role: 'auditor' })
    expect(again.sessionsSince).not.toBe(ann.sessionsSince)
    const other = await accounts().provision({ ...person, issuer: 'https://evil.test' })
    expect(other.id).not.toBe(ann.id)
  })

  test('have no password here: none lets them in, and none can be made', async () => {
    const ann = await accounts().provision(person)
    expect(await accounts().authenticateUser(ann.name, '')).toBeUndefined()
    await refused('REQUEST_INVALID', () => accounts().createPasswordLink(ann.id, 1, 'x'))
  })

  test('a disabled one is not let in', async () => {
    const ann = await accounts().provision(person)
    await accounts().disableUser(ann.id, 1, 'x')
    await refused('PERMISSION_DENIED', () => accounts().provision(person))
  })
})

test('neither the secret of a second factor nor a recovery code or link stands in a leaf', async () => {
  const { user, token } = await accounts().invite({ name: 'ann', role: 'viewer' }, 'x')
  await accounts().usePasswordLink(token, password)
  const secret = accounts().newTotpSecret()
  const code = totpCode(secret, totpStepAt(opened.clock.nowMs))
  const codes = await accounts().enrolTotp(user.id, secret, code, 2)
  const leaves: string[] = []
  for await (const segment of opened.storage.readSegments(systemLogId, 0))
    for (const leaf of segment.leaves) leaves.push(Buffer.from(leaf).toString('utf8'))
  const text = leaves.join('\n')
  expect(text).toContain('user.totp')
  const hidden = [
    Buffer.from(secret).toString('hex'),
    token,
    ...codes,
    'plain:',
    'tokenSha256',
    'ann',
  ]
  for (const each of hidden) expect(text).not.toContain(each)
})
