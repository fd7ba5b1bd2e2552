import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { ControlClient } from '../cli/control-client.ts'
import { dataPaths } from '../ledger/data-directory.ts'
import { CreateSourceKeyReply } from '../schemas/api/sources.ts'
import { benchEvent } from './workload.ts'

/**
 * `npx tsx bench/overload.ts [--seconds 20] [--rate 400]`: memory of core at its quota, at ten times that, under bodies
 * of 4 MiB from many senders at once, and under connections that say nothing. Every event that was answered with 2xx is
 * counted in the ledger. Fails when one is missing, or when ten times the load take
 * 256 MiB more than the load itself.
 */
const { values: flags } = parseArgs({
  options: { seconds: { type: 'string', default: '20' }, rate: { type: 'string', default: '400' } },
})
const seconds = Number(flags.seconds)
const rate = Number(flags.rate)
const batchEvents = 20
const allowedGrowthMib = 256

const directory = await mkdtemp(join(tmpdir(), 'sealtrail-overload-'))
const main = fileURLToPath(new URL('../bin/sealtrail.mjs', import.meta.url))
const flagsOfUp = ['up', '--data', directory, '--port', '0', '--otlp-port', '0', '--no-web']
const child = spawn(process.execPath, ['--max-semi-space-size=64', main, ...flagsOfUp], {
  stdio: ['ignore', 'pipe', 'inherit'],
  env: { ...process.env, SEALTRAIL_LOG_LEVEL: 'error' },
})
const pid = child.pid ?? 0
const print = (text: string) => process.stdout.write(`${text}\n`)
const agent = new Agent({ keepAlive: true, maxSockets: 512 })
let numbered = 0
let accepted = 0

