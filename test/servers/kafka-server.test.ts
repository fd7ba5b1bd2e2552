import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isSealtrailError } from '../../schemas/errors.ts'
import { freePort, startKafka } from '../../scripts/kafka-server.ts'
import { eventually } from '../conformance/event-bus.ts'

let parent: string
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'sealtrail-servers-'))
})
afterAll(() => rm(parent, { recursive: true, force: true }))

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('the Kafka server of npm run servers', () => {
  test('runs once a directory, and its port is its own', async () => {
    const directory = join(parent, 'once')
    const port = await freePort()
    const kafka = await startKafka({ directory, port })
    try {
      expect(kafka.brokers).toBe(`127.0.0.1:${port}`)
      const error = await startKafka({ directory }).catch((cause: unknown) => cause)
      expect(isSealtrailError(error, 'DIRECTORY_LOCKED')).toBe(true)
      expect(isAlive(kafka.pid)).toBe(true)
    } finally {
      await kafka.stop()
    }
    expect(isAlive(kafka.pid)).toBe(false)
    const stranger = createServer().listen(port, '127.0.0.1')
    const error = await startKafka({ directory, port }).catch((cause: unknown) => cause)
    stranger.close()
    expect(isSealtrailError(error, 'PORT_IN_USE')).toBe(true)
    // The lock of the failed start is gone.
    await (await startKafka({ directory })).stop()
  })

  test('prints how to start Sealtrail against it, and stops the broker on SIGINT', async () => {
    const { child, said, pid } = await runServers('signal')
    expect(said()).toMatch(/SEALTRAIL_KAFKA_BROKERS=127\.0\.0\.1:\d+ npm start/)
    child.kill('SIGINT')
    await new Promise((done) => child.once('exit', done))
    expect(child.exitCode).toBe(0)
    expect(isAlive(pid())).toBe(false)
  })

  test('stops a broker whose parent was killed, and goes on with its data', async () => {
    const { child, pid, directory } = await runServers('orphan')
    const clusterId = async () =>
      /cluster\.id=.*/.exec(await readFile(join(directory, 'data/meta.properties'), 'utf8'))?.[0]
    const before = await clusterId()
    child.kill('SIGKILL')
    await new Promise((done) => child.once('exit', done))
    expect(isAlive(pid())).toBe(true)
    const kafka = await startKafka({ directory })
    expect(isAlive(pid())).toBe(false)
    expect(await clusterId()).toBe(before)
    await kafka.stop()
  })
})

async function runServers(name: string) {
  const cwd = await mkdtemp(join(parent, name))
  const loader = import.meta.resolve('tsx')
  const child = spawn(process.execPath, ['--import', loader, resolve('scripts/servers.ts')], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  await eventually(() => text.includes('Ctrl-C') || child.exitCode !== null, 120_000)
  return {
    child,
    said: () => text,
    pid: () => Number(/process (\d+)/.exec(text)?.[1]),
    directory: join(cwd, '.servers/kafka'),
  }
}
