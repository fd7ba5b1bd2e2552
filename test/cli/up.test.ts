import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dataPaths } from '../../ledger/data-directory.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { RunningSealtrail, runSealtrail } from '../fixtures/running-sealtrail.ts'

const program = join(import.meta.dirname, '../../bin/sealtrail.mjs')
const golden = join(import.meta.dirname, '../golden/data')
let sealtrail: RunningSealtrail

beforeAll(async () => {
  sealtrail = await RunningSealtrail.start(undefined, { SEALTRAIL_LOG_LEVEL: 'debug' })
  const key = await sealtrail.key('first')
  const response = await fetch(`${sealtrail.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      'event.class': 'tool_call',
      'gen_ai.tool.name': 'hello',
      'gen_ai.tool.call.arguments': { note: 'CANARY-7f31 is not for logs' },
    }),
  })
  expect(response.status).toBe(200)
}, 60_000)
afterAll(() => sealtrail?.end())

describe('verify through a running Sealtrail', () => {
  test('is well with the key and the size that somebody holds elsewhere', async () => {
    const { stdout: vkey } = await sealtrail.command(['vkey'])
    expect(vkey).toMatch(/^sealtrail-[0-9a-f]{16}\/main\+/)
    const result = await sealtrail.command(['verify', '--key', vkey.trim(), '--size', '1'])
    expect(result).toMatchObject({ code: 0 })
    expect(result.stdout).toMatch(
      /^OK {2}main: \d+ leaves, \d+ checkpoints, \d+ payloads, \d+ rows$/m,
    )
    expect(result.stdout).toMatch(/^OK {2}_system: /m)
  })

  test('a log that is smaller than it was seen is bad', async () => {
    const result = await sealtrail.command(['verify', '--size', '999'])
    expect(result).toMatchObject({ code: 1 })
    expect(result.stdout).toMatch(/^BAD log main holds \d+ leaves, and 999 were seen before/m)
    // A size is that of one log.
    expect(result.stdout).toMatch(/^OK {2}_system: /m)
  })

  test('a log that is signed with another key is bad', async () => {
    const foreign = readFileSync(join(golden, 'signer/main.vkey'), 'utf8').trim()
    const result = await sealtrail.command(['verify', '--log', 'main', '--key', foreign])
    expect(result).toMatchObject({ code: 1 })
    expect(result.stdout).toMatch(
      /^BAD log main is signed with .* not with the key that you hold$/m,
    )
  })

  test.each([
    [['--log', 'nope'], /there is no log nope here; there is main and _system \(NOT_FOUND\)/],
    [['--tree-only'], /--tree-only goes with --offline \(CONFIG_INVALID\)/],
    [['--offline'], /process \d+ uses .* \(DIRECTORY_LOCKED\)/],
  ])('%j is refused with a sentence', async (flags, message) => {
    const result = await sealtrail.command(['verify', ...flags])
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(message)
  })
})

describe('what runs', () => {
  test('is rebuilt while it runs, and told equal to the ledger', async () => {
    const result = await sealtrail.command(['rebuild'])
    expect(result).toMatchObject({ code: 0 })
    expect(result.stdout).toMatch(/^main: \d+ rows, equal to the ledger$/m)
    expect(result.stdout).toMatch(/^_system: \d+ rows, equal to the ledger$/m)
    expect(result.stdout).toMatch(/^Rebuilt, and read from all the time\.$/m)
  })

  test('a one-time link leads to where it listens', async () => {
    const { stdout } = await sealtrail.command(['setup-link'])
    expect(stdout).toMatch(new RegExp(`^${sealtrail.url}/setup\\?token=[\\w-]{32}\\n$`))
    const elsewhere = await sealtrail.command(['setup-link', '--url', 'https://s.example/'])
    expect(elsewhere.stdout).toMatch(/^https:\/\/s\.example\/setup\?token=/)
  })

  test('a bundle is readable by its owner only, and nothing of it stays behind', async () => {
    const out = join(sealtrail.directory, 'bundle')
    const range = ['--from', '2020-01-01', '--to', '2100-01-01']
    const result = await sealtrail.command(['export', ...range, '--out', out])
    expect(result).toMatchObject({ code: 0 })
    expect(statSync(out).mode & 0o777).toBe(0o700)
    expect(readdirSync(dataPaths(sealtrail.directory).exports)).toEqual([])
  })

  test('health says that it takes events, and how the columnar store is', async () => {
    const json = async (path: string) => (await fetch(`${sealtrail.url}${path}`)).json()
    expect(await json('/healthz')).toEqual({ status: 'ok' })
    expect(await json('/readyz')).toEqual({ status: 'ready', columnar: 'ready' })
  })

  test('metrics have what an alert needs', async () => {
    const text = await (await fetch(`${sealtrail.url}/metrics`)).text()
    for (const metric of [
      'sealtrail_build_info{version="0.1.0"} 1',
      'sealtrail_ledger_leaves{log="main"}',
      'sealtrail_published_leaves{log="main"}',
      'sealtrail_indexed_leaves{log="main"}',
      'sealtrail_judged_leaves{log="main"}',
      'sealtrail_projection_different{log="main"} 0',
      'sealtrail_columnar_up 1',
      'sealtrail_bus_lag_batches',
      'sealtrail_received_records_total{receiver="native",disposition="mapped"} 1',
      'sealtrail_received_bytes_total{receiver="native"}',
      'sealtrail_http_request_duration_seconds_count{route="/v1/events",status="200"} 1',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_seconds',
    ]) {
      expect(text).toContain(metric)
    }
  })

  test('a program that asks for what is not there gets a problem, not a page', async () => {
    for (const path of ['/v1/events?q=secret', '/nothing']) {
      const response = await fetch(`${sealtrail.url}${path}`)
      expect([path, response.status]).toEqual([path, 404])
      expect(response.headers.get('content-type')).toContain('application/problem+json')
      expect(await response.text()).not.toContain('secret')
    }
  })

  test('the log holds nothing of what was recorded, at any level', () => {
    expect(sealtrail.output).toContain('"level":')
    expect(sealtrail.output).not.toContain('CANARY-7f31')
  })
})

describe('a start that cannot be', () => {
  const up = (directory: string, port: string) =>
    runSealtrail(['up', '--no-web', '--data', directory, '--port', port, '--otlp-port', '0'])

  test('a second process on one directory names the first', async () => {
    const result = await up(sealtrail.directory, '0')
    expect(result.code).toBe(2)
    expect(result.stderr).toMatch(
      new RegExp(`process ${sealtrail.pid} uses .*\\(DIRECTORY_LOCKED\\)\\nStop it first`),
    )
  })

  test('a port that is taken is named before anything is started', async () => {
    const directory = await temporaryDirectory()
    const result = await up(directory, String(sealtrail.port))
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(
      new RegExp(`--port: port ${sealtrail.port} on 127\\.0\\.0\\.1 is in use \\(PORT_IN_USE\\)`),
    )
    rmSync(directory, { recursive: true, force: true })
  })
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '%s during the start ends it, and leaves a directory that opens',
  async (signal, code) => {
    const directory = await temporaryDirectory()
    const args = ['up', '--no-web', '--data', directory, '--port', '0', '--otlp-port', '0']
    const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8')
    })
    const gone = once(child, 'exit')
    while (!said.includes('Starting') && child.exitCode === null) await sleep(5)
    child.kill(signal)
    expect((await gone)[0]).toBe(code)
    expect(said).toContain('Stopped while it started.')
    const again = await RunningSealtrail.start(directory)
    expect(await again.stop()).toBe(0)
    rmSync(directory, { recursive: true, force: true })
  },
)
