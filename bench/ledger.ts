import { randomBytes } from 'node:crypto'
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { knownMappings } from '../ingest/mappings/known-mappings.ts'
import { decodeNdjsonBody } from '../ingest/receivers/decode-json-records.ts'
import { packEvents } from '../ingest/receivers/pack.ts'
import { receiveRecords } from '../ingest/receivers/receive.ts'
import { createRedactor } from '../ingest/redaction/redactor.ts'
import { Sequencer } from '../ingest/sequencer/sequencer.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { openFilePayloadStore } from '../ledger/payloads/file-payload-store.ts'
import { sha256 } from '../ledger/sha256.ts'
import { openFileSigner } from '../ledger/signer/file-signer.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { openStoredHashTree } from '../ledger/tree/stored-hash-tree.ts'
import { payloadWorkersFor } from '../ledger/verify/payload-workers.ts'
import { verifyLog } from '../ledger/verify/verify-log.ts'
import { benchEvent } from './workload.ts'

/**
 * `npx tsx bench/ledger.ts [--events 200000] [--bytes 700]`: fills a ledger without its neighbours (no HTTP, no columnar
 * store, no detection), and prints what its events take on disk, what a start costs after a stop, after a kill and
 * without the saved tree, what verification costs, and the memory of this process. Wall-clock time and CPU, because
 * other work on the machine moves the first and hardly the second.
 */
const { values: flags } = parseArgs({
  options: {
    events: { type: 'string', default: '200000' },
    bytes: { type: 'string', default: '700' },
  },
})
const events = Number(flags.events)
const eventBytes = Number(flags.bytes)
const batchEvents = 500
const logId = 'main'
const masterKey = Buffer.alloc(32, 7)

const directory = await mkdtemp(join(tmpdir(), 'sealtrail-ledger-'))
const print = (text: string) => process.stdout.write(`${text}\n`)

async function measured<T>(name: string, count: number, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const before = process.cpuUsage()
  const result = await work()
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - started) / 1000
  print(
    `${name.padEnd(34)}${seconds.toFixed(1).padStart(7)} s, CPU ${((user + system) / 1e6).toFixed(1).padStart(6)} s, ${((user + system) / count).toFixed(1).padStart(6)} us an event`,
  )
  return result
}

async function open() {
  const storage = await openFileStorage(join(directory, 'ledger'))
  const payloads = await openFilePayloadStore(join(directory, 'payloads'))
  const keyring = await openFileKeyring(join(directory, 'keyring'), masterKey)
  const signer = await openFileSigner(join(directory, 'signer'), masterKey)
  const sequencer = new Sequencer({
    storage,
    openTree: (log) => openStoredHashTree(join(directory, 'trees', log)),
    payloads,
    keyring,
    signer,
    clock: () => Date.now(),
    random: randomBytes,
    observers: [],
    onError: (error) => {
      throw error
    },
  })
  await sequencer.start()
  const close = async () => {
    await sequencer.stop()
    await signer.close()
    await keyring.close()
    await payloads.close()
    await storage.close()
  }
  return { storage, payloads, keyring, signer, sequencer, close }
}

const context = {
  sourceId: 'bench',
  format: 'native',
  redactor: createRedactor(),
  mappings: knownMappings(sha256),
  digest: sha256,
}
let rawBytes = 0

async function fill(sequencer: Sequencer): Promise<void> {
  let offset = 0
  for (let from = 0; from < events; from += batchEvents) {
    const body = Buffer.from(
      Array.from({ length: batchEvents }, (_, i) =>
        JSON.stringify(benchEvent(from + i, eventBytes)),
      ).join('\n'),
    )
    rawBytes += body.length
    const request = receiveRecords(decodeNdjsonBody(body).records, {
      ...context,
      nowMs: Date.now(),
    })
    const target = { logId, sourceId: 'bench', requestDigest: String(from) }
    const position = { topic: 't', incarnation: 'i', partition: 0 }
    await sequencer.handle(
      packEvents(request, target).map((batch) => ({
        position: { ...position, offset: String(offset++) },
        batch,
      })),
    )
  }
}

function bytesOf(name: string): number {
  const folder = join(directory, name)
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((entry) => statSync(join(folder, entry)))
    .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0)
}

async function started(name: string): Promise<void> {
  const ledger = await measured(name, events, open)
  if (ledger.sequencer.tree(logId).size < events) throw new Error('leaves are missing')
  await ledger.close()
}

try {
  print(
    `machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}; ${events} events of ${Buffer.byteLength(JSON.stringify(benchEvent(1, eventBytes)))} bytes in requests of ${batchEvents}`,
  )
  const first = await open()
  await measured('decode, receive, seal, commit', events, () => fill(first.sequencer))
  const killed = join(directory, 'trees-of-a-kill')
  cpSync(join(directory, 'trees'), killed, { recursive: true })
  await first.close()
  const perEvent = (name: string) => (bytesOf(name) / events).toFixed(0)
  print(
    `disk, bytes an event: ledger ${perEvent('ledger')}, payloads ${perEvent('payloads')}, trees ${perEvent('trees')}; ledger and payloads are ${((bytesOf('ledger') + bytesOf('payloads')) / rawBytes).toFixed(2)} x the ${(rawBytes / events).toFixed(0)} raw bytes`,
  )
  await started('start after a stop')
  rmSync(join(directory, 'trees'), { recursive: true })
  cpSync(killed, join(directory, 'trees'), { recursive: true })
  await started('start after a kill')
  rmSync(join(directory, 'trees'), { recursive: true })
  await started('start without the saved tree')
  const ledger = await open()
  global.gc?.()
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage()
  const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)
  print(
    `memory after a start, MiB: resident ${mib(rss)}, heap ${mib(heapUsed)}, outside of it ${mib(external + arrayBuffers)}`,
  )
  for (const [name, part] of [
    ['verify, the tree only', {}],
    ['verify, all', { payloads: ledger.payloads, keyring: ledger.keyring }],
  ] as const) {
    await measured(name, events, async () => {
      const checker = 'payloads' in part ? payloadWorkersFor(events) : undefined
      const steps = verifyLog({
        logId,
        storage: ledger.storage,
        verifierKey: await ledger.signer.verifierKey(logId),
        lastSigned: () => ledger.signer.lastSigned(logId),
        checker,
        ...part,
      })
      for (let step = await steps.next(); ; step = await steps.next()) {
        if (!step.done) continue
        await checker?.close()
        if (step.value.firstProblem !== undefined) throw new Error(step.value.firstProblem)
        return
      }
    })
  }
  await ledger.close()
} finally {
  rmSync(directory, { recursive: true, force: true })
}
