import { appendFileSync, chmodSync, cpSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { checks, type Diagnosis, diagnose, doctorCommand } from '../../cli/doctor-command.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'
import { fillSmallDirectory } from '../fixtures/small-directory.ts'

let original: string
const made: string[] = []

beforeAll(async () => {
  original = await temporaryDirectory()
  made.push(original)
  await fillSmallDirectory(original)
})
afterEach(() => {
  delete process.env.SEALTRAIL_PORT
})
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

async function copy(): Promise<string> {
  const path = await temporaryDirectory()
  made.push(path)
  cpSync(original, path, { recursive: true })
  return path
}

async function found(directory: string, ...names: string[]): Promise<Diagnosis[]> {
  const all: Diagnosis[] = []
  for await (const each of diagnose(
    directory,
    undefined,
    checks.filter(({ name }) => names.includes(name)),
  ))
    all.push(each)
  return all.filter(({ check }) => names.includes(check))
}

describe('sealtrail doctor', () => {
  test('finds nothing wrong with a directory as it should be, and says what it looked at', async () => {
    const lines: string[] = []
    const code = await doctorCommand({ data: original }, undefined, (line) => lines.push(line))
    const text = lines.join('\n')
    expect(text).not.toMatch(/^fail/m)
    expect(code).toBe(0)
    for (const what of [
      /^ok +runtime +Node\.js \d+/m,
      /^ok +disk +a sync takes|^warn +disk +a sync takes/m,
      /^ok +permissions +.* are for their owner only/m,
      /^ok +keys +the master key opens/m,
      /^ok +ledger +log main holds 7 leaves, and 7 were signed/m,
      /^ok +ledger +the clock says/m,
      /^ok +engine +ClickHouse [\d.]+ starts, answers, and writes encrypted/m,
    ])
      expect(text).toMatch(what)
  })

  test.each([
    [
      'a key that others may read',
      'permissions',
      (path: string) => chmodSync(join(path, 'keyring/master.key'), 0o644),
      'fail',
      /master\.key is open to others: 644/,
      /chmod 600/,
    ],
    [
      'a directory that others may enter',
      'permissions',
      (path: string) => chmodSync(path, 0o755),
      'fail',
      /is open to others: 755/,
      /chmod 700/,
    ],
    [
      'another master key',
      'keys',
      (path: string) => writeFileSync(join(path, 'keyring/master.key'), `${'ab'.repeat(32)}\n`),
      'fail',
      /line 0 of .*keyring does not authenticate/,
      /Check that the master key is the one/,
    ],
    [
      'a keyring that is gone',
      'keys',
      (path: string) => rmSync(join(path, 'keyring/keyring')),
      'fail',
      /the keyring is gone/,
      /Restore it/,
    ],
    [
      'a torn end',
      'ledger',
      (path: string) =>
        appendFileSync(join(path, 'ledger/main/segments/00000000.log'), 'torn and torn'),
      'warn',
      /segments\/00000000\.log at byte \d+: a torn last frame of 13 bytes/,
      /the next start cuts it/,
    ],
    [
      'a log that was rolled back',
      'ledger',
      (path: string) => rmSync(join(path, 'ledger/main'), { recursive: true }),
      'fail',
      /log main holds 0 leaves, and 7 were signed: it was rolled back/,
      /Restore ledger, payloads, keyring and signer/,
    ],
  ] as const)('names %s', async (_name, check, damage, state, what, next) => {
    const path = await copy()
    damage(path)
    const finding = (await found(path, check)).find((each) => each.state === state)
    expect(finding?.what).toMatch(what)
    expect(finding?.next).toMatch(next)
  })

  test('names a port that is taken, a setting that is wrong, and a directory that is not there', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    process.env.SEALTRAIL_PORT = String(
      typeof address === 'object' && address !== null ? address.port : 0,
    )
    expect(await found(original, 'ports')).toContainEqual(
      expect.objectContaining({
        state: 'fail',
        what: expect.stringMatching(
          /^--port: 127\.0\.0\.1 port \d+ cannot be listened on: EADDRINUSE$/,
        ),
      }),
    )
    server.close()
    process.env.SEALTRAIL_PORT = 'x'
    expect(await found(original, 'settings')).toMatchObject([
      { state: 'fail', what: expect.stringContaining('SEALTRAIL_PORT') },
    ])
    expect(await found(join(original, 'nothing'), 'disk')).toMatchObject([{ state: 'warn' }])
  })

  test('works while Sealtrail runs, for people and for programs', async () => {
    const sealtrail = await RunningSealtrail.start()
    try {
      await sealtrail.key('somebody')
      const { code, stdout } = await sealtrail.command(['doctor', '--json'])
      const report: unknown = JSON.parse(stdout)
      expect(report).toMatchObject({ ok: true, running: true })
      expect(stdout).toContain(`this Sealtrail listens on ${sealtrail.url}`)
      expect(stdout).toMatch(/log _system: \d+ leaves/)
      expect(code).toBe(0)
      chmodSync(join(sealtrail.directory, 'keyring/keyring'), 0o640)
      const bad = await sealtrail.command(['doctor'])
      expect(bad.stdout).toMatch(/^fail +permissions +.*keyring is open to others: 640/m)
      expect(bad.code).toBe(1)
    } finally {
      await sealtrail.end()
    }
  })
})
