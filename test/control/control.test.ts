import { createHash } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LedgerReader } from '../../ledger/committed.ts'
import { argon2id, type PasswordHasher } from '../../ledger/control/password-hash.ts'
import { systemLogId } from '../../ledger/log-id.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { chainKeyOf, parseSourceSecret, sourceKeyOf } from '../../schemas/source-key.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { openControl, stateOf } from './open-control.ts'

const password = 'correct horse battery staple'
const source = { name: 'gateway', logId: 'main' }
/** What follows `sts_<id>_` or `stk_<id>_`; it may hold `_` itself. */
const tailOf = (text: string, id: string) => text.slice(`sts_${id}_`.length)
const sha256Hex = (text: string) => createHash('sha256').update(text).digest('hex')

let directory: string
let opened: Awaited<ReturnType<typeof openControl>>

beforeEach(async () => {
  directory = await temporaryDirectory()
  opened = await openControl(directory)
})
afterEach(() => opened.close())

async function reopen(overrides?: Parameters<typeof openControl>[1]): Promise<void> {
  await opened.close()
  opened = await openControl(directory, overrides)
}

const systemSize = () => opened.storage.size(systemLogId)

async function admin(name = 'root') {
  const token = await opened.control.accounts.createSetupLink()
  return opened.control.accounts.completeSetup(token, { name, password })
}

/** Nothing may be written by what is refused. */
async function refused(code: string, command: () => Promise<unknown>): Promise<void> {
  const before = { size: await systemSize(), state: stateOf(opened.control) }
  await expect(command()).rejects.toMatchObject({ code })
  expect({ size: await systemSize(), state: stateOf(opened.control) }).toEqual(before)
}

/** As the command writes it. */
function keyCreated(name: string): ObservedEvent {
  return {
    'event.class': 'admin',
    'record.disposition': 'mapped',
    'source.id': 'sealtrail',
    'time.occurred': '2026-11-24T11:59:59.000000000Z',
    'time.observed': '2026-11-24T11:59:59.000000000Z',
    'admin.action': 'source_key.create',
    'admin.target': name,
    'admin.actor': 'operator',
    'admin.version': 1,
    'admin.details': { name, logId: 'main', keySha256: '0'.repeat(64) },
  }
}

describe('the one-time link', () => {
  test('makes one admin who can sign in, and works once', async () => {
    expect(opened.control.accounts.needsSetup()).toBe(true)
    const token = await opened.control.accounts.createSetupLink()
    const user = await opened.control.accounts.completeSetup(token, { name: 'root', password })
    expect(user).toMatchObject({ name: 'root', role: 'admin', disabled: false, version: 1 })
    expect(opened.control.accounts.needsSetup()).toBe(false)
    expect((await opened.control.accounts.authenticateUser('root', password))?.id).toBe(user.id)
    await refused('CREDENTIALS_INVALID', () =>
      opened.control.accounts.completeSetup(token, { name: 'second', password }),
    )
    await reopen()
    await refused('CREDENTIALS_INVALID', () =>
      opened.control.accounts.completeSetup(token, { name: 'second', password }),
    )
  })

  test('two browsers with one link at the same time make one admin', async () => {
    const token = await opened.control.accounts.createSetupLink()
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c'].map((name) =>
        opened.control.accounts.completeSetup(token, { name, password }),
      ),
    )
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
    ])
    expect(opened.control.accounts.users()).toHaveLength(1)
  })

  test('is refused when it is wrong, when a newer one was printed, and when none was', async () => {
    await refused('CREDENTIALS_INVALID', () =>
      opened.control.accounts.completeSetup('', { name: 'root', password }),
    )
    const old = await opened.control.accounts.createSetupLink()
    const newest = await opened.control.accounts.createSetupLink()
    for (const token of [old, `${newest}A`, '']) {
      await refused('CREDENTIALS_INVALID', () =>
        opened.control.accounts.completeSetup(token, { name: 'root', password }),
      )
    }
    await opened.control.accounts.completeSetup(newest, { name: 'root', password })
  })

  test('survives a refused password, and a restart', async () => {
    const token = await opened.control.accounts.createSetupLink()
    await refused('REQUEST_INVALID', () =>
      opened.control.accounts.completeSetup(token, { name: 'root', password: 'short' }),
    )
    await reopen()
    await opened.control.accounts.completeSetup(token, { name: 'root', password })
  })

  test('that was printed before a first admin came by other means makes no second one', async () => {
    const token = await opened.control.accounts.createSetupLink()
    await opened.control.accounts.createUser({ name: 'root', password, role: 'admin' }, 'operator')
    await refused('CREDENTIALS_INVALID', () =>
      opened.control.accounts.completeSetup(token, { name: 'late', password }),
    )
  })
})

