import { spawn } from 'node:child_process'
import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  fdatasyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { ControlClient } from '../cli/control-client.ts'
import { dataPaths } from '../ledger/data-directory.ts'
import { CreateSourceKeyReply } from '../schemas/api/sources.ts'
import { benchEvent } from './workload.ts'

/** An answer that is no receipt. */
class Refused extends Error {
  readonly status: number
  readonly retryAfter: string | undefined

  constructor(status: number, retryAfter: string | undefined) {
    super(`answered ${status}`)
    this.status = status
    this.retryAfter = retryAfter
  }
}

/**
 * `npx tsx bench/ingest.ts [--seconds 20] [--rate 0] [--bytes 995]`: the whole way from HTTP to the columnar store with detectors on, 1 KB
 * events in batches of 500, against the floor of one thread in the same run (parse, hash, encrypt, one sync a batch).
 * Prints events a second, microseconds of CPU an event and process, receipt times at 2,000 events a second, memory.
 */
const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    rate: { type: 'string', default: '0' },
    bytes: { type: 'string', default: '995' },
  },
})
const seconds = Number(flags.seconds)
/** Events a second; 0 is as many as are answered. */
const rate = Number(flags.rate)
const batchEvents = 500
const eventBytes = Number(flags.bytes)
const senders = 4
/** Requests of twenty events, a hundred a second. */
const paced = 1500
const pacedEvents = 20

const directory = await mkdtemp(join(tmpdir(), 'sealtrail-bench-'))
const child = spawn(
  process.execPath,
  [
    // As `npm start` does.
    '--max-semi-space-size=64',
    fileURLToPath(new URL('../bin/sealtrail.mjs', import.meta.url)),
    'up',
    '--data',
    directory,
    '--port',
    '0',
    '--otlp-port',
    '0',
    '--no-web',
  ],
  {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SEALTRAIL_LOG_LEVEL: 'warn' },
  },
)
try {
  const port = await new Promise<number>((resolve) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const found = /Events\s+http:\/\/127\.0\.0\.1:(\d+)/.exec(text)?.[1]
      if (found !== undefined) resolve(Number(found))
    })
  })
  const control = new ControlClient(dataPaths(directory).controlSocket)
  const { key } = await control.call(CreateSourceKeyReply, 'POST', '/api/v1/source-keys', {
    name: 'bench',
  })
  const agent = new Agent({ keepAlive: true })
  let numbered = 0
  let refused = 0
  let rawBytes = 0
  /** As a sender does: what is refused because there is too much is sent again, and its time runs on. */
  const post = async (count: number): Promise<number> => {
    const body = Array.from({ length: count }, () =>
      JSON.stringify(benchEvent(numbered++, eventBytes)),
    ).join('\n')
    rawBytes += body.length
    const started = performance.now()
    for (;;) {
      try {
        await postOnce(body)
        return performance.now() - started
      } catch (error) {
        if (!(error instanceof Refused) || (error.status !== 429 && error.status !== 503))
          throw error
        refused++
        await sleep(Number(error.retryAfter ?? 1) * 1000)
      }
    }
  }
  const postOnce = (body: string) =>
    new Promise<number>((resolve, reject) => {
      const started = performance.now()
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
          response.resume()
          response.once('end', () =>
            response.statusCode === 200
              ? resolve(performance.now() - started)
              : reject(new Refused(response.statusCode ?? 0, response.headers['retry-after'])),
          )
        },
      )
      outgoing.once('error', reject)
      outgoing.end(body)
    })
  await post(batchEvents)

  const columnarPid = childOf(child.pid ?? 0)
  const print = (text: string) => process.stdout.write(`${text}\n`)
  print(
    `machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}; ${batchEvents} events of ${Buffer.byteLength(JSON.stringify(benchEvent(1, eventBytes)))} bytes a request, ${senders} senders`,
  )
  const before = {
    core: cpuMs(child.pid ?? 0),
    columnar: cpuMs(columnarPid),
    own: process.cpuUsage(),
    events: numbered,
  }
  const memory: { core: number; columnar: number }[] = []
  const sampling = setInterval(
    () => memory.push({ core: rssMib(child.pid ?? 0), columnar: rssMib(columnarPid) }),
    Math.max(1000, (seconds * 1000) / 20),
  )
  const until = performance.now() + seconds * 1000
  const started = performance.now()
  await Promise.all(
    Array.from({ length: senders }, async () => {
      for (let sent = 0; performance.now() < until; sent += batchEvents * senders) {
        const due = rate === 0 ? 0 : started + (sent / rate) * 1000
        await sleep(Math.max(0, due - performance.now()))
        await post(batchEvents)
      }
    }),
  )
  const elapsed = (performance.now() - started) / 1000
  clearInterval(sampling)
  const events = numbered - before.events
  const acknowledged = { core: cpuMs(child.pid ?? 0) }
  const Status = z.object({
    logs: z.array(z.object({ treeSize: z.number(), indexed: z.number(), judged: z.number() })),
  })
  const drainStarted = performance.now()
  for (;;) {
    const { logs } = await control.call(Status, 'GET', '/api/v1/integrity')
    const [main] = logs
    if (main !== undefined && main.indexed >= events && main.judged >= events) break
    await sleep(100)
  }
  const drained = (performance.now() - drainStarted) / 1000
  const own = process.cpuUsage(before.own)
  const perEvent = (ms: number) => ((ms * 1000) / events).toFixed(1)
  print(
    `durable: ${Math.round(events / elapsed)} events/s over ${elapsed.toFixed(1)} s; indexed and judged ${drained.toFixed(1)} s later`,
  )
  print(
    `CPU an event: core ${perEvent(cpuMs(child.pid ?? 0) - before.core)} us (${perEvent(acknowledged.core - before.core)} us until the last receipt), columnar store ${perEvent(cpuMs(columnarPid) - before.columnar)} us, generator ${perEvent((own.user + own.system) / 1000)} us`,
  )
  print(`memory of core, MiB: ${memory.map(({ core }) => core).join(' ')}`)
  print(`memory of the columnar store, MiB: ${memory.map(({ columnar }) => columnar).join(' ')}`)
  print(
    `disk: ${(diskBytes(directory) / numbered).toFixed(0)} bytes an event, ${(diskBytes(directory) / rawBytes).toFixed(2)} x the raw bytes; ${refused} requests were refused for a while`,
  )

  const floorRate = floor(directory)
  print(
    `floor of one thread: ${Math.round(floorRate)} events/s; ratio ${(events / elapsed / floorRate).toFixed(2)}`,
  )

  let clicking = true
  const clicks: number[] = []
  let failedClicks = 0
  const clicker = (async () => {
    const queries = ['', 'tool:send_mail', 'outcome:tool_error user:user-7', 'board']
    for (let i = 0; clicking; i++) {
      const range = new URLSearchParams({
        q: queries[i % queries.length] ?? '',
        from: new Date(Date.now() - 900_000).toISOString(),
        until: new Date(Date.now() + 60_000).toISOString(),
      })
      const clicked = performance.now()
      await Promise.all([
        control.call(z.unknown(), 'GET', `/api/v1/events?${range}`),
        control.call(z.unknown(), 'GET', `/api/v1/histogram?${range}`),
      ]).then(
        () => clicks.push(performance.now() - clicked),
        () => failedClicks++,
      )
      await sleep(1000)
    }
  })()
  const times: number[] = []
  const pace = performance.now()
  const pending: Promise<void>[] = []
  for (let i = 0; i < paced; i++) {
    const wait = pace + i * 10 - performance.now()
    if (wait > 0) await sleep(wait)
    pending.push(post(pacedEvents).then((ms) => void times.push(ms)))
  }
  await Promise.all(pending)
  clicking = false
  await clicker
  print(
    `receipt at 2,000 events/s (batches of 20) while somebody searches each second: p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms; a search with histogram: p50 ${quantile(clicks, 0.5)} ms, ${failedClicks} failed`,
  )
  agent.destroy()
} finally {
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
  rmSync(directory, { recursive: true, force: true })
}

