import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { Receipt } from '../../schemas/receipt.ts'
import { RunningSealtrail, runSealtrail } from '../fixtures/running-sealtrail.ts'

const Sent = z.object({ receipt: Receipt })
const root = mkdtempSync(join(tmpdir(), 'sealtrail-backup-'))
const at = (name: string) => join(root, name)
let sealtrail: RunningSealtrail
let restored: RunningSealtrail | undefined
let key: string
beforeAll(async () => {
  sealtrail = await RunningSealtrail.start()
  key = await sealtrail.key('first')
}, 60_000)
afterAll(async () => {
  await restored?.end()
  await sealtrail.end()
  rmSync(root, { recursive: true, force: true })
})

const eventOf = (user: string, word: string) => ({
  'event.class': 'tool_call',
  'user.id': user,
  'gen_ai.tool.name': 'read',
  'gen_ai.tool.call.arguments': { word },
})

async function send(events: readonly object[]): Promise<number> {
  const reply = await fetch(`${sealtrail.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(events),
  })
  expect(reply.status).toBe(200)
  return Sent.parse(await reply.json()).receipt.treeSize
}

test('a backup made while events stream in holds everything that was receipted before it, and is restored elsewhere', async () => {
  let streaming = true
  let acknowledged = await send([eventOf('alice', 'aliceword'), eventOf('bob', 'bobword')])
  const stream = (async () => {
    for (let i = 0; streaming; i++)
      acknowledged = await send([eventOf('carol', `c${i}`), eventOf('dave', `d${i}`)])
  })()
  while (acknowledged < 40) await new Promise((resolve) => setTimeout(resolve, 10))
  const before = acknowledged
  const made = await sealtrail.command(['backup', at('backup'), '--keys', at('keys'), '--verify'])
  streaming = false
  await stream
  expect(made, made.stdout + made.stderr).toMatchObject({ code: 0, stderr: '' })
  expect(made.stdout).toMatch(/The master key is not in it/)
  expect(acknowledged).toBeGreaterThan(before)
  expect(readdirSync(at('backup')).sort()).toEqual([
    'anchors',
    'ledger',
    'manifest.json',
    'payloads',
    'signer',
  ])
  expect(readdirSync(at('keys'), { recursive: true })).toEqual(['keyring', 'keyring/keyring'])
  expect(await sealtrail.command(['backup', at('backup')])).toMatchObject({ code: 2 })

  // After the backup somebody is erased, and the operator keeps the list.
  const erased = await sealtrail.command([
    'erase',
    '--user',
    'alice',
    '--ground',
    'objection',
    '--yes',
  ])
  expect(erased, erased.stdout + erased.stderr).toMatchObject({ code: 0 })
  writeFileSync(at('erased.json'), (await sealtrail.command(['erasures', '--list'])).stdout)
  const masterKey = join(sealtrail.directory, 'keyring/master.key')

  const restore = ['restore', at('backup'), '--data', at('data'), '--keys', at('keys')]
  const silent = await runSealtrail([...restore, '--master-key', masterKey])
  expect(silent.code).toBe(2)
  expect(silent.stderr).toMatch(/a restore would bring it back/)
  const done = await runSealtrail([
    ...restore,
    '--master-key',
    masterKey,
    '--erased',
    at('erased.json'),
  ])
  expect(done, done.stdout + done.stderr).toMatchObject({ code: 0 })
  const size = Number(/OK {2}main: (\d+) leaves/.exec(done.stdout)?.[1])
  expect(size).toBeGreaterThanOrEqual(before)
  expect(done.stdout).toMatch(/1 erased \(of 1 no leaf says so\)/)
  for (const name of readdirSync(at('data'), { recursive: true, encoding: 'utf8' })) {
    const { mode } = statSync(at(join('data', name)))
    expect([name, mode & 0o077]).toEqual([name, 0])
  }
  const again = await runSealtrail([
    ...restore,
    '--master-key',
    masterKey,
    '--nothing-erased-since',
  ])
  expect(again.code).toBe(2)
  expect(again.stderr).toMatch(/is not empty/)

  restored = await RunningSealtrail.start(at('data'))
  const verified = await restored.verify('main')
  expect(verified).toMatchObject({ ok: true, firstProblem: null })
  expect(verified.treeSize).toBeGreaterThanOrEqual(before)
  const found = async (word: string) => {
    const query = new URLSearchParams({
      q: word,
      from: '2000-01-01T00:00:00Z',
      until: '2100-01-01T00:00:00Z',
    })
    const { rows } = await (restored as RunningSealtrail).control.call(
      z.object({ rows: z.array(z.unknown()) }),
      'GET',
      `/api/v1/events?${query}`,
    )
    return rows.length
  }
  while ((await found('bobword')) === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  expect(await found('aliceword')).toBe(0)
}, 180_000)

test('a backup that was altered or lacks a file is not restored, and no directory is made of it', async () => {
  const masterKey = join(sealtrail.directory, 'keyring/master.key')
  const restore = [
    'restore',
    at('backup'),
    '--data',
    at('other'),
    '--master-key',
    masterKey,
    '--nothing-erased-since',
  ]
  const without = await runSealtrail(restore)
  expect(without.code).toBe(2)
  expect(without.stderr).toMatch(/keyring of the backup is gone.*--keys/s)
  const file = at('backup/signer/main.vkey')
  writeFileSync(file, readFileSync(file).fill(0x41, 20, 21))
  const altered = await runSealtrail([...restore, '--keys', at('keys')])
  expect(altered.code).toBe(2)
  expect(altered.stderr).toMatch(/main\.vkey is not what the backup holds/)
  rmSync(at('backup/manifest.json'))
  const half = await runSealtrail([...restore, '--keys', at('keys')])
  expect(half.stderr).toMatch(/is no backup/)
  expect(existsSync(at('other')) ? readdirSync(at('other')) : []).toEqual([])
}, 60_000)