try {
  const port = await new Promise<number>((resolve, reject) => {
    let text = ''
    child.once('exit', () => reject(new Error('Sealtrail did not start')))
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const found = /Events\s+http:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]
      if (found !== undefined) resolve(Number(found))
    })
  })
  const control = new ControlClient(dataPaths(directory).controlSocket)
  const { id, key } = await control.call(CreateSourceKeyReply, 'POST', '/api/v1/source-keys', {
    name: 'overload',
  })
  const setQuota = (eventsPerSecond: number, expectedVersion: number) =>
    control.call(z.strictObject({}), 'POST', `/api/v1/sources/${id}/quota`, {
      quota: { eventsPerSecond, bytesPerSecond: 2 ** 30, rejectedBytesPerDay: 0 },
      expectedVersion,
    })
  const post = (body: string | Buffer, events: number) =>
    new Promise<number>((resolve) => {
      const outgoing = request(
        {
          agent,
          port,
          host: '127.0.0.1',
          method: 'POST',
          path: '/v1/events',
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/x-ndjson' },
        },
        (response) => {
          const status = response.statusCode ?? 0
          if (status === 200) accepted += events
          response.resume()
          response.once('end', () => resolve(status))
        },
      )
      // A refusal may come while the body is still on its way.
      outgoing.once('error', () => resolve(0))
      outgoing.end(body)
    })
  const batch = () =>
    Array.from({ length: batchEvents }, () => JSON.stringify(benchEvent(numbered++))).join('\n')

  /** Open loop: requests are sent when they are due, whether those before were answered or not. */
  const offer = async (perSecond: number) => {
    const statuses = new Map<number, number>()
    const running = new Set<Promise<void>>()
    const started = performance.now()
    const total = Math.floor((perSecond * seconds) / batchEvents)
    let offered = 0
    for (; offered < total; offered++) {
      await sleep(
        Math.max(0, started + ((offered * batchEvents) / perSecond) * 1000 - performance.now()),
      )
      if (performance.now() - started > seconds * 2000) break
      const each = post(batch(), batchEvents).then((status) => {
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        running.delete(each)
      })
      running.add(each)
    }
    await Promise.all(running)
    return { offered: offered * batchEvents, statuses }
  }
  const measured = async <T>(name: string, run: () => Promise<T>, tell: (result: T) => string) => {
    const samples: number[] = [rssMib(pid)]
    const sampling = setInterval(() => samples.push(rssMib(pid)), 200)
    const cpuBefore = cpuMs(pid)
    const result = await run()
    clearInterval(sampling)
    const half = Math.ceil(samples.length / 2)
    const firstMib = Math.max(...samples.slice(0, half))
    const secondMib = Math.max(...samples.slice(half))
    print(
      `${name}: ${tell(result)}; core at most ${firstMib} MiB in the first half, ${secondMib} MiB in the second, ${Math.round(cpuMs(pid) - cpuBefore)} ms of CPU`,
    )
    return { firstMib, secondMib }
  }
  const told = ({ offered, statuses }: { offered: number; statuses: Map<number, number> }) =>
    `${offered} events offered, requests by status ${[...statuses]
      .sort()
      .map(([status, count]) => `${status}: ${count}`)
      .join(', ')}`

  print(
    `machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}; ${seconds} s each`,
  )
  await setQuota(rate, 0)
  const atQuota = await measured(`at the quota of ${rate}/s`, () => offer(rate), told)
  const overQuota = await measured('at ten times that', () => offer(rate * 10), told)
  await setQuota(1_000_000, 1)
  const flood = Buffer.from(
    `${JSON.stringify(benchEvent(numbered++))}\n`.padEnd(4 * 1024 * 1024, ' '),
  )
  await measured(
    '256 bodies of 4 MiB at once',
    async () => {
      const statuses = new Map<number, number>()
      for (const status of await Promise.all(Array.from({ length: 256 }, () => post(flood, 0))))
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
      return { offered: 256, statuses }
    },
    told,
  )
  await measured(
    '3000 connections that say nothing',
    async () => {
      const sockets: Socket[] = []
      for (let i = 0; i < 3000; i++) {
        const socket = connect(port, '127.0.0.1')
        // Read, so that the end is seen.
        socket.on('error', () => undefined).resume()
        sockets.push(socket)
        if (i % 200 === 0) await sleep(20)
      }
      const countOpen = () =>
        sockets.filter((socket) => !socket.destroyed && !socket.readableEnded).length
      let open = sockets.length
      for (let still = 0; still < 4; ) {
        await sleep(500)
        still = countOpen() === open && open < sockets.length ? still + 1 : 0
        open = countOpen()
      }
      const status = await post(batch(), batchEvents)
      for (const socket of sockets) socket.destroy()
      return { open, status }
    },
    ({ open, status }) =>
      `${open} stay open; a request meanwhile is answered ${status === 0 ? 'not' : status}`,
  )
  const { sources } = await untilCounted(control, accepted)
  print(`${accepted} events answered with 200, ${sources} in the ledger`)
  const growth = overQuota.secondMib - atQuota.secondMib
  print(`memory at ten times the quota beyond that at the quota: ${growth} MiB`)
  if (sources < accepted || growth > allowedGrowthMib) process.exitCode = 1
} finally {
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 })
}

/** Mapped events of the source, when the columnar store has followed. */
async function untilCounted(control: ControlClient, wanted: number): Promise<{ sources: number }> {
  const Sources = z.looseObject({ sources: z.array(z.looseObject({ mapped: z.number() })) })
  let sources = 0
  for (let tries = 0; tries < 300; tries++) {
    const reply = await control.call(Sources, 'GET', '/api/v1/sources')
    sources = reply.sources.reduce((sum, { mapped }) => sum + mapped, 0)
    if (sources >= wanted) break
    await sleep(100)
  }
  return { sources }
}

function rssMib(of: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${of}/status`, 'utf8'))?.[1]
  return Math.round(Number(kib) / 1024)
}

function cpuMs(of: number): number {
  const fields = readFileSync(`/proc/${of}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10
}