function quantile(values: number[], share: number): string {
  values.sort((a, b) => a - b)
  return (values[Math.floor(values.length * share)] ?? Number.NaN).toFixed(1)
}

/** One thread: parse, hash, encrypt each event, one write and one fdatasync a batch. */
function floor(folder: string): number {
  const file = openSync(join(folder, 'floor'), 'w')
  const key = randomBytes(32)
  const lines = Array.from({ length: batchEvents }, (_, n) => JSON.stringify(benchEvent(n)))
  const started = performance.now()
  let count = 0
  while (performance.now() - started < 3000) {
    const sealed = lines.map((line) => {
      const parsed: object = JSON.parse(line)
      const text = Buffer.from(JSON.stringify(parsed))
      const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12))
      return Buffer.concat([
        createHash('sha256').update(text).digest(),
        cipher.update(text),
        cipher.final(),
        cipher.getAuthTag(),
      ])
    })
    writeSync(file, Buffer.concat(sealed))
    fdatasyncSync(file)
    count += batchEvents
  }
  closeSync(file)
  return count / ((performance.now() - started) / 1000)
}

/** CPU of a process so far, in milliseconds (Linux: 100 ticks a second). */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

function rssMib(pid: number): number {
  return Math.round(
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024,
  )
}

function childOf(pid: number): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      if (
        readFileSync(`/proc/${name}/status`, 'utf8').includes(`PPid:\t${pid}\n`) &&
        readFileSync(`/proc/${name}/cmdline`, 'utf8').includes('columnar')
      )
        return Number(name)
    } catch {
      // The process ended meanwhile.
    }
  }
  throw new Error('the columnar store is not a child of core')
}

function diskBytes(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue
    try {
      bytes += Number(readFileSync(join(entry.parentPath, entry.name)).length)
    } catch {
      // A part that was merged away.
    }
  }
  return bytes
}