describe('users', () => {
  test('a changed password lets in, the old one does not, also after a restart', async () => {
    const user = await admin()
    await opened.control.accounts.setPassword(
      user.id,
      'another long password',
      1,
      `user:${user.id}`,
    )
    for (const restart of [false, true]) {
      if (restart) await reopen()
      expect(await opened.control.accounts.authenticateUser('root', password)).toBeUndefined()
      expect(
        await opened.control.accounts.authenticateUser('ROOT', 'another long password'),
      ).toMatchObject({
        id: user.id,
        version: 2,
      })
    }
  })

  test('a disabled user is not let in, also after a new password and a restart', async () => {
    const user = await admin()
    await admin('another')
    await opened.control.accounts.disableUser(user.id, 1, 'operator')
    await opened.control.accounts.setPassword(user.id, password, 2, 'operator')
    expect(await opened.control.accounts.authenticateUser('root', password)).toBeUndefined()
    await reopen()
    expect(await opened.control.accounts.authenticateUser('root', password)).toBeUndefined()
    expect(opened.control.accounts.user(user.id)).toMatchObject({ disabled: true, version: 3 })
  })

  test('a user who is disabled, or has another password, while he signs in is not let in', async () => {
    const user = await admin()
    await admin('another')
    let meanwhile: () => Promise<void> = async () => undefined
    const verify: PasswordHasher['verify'] = async (stored, given) => {
      const matches = await argon2id.verify(stored, given)
      await meanwhile()
      return matches
    }
    await reopen({ passwords: { hash: argon2id.hash, verify } })
    expect(await opened.control.accounts.authenticateUser('root', password)).toBeDefined()
    meanwhile = () =>
      opened.control.accounts.setPassword(user.id, 'another long password', 1, 'operator')
    expect(await opened.control.accounts.authenticateUser('root', password)).toBeUndefined()
    meanwhile = () => opened.control.accounts.disableUser(user.id, 2, 'operator')
    expect(
      await opened.control.accounts.authenticateUser('root', 'another long password'),
    ).toBeUndefined()
  })

  test('a wrong expected version and an unknown id are refused, and nothing is written', async () => {
    const user = await admin()
    for (const wrong of [0, 2, -1, Number.NaN]) {
      await refused('VERSION_CONFLICT', () =>
        opened.control.accounts.setPassword(user.id, password, wrong, 'operator'),
      )
      await refused('VERSION_CONFLICT', () =>
        opened.control.accounts.disableUser(user.id, wrong, 'operator'),
      )
    }
    await refused('NOT_FOUND', () => opened.control.accounts.disableUser('nobody', 1, 'operator'))
    await refused('NOT_FOUND', () =>
      opened.control.accounts.disableUser('__proto__', 1, 'operator'),
    )
  })

  test('of two changes that saw the same version one is made', async () => {
    const user = await admin()
    const outcomes = await Promise.allSettled([
      opened.control.accounts.setPassword(user.id, 'first new password', 1, 'operator'),
      opened.control.accounts.setPassword(user.id, 'second new password', 1, 'operator'),
      opened.control.accounts.disableUser(user.id, 1, 'operator'),
    ])
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(opened.control.accounts.user(user.id)?.version).toBe(2)
  })

  test('of two users of one name, in whatever case, one is made', async () => {
    const outcomes = await Promise.allSettled(
      ['Anna', 'anna', 'ANNA'].map((name) =>
        opened.control.accounts.createUser({ name, password, role: 'viewer' }, 'operator'),
      ),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(opened.control.accounts.users()).toHaveLength(1)
    await refused('VERSION_CONFLICT', () =>
      opened.control.accounts.createUser({ name: 'aNNa', password, role: 'viewer' }, 'operator'),
    )
  })

  test('names and passwords outside the rules are refused', async () => {
    const bad = [
      { name: '', password },
      { name: 'a b', password },
      { name: 'a\n', password },
      { name: 'x'.repeat(65), password },
      { name: 'anna', password: 'eleven char' },
      { name: 'anna', password: 'x'.repeat(257) },
    ]
    for (const account of bad) {
      await refused('REQUEST_INVALID', () =>
        opened.control.accounts.createUser({ ...account, role: 'viewer' }, 'operator'),
      )
    }
  })

  test('an unknown, a disabled and a known name cost one check of an argon2id hash of the same price', async () => {
    const checked: string[] = []
    const watched: PasswordHasher = {
      hash: argon2id.hash,
      verify(stored, given) {
        checked.push(stored)
        return argon2id.verify(stored, given)
      },
    }
    await reopen({ passwords: watched })
    await admin()
    const gone = await opened.control.accounts.createUser(
      { name: 'gone', password, role: 'viewer' },
      'x',
    )
    await opened.control.accounts.disableUser(gone.id, 1, 'operator')
    for (const name of ['nobody', '', '__proto__', 'gone', 'root']) {
      expect(
        await opened.control.accounts.authenticateUser(name, 'not the password'),
      ).toBeUndefined()
    }
    expect(checked).toHaveLength(5)
    for (const stored of checked) expect(stored).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  })
})

describe('source keys', () => {
  test('the key that was shown authenticates its source until it is revoked, also after a restart', async () => {
    const { id, key, secret } = await opened.control.createSourceKey(source, 'operator')
    const parsed = parseSourceSecret(secret)
    if (parsed === undefined) throw new Error('the secret does not parse')
    expect(sourceKeyOf(parsed)).toBe(key)
    expect(opened.keyring.sourceChainKey(id)).toEqual(new Uint8Array(chainKeyOf(parsed)))
    await reopen()
    expect(opened.control.authenticateSourceKey(key)).toEqual({ sourceId: id, logId: 'main' })
    opened.clock.nowMs += 60_000
    await opened.control.revokeSourceKey(id, 1, 'operator')
    expect(opened.control.authenticateSourceKey(key)).toBeUndefined()
    await reopen()
    expect(opened.control.authenticateSourceKey(key)).toBeUndefined()
    expect(opened.control.sourceKeys()[0]).toMatchObject({
      createdAt: '2026-11-24T12:00:00.000000000Z',
      revokedAt: '2026-11-24T12:01:00.000000000Z',
      version: 2,
    })
  })

  test('nothing but the very key authenticates', async () => {
    const { id, key, secret } = await opened.control.createSourceKey(source, 'operator')
    const other = await opened.control.createSourceKey(source, 'operator')
    const tail = tailOf(key, id)
    const flipped = `${key.slice(0, 20)}${key[20] === 'A' ? 'B' : 'A'}${key.slice(21)}`
    const stored = opened.control.sourceKeys()[0]?.credentials[0]?.keySha256 ?? ''
    for (const token of [
      '',
      id,
      secret,
      stored,
      `${key} `,
      key.slice(0, -1),
      key.toUpperCase(),
      flipped,
      `stk_${other.id}_${tail}`,
      `stk_constructor_${tail}`,
      `stk_${'0'.repeat(12)}_${tail}`,
    ]) {
      expect(opened.control.authenticateSourceKey(token), token).toBeUndefined()
    }
  })

  test('a key that is revoked again stays revoked since the first time', async () => {
    const { id } = await opened.control.createSourceKey(source, 'operator')
    await opened.control.revokeSourceKey(id, 1, 'operator')
    opened.clock.nowMs += 60_000
    await opened.control.revokeSourceKey(id, 2, 'operator')
    expect(opened.control.sourceKeys()[0]?.revokedAt).toBe('2026-11-24T12:00:00.000000000Z')
  })

  test('a revocation with a wrong expected version or of an unknown key is refused, and the key still works', async () => {
    const { id, key } = await opened.control.createSourceKey(source, 'operator')
    for (const wrong of [0, 2])
      await refused('VERSION_CONFLICT', () => opened.control.revokeSourceKey(id, wrong, 'operator'))
    await refused('NOT_FOUND', () => opened.control.revokeSourceKey('nothing', 1, 'operator'))
    expect(opened.control.authenticateSourceKey(key)).toBeDefined()
  })

  test('no key is handed out that the record does not have: names that cannot be put down are refused', async () => {
    for (const name of ['\ud800', 'ok\udfff', 'x'.repeat(100_000), '']) {
      await refused('REQUEST_INVALID', () =>
        opened.control.createSourceKey({ name, logId: 'main' }, 'operator'),
      )
    }
    await opened.control.createSourceKey({ name: 'Übergang ✓ 😀', logId: 'main' }, 'operator')
  })

  test('no source writes into the log of the deployment, nor into what is no log', async () => {
    for (const logId of [systemLogId, '../main', '', 'Main']) {
      await refused('CONFIG_INVALID', () =>
        opened.control.createSourceKey({ name: 'x', logId }, 'operator'),
      )
    }
  })
})

describe('a secret that the operator brings along', () => {
  const secretOf = (id: string, fill: number) =>
    `sts_${id}_${Buffer.alloc(32, fill).toString('base64url')}`
  const keyOf = (text: string) => {
    const parsed = parseSourceSecret(text)
    if (parsed === undefined) throw new Error('the secret does not parse')
    return sourceKeyOf(parsed)
  }

  test('is taken once, however often it is brought', async () => {
    const text = secretOf('front', 1)
    await opened.control.adoptSourceSecret(text, source)
    const size = await systemSize()
    await reopen()
    expect(await opened.control.adoptSourceSecret(text, source)).toBe('front')
    expect(await systemSize()).toBe(size)
    expect(opened.control.authenticateSourceKey(keyOf(text))).toEqual({
      sourceId: 'front',
      logId: 'main',
    })
  })

  test('stays revoked when it is brought again', async () => {
    const text = secretOf('front', 1)
    await opened.control.adoptSourceSecret(text, source)
    await opened.control.revokeSourceKey('front', 1, 'operator')
    await opened.control.adoptSourceSecret(text, source)
    expect(opened.control.authenticateSourceKey(keyOf(text))).toBeUndefined()
  })

  test('takes over neither the id nor the chain of another secret, nor the name of Sealtrail itself', async () => {
    const first = secretOf('front', 1)
    await opened.control.adoptSourceSecret(first, source)
    const chain = opened.keyring.sourceChainKey('front')
    for (const text of [secretOf('front', 2), secretOf('sealtrail', 3)]) {
      await refused('CONFIG_INVALID', () => opened.control.adoptSourceSecret(text, source))
      expect(opened.control.authenticateSourceKey(keyOf(text))).toBeUndefined()
    }
    expect(opened.keyring.sourceChainKey('front')).toEqual(chain)
    expect(opened.control.authenticateSourceKey(keyOf(first))).toBeDefined()
  })

  test('is refused when it is malformed', async () => {
    for (const text of ['', 'sts_front_short', `${secretOf('front', 1)}=`, secretOf('FRONT', 1)])
      await refused('CONFIG_INVALID', () => opened.control.adoptSourceSecret(text, source))
  })
})

describe('what is on the record', () => {
  test('no secret, token, password or hash of one stands readable in a leaf, a payload or any file', async () => {
    const token = await opened.control.accounts.createSetupLink()
    const user = await opened.control.accounts.completeSetup(token, {
      name: 'canary-root',
      password,
    })
    await opened.control.accounts.setPassword(
      user.id,
      'another long password',
      1,
      `user:${user.id}`,
    )
    const { id, key, secret } = await opened.control.createSourceKey(
      { name: 'canary-gateway', logId: 'main' },
      `user:${user.id}`,
    )
    const raw = parseSourceSecret(secret)
    if (raw === undefined) throw new Error('the secret does not parse')
    const keyTail = tailOf(key, id)
    const secrets = [
      token,
      password,
      'another long password',
      keyTail,
      tailOf(secret, id),
      ...[token, key].map(sha256Hex),
      user.passwordHash ?? '',
      '$argon2id',
      opened.control.accounts.user(user.id)?.passwordHash ?? '',
      'canary-root',
      'canary-gateway',
      `user:${user.id}`,
    ].flatMap((text) => [Buffer.from(text), Buffer.from(Buffer.from(text).toString('base64'))])
    const binary = [raw.secret, chainKeyOf(raw), Buffer.from(keyTail, 'base64url')]
    const hexadecimal = binary.map((bytes) => Buffer.from(Buffer.from(bytes).toString('hex')))
    const needles = [...secrets, ...binary.map((bytes) => Buffer.from(bytes)), ...hexadecimal]

    // A needle cut short would be found everywhere, or say nothing.
    for (const needle of needles) expect(needle.length).toBeGreaterThanOrEqual(9)

    await opened.sequencer.publishCheckpoints()
    const haystack: Buffer[] = []
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) haystack.push(await readFile(join(entry.parentPath, entry.name)))
    }
    let leaves = 0
    for await (const chunk of opened.reader.read(systemLogId, 0, await systemSize())) {
      for (const { leaf } of chunk) {
        leaves++
        haystack.push(Buffer.from(leaf))
      }
    }
    expect(leaves).toBe(4)
    const all = Buffer.concat(haystack)
    // Else the search would look at the wrong bytes.
    expect(all.includes(id)).toBe(true)
    expect(all.includes('source_key.create')).toBe(true)
    for (const needle of needles) expect(all.includes(needle), needle.toString()).toBe(false)
  })

  test('every command says who did what to which, and at which version', async () => {
    const user = await admin()
    const { id } = await opened.control.createSourceKey(source, `user:${user.id}`)
    await opened.control.revokeSourceKey(id, 1, `user:${user.id}`)
    const found: unknown[] = []
    for await (const chunk of opened.reader.read(systemLogId, 0, await systemSize())) {
      for (const { event } of chunk)
        found.push([
          event['admin.action'],
          event['admin.target'],
          event['admin.actor'],
          event['admin.version'],
        ])
    }
    expect(found).toEqual([
      ['setup_link.create', 'first-admin', 'operator', 1],
      ['user.create', user.id, 'operator', 1],
      ['source_key.create', id, `user:${user.id}`, 1],
      ['source_key.revoke', id, `user:${user.id}`, 2],
    ])
  })
})

