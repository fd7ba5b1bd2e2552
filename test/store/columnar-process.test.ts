import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openColumnarClient } from '../../analytics/store/columnar-client.ts'
import { readerUser } from '../../analytics/store/columnar-config.ts'
import { startColumnarProcess } from '../../analytics/store/columnar-process.ts'
import { migrate } from '../../analytics/store/migrate.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { SyntheticLedger, syntheticLeaf } from './committed-leaf-fixture.ts'
import { countRows, type RunningStore, runStore, storeOptions } from './running-store.ts'

let store: RunningStore

beforeAll(async () => {
  store = await runStore()
})

afterAll(async () => {
  await store.stop()
})

async function ask(user: string, password: string, sql: string): Promise<string> {
  const reply = await fetch(store.process.url, {
    method: 'POST',
    body: sql,
    headers: { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password },
  })
  return reply.text()
}

test('a stranger on loopback gets not one query of the default user', async () => {
  for (const sql of [
    'SELECT 1',
    'SELECT count() FROM sealtrail.observations',
    'SYSTEM STOP LISTEN HTTP',
  ]) {
    expect(await ask('default', '', sql)).toContain('USER_SESSION_LIMIT_EXCEEDED')
  }
})

test('a wrong password is refused for both users', async () => {
  for (const user of [store.process.user, readerUser]) {
    expect(await ask(user, 'wrong', 'SELECT 1')).toContain('AUTHENTICATION_FAILED')
  }
})

test('the read-only user reads the tables and nothing else', async () => {
  const { password } = store.process
  expect(await ask(readerUser, password, 'SELECT count() FROM sealtrail.observations')).toMatch(
    /^\d+\n$/,
  )
  for (const sql of [
    'INSERT INTO sealtrail.migrations (number) VALUES (9)',
    'TRUNCATE TABLE sealtrail.observations',
    'SET max_execution_time = 1000',
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    'SELECT * FROM system.users',
    'SELECT * FROM system.processes',
  ]) {
    expect(await ask(readerUser, password, sql)).toMatch(
      /ACCESS_DENIED|READONLY|SETTING_CONSTRAINT_VIOLATION|Cannot modify/,
    )
  }
})

test('neither user of the product reads files of the machine', async () => {
  const sql = "SELECT * FROM file('/etc/passwd', 'LineAsString')"
  expect(await ask(store.process.user, store.process.password, sql)).toContain('ACCESS_DENIED')
})

test('password and disk key stand in no file, and what is there is for the owner only', async () => {
  for (const name of ['config.xml', 'users.xml']) {
    const path = join(store.directory, name)
    const text = await readFile(path, 'utf8')
    expect(text).not.toContain(storeOptions.password)
    expect(text).not.toContain(storeOptions.diskKey)
    expect((await stat(path)).mode & 0o077).toBe(0)
  }
  expect((await stat(store.directory)).mode & 0o077).toBe(0)
})

test('text of events is found in no file of the folder, and survives a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealtrail-canary-'))
  const canary = 'canary-7c1f0b52-of-the-test'
  const control = 'control-file-of-the-test'
  const ledger = new SyntheticLedger()
  ledger.append([
    syntheticLeaf(0, { 'user.email': canary, 'gen_ai.tool.call.arguments': { note: canary } }),
  ])
  const first = await startColumnarProcess({ ...storeOptions, directory })
  try {
    const client = openColumnarClient(first)
    await migrate({ client })
    await rebuild({ client, reader: ledger })
    expect(await countRows(client, `user_email = '${canary}'`)).toBe(1)
    await client.command('OPTIMIZE TABLE observations FINAL')
    await client.close()
  } finally {
    await first.stop()
  }
  await mkdir(join(directory, 'control'))
  await writeFile(join(directory, 'control', 'file'), `x ${control} x`)
  expect(await filesWith(directory, control)).toEqual([join(directory, 'control', 'file')])
  expect(await filesWith(directory, canary)).toEqual([])
  const second = await startColumnarProcess({ ...storeOptions, directory })
  try {
    const client = openColumnarClient(second)
    expect(await migrate({ client })).toEqual([])
    expect(await countRows(client, `user_email = '${canary}'`)).toBe(1)
    await client.close()
  } finally {
    await second.stop()
    await rm(directory, { recursive: true, force: true })
  }
})

test('a folder opened with another disk key gives back no row', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealtrail-key-'))
  const ledger = new SyntheticLedger()
  ledger.grow(10)
  const first = await startColumnarProcess({ ...storeOptions, directory })
  const client = openColumnarClient(first)
  await migrate({ client })
  await rebuild({ client, reader: ledger })
  await client.close()
  await first.stop()
  const second = await startColumnarProcess({
    ...storeOptions,
    directory,
    diskKey: 'ff'.repeat(32),
  }).catch(() => undefined)
  try {
    if (second === undefined) return
    const other = openColumnarClient(second)
    const rows = await countRows(other).catch(() => 0)
    await other.close()
    expect(rows).toBe(0)
  } finally {
    await second?.stop()
    await rm(directory, { recursive: true, force: true })
  }
})

test('a second engine on the same folder is refused while the first one goes on', async () => {
  await expect(
    startColumnarProcess({ ...storeOptions, directory: store.directory }),
  ).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(await store.client.ping()).toBe(true)
})

test('an engine that was killed is started again with the same address and rows', async () => {
  const before = await countRows(store.client)
  const restarted = once(store.process, 'restarted')
  const pid = store.process.pid
  if (pid === undefined) throw new Error('the engine does not run')
  process.kill(pid, 'SIGKILL')
  await restarted
  expect(store.process.pid).not.toBe(pid)
  expect(await countRows(store.client)).toBe(before)
  expect(await ask('default', '', 'SELECT 1')).toContain('USER_SESSION_LIMIT_EXCEEDED')
})

test('the engine ends when its parent is killed', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealtrail-orphan-'))
  const script = fileURLToPath(new URL('./columnar-parent.ts', import.meta.url))
  const parent = spawn(process.execPath, ['--import', 'tsx', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(parent.stdout.setEncoding('utf8'), 'data')
  const pid = Number(line)
  expect(isRunning(pid)).toBe(true)
  parent.kill('SIGKILL')
  for (let wait = 0; wait < 100 && isRunning(pid); wait++) await sleep(20)
  expect(isRunning(pid)).toBe(false)
  await rm(directory, { recursive: true, force: true })
})

test('a key that is no key is refused before anything starts', async () => {
  await expect(
    startColumnarProcess({ ...storeOptions, directory: store.directory, diskKey: 'abc' }),
  ).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function filesWith(directory: string, text: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    if ((await readFile(path)).includes(text)) found.push(path)
  }
  return found
}