describe('the fold', () => {
  test('misses nothing that is committed while it loads, and takes no command before it is whole', async () => {
    for (const name of ['a', 'b', 'c'])
      await opened.control.createSourceKey({ ...source, name }, 'operator')
    let tooEarly: unknown
    await reopen({
      reader: (real, sequencer, control): LedgerReader => ({
        size: (logId) => real.size(logId),
        logIds: () => real.logIds(),
        readOne: (logId, index) => real.readOne(logId, index),
        async *read(logId, from, until) {
          for await (const leaves of real.read(logId, from, until)) {
            if (tooEarly === undefined) {
              tooEarly = await control()
                .accounts.createSetupLink()
                .catch((error: unknown) => error)
              await sequencer().append(systemLogId, [keyCreated('meanwhile')])
            }
            yield leaves
          }
        },
      }),
    })
    expect(tooEarly).toMatchObject({ code: 'INTERNAL' })
    const names = opened.control.sourceKeys().map(({ name }) => name)
    expect(names).toEqual(['a', 'b', 'c', 'meanwhile'])
  })

  test('does not start on records whose details are gone: a revoked key must not come back', async () => {
    await admin()
    await opened.close()
    await rm(join(directory, 'payloads'), { recursive: true })
    await expect(openControl(directory)).rejects.toMatchObject({
      code: 'PAYLOAD_MISSING',
      message: expect.stringContaining('leaf 0 of _system'),
    })
  })

  test('follows its own log only', async () => {
    await opened.sequencer.append('main', [keyCreated('elsewhere')])
    expect(opened.control.sourceKeys()).toEqual([])
    await opened.sequencer.append(systemLogId, [keyCreated('here')])
    expect(opened.control.sourceKeys()).toHaveLength(1)
  })
})
