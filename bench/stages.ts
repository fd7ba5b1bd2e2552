import { createHmac, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { callRate } from '../analytics/detectors/call-rate.ts'
import { firstScope } from '../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../analytics/detectors/new-argument-value.ts'
import { Fold } from '../analytics/fold/fold.ts'
import { callColumns, callRow } from '../analytics/store/event-columns.ts'
import { encodeBatch } from '../analytics/store/leaf-batch.ts'
import { encodeNativeBlock } from '../analytics/store/native-block.ts'
import { openEnvelope, sealEnvelope } from '../ingest/bus/envelope.ts'
import type { PackedBatch } from '../ingest/bus/event-bus.ts'
import { knownMappings } from '../ingest/mappings/known-mappings.ts'
import { decodeNdjsonBody } from '../ingest/receivers/decode-json-records.ts'
import { packEvents } from '../ingest/receivers/pack.ts'
import { receiveRecords } from '../ingest/receivers/receive.ts'
import { createRedactionToken } from '../ingest/redaction/redaction-token.ts'
import { createRedactor } from '../ingest/redaction/redactor.ts'
import { derivedFields, pooledRandom, sealEvent } from '../ingest/sequencer/seal-event.ts'
import { uuidV7Generator } from '../ingest/sequencer/uuid-v7.ts'
import type { CommittedLeaf } from '../ledger/committed.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { openCommitted } from '../ledger/ledger-reader.ts'
import { sha256 } from '../ledger/sha256.ts'
import { encodeSegment } from '../ledger/storage/segment-codec.ts'
import { hex } from '../schemas/bytes.ts'
import type { CallChange } from '../schemas/call.ts'
import type { RecordedEvent } from '../schemas/event/event.ts'
import { timestampFromMs } from '../schemas/event/timestamp.ts'
import { leafHash, TreeFrontier } from '../schemas/tlog/merkle.ts'
import { benchEvent } from './workload.ts'

/**
 * `npx tsx bench/stages.ts [--rounds 60]`: microseconds of CPU that one thread spends on an event in each stage of its
 * life, warmed up, in requests of 500 events of 1 KB. What waits for the disk or the engine is not in it.
 */
const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '60' } } })
const rounds = Number(flags.rounds)
const requestEvents = 500

const directory = await mkdtemp(join(tmpdir(), 'sealtrail-stages-'))
const keyring = await openFileKeyring(join(directory, 'keyring'), Buffer.alloc(32, 7))
const tokenKey = keyring.tokenKey('main')
const redactor = createRedactor({
  token: createRedactionToken((message) =>
    hex(createHmac('sha256', tokenKey).update(message).digest()),
  ),
})
const mappings = knownMappings(sha256)
const nextId = uuidV7Generator(randomBytes)
const random = pooledRandom(randomBytes)
const fold = new Fold({
  logId: 'main',
  digest: sha256,
  detectors: [firstScope, newArgumentValue, callRate],
  onDetectorError: (error) => {
    throw error
  },
})
const frontier = new TreeFrontier(sha256)
const transportKeys = [keyring.transportKey('main')]

const spentUs = new Map<string, number>()
async function stage<T>(name: string, work: () => T | Promise<T>): Promise<T> {
  const before = process.cpuUsage()
  const result = await work()
  const { user, system } = process.cpuUsage(before)
  spentUs.set(name, (spentUs.get(name) ?? 0) + user + system)
  return result
}

let index = 0
async function round(first: number): Promise<void> {
  const body = Buffer.from(
    Array.from({ length: requestEvents }, (_, i) => JSON.stringify(benchEvent(first + i))).join(
      '\n',
    ),
  )
  const nowMs = Date.now()
  const decoded = await stage('decode', () => decodeNdjsonBody(body))
  const request = await stage('map, redact, check', () =>
    receiveRecords(decoded.records, {
      sourceId: 'bench',
      format: 'native',
      nowMs,
      redactor,
      mappings,
      digest: sha256,
    }),
  )
  const batches = await stage('pack', () =>
    packEvents(request, { logId: 'main', sourceId: 'bench', requestDigest: String(first) }),
  )
  await stage('Kafka envelope, both ends', () => {
    for (const batch of batches) {
      for (const key of transportKeys) openEnvelope(sealEnvelope(batch, key), () => transportKeys)
    }
  })
  const recorded = await stage('derive', () => derive(batches, nowMs))
  const sealed = await stage('seal', () =>
    recorded.map(({ event, texts }) => sealEvent(event, keyring, random, texts)),
  )
  const hashes = await stage('tree', () =>
    sealed.map(({ leaf }) => {
      const hash = leafHash(sha256, leaf)
      frontier.append(hash)
      return hash
    }),
  )
  await stage('segment', () =>
    encodeSegment({
      version: 1,
      fromIndex: index,
      leaves: sealed.map(({ leaf }) => leaf),
      nextIndex: index + sealed.length,
      rootAfter: frontier.root(),
      positions: [],
      dedup: [],
    }),
  )
  const leaves = sealed.map(
    ({ event, leaf }, i): CommittedLeaf => ({
      logId: 'main',
      index: index + i,
      leaf,
      leafHash: hashes[i] ?? leafHash(sha256, leaf),
      event,
      opened: 'full',
    }),
  )
  index += leaves.length
  await stage('rows of events', () => encodeBatch('epoch', 'main', leaves))
  const changes: CallChange[] = []
  await stage('join and judge', () => {
    for (const leaf of leaves) changes.push(...fold.step(leaf).calls)
  })
  await stage('rows of calls', () =>
    encodeNativeBlock(
      callColumns,
      changes.map(({ call, sign }) => callRow(call, sign, index)),
    ),
  )
  await stage('read back, open, check', () => {
    for (const [i, { leaf, payload }] of sealed.entries()) {
      openCommitted('main', i, leaf, payload, (keyId) => keyring.openingKey('main', keyId))
    }
  })
}

function derive(batches: readonly PackedBatch[], nowMs: number) {
  const recordedAt = timestampFromMs(nowMs)
  return batches.flatMap(({ events }) =>
    events.map((observed) => {
      const { fields, texts } = derivedFields(observed, tokenKey)
      const event: RecordedEvent = {
        ...observed,
        ...fields,
        'event.id': nextId(nowMs),
        'event.schema_version': 1,
        'log.id': 'main',
        'time.recorded': recordedAt,
      }
      return { event, texts }
    }),
  )
}

const warmUp = Math.ceil(rounds / 4)
for (let i = 0; i < warmUp; i++) await round(i * requestEvents)
spentUs.clear()
for (let i = 0; i < rounds; i++) await round((warmUp + i) * requestEvents)
process.stdout.write(
  `machine: ${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}; ${rounds * requestEvents} events of ${Buffer.byteLength(JSON.stringify(benchEvent(1)))} bytes\n`,
)
for (const [name, us] of spentUs) {
  process.stdout.write(
    `${name.padEnd(28)}${(us / rounds / requestEvents).toFixed(1).padStart(7)} us\n`,
  )
}
await keyring.close()
rmSync(directory, { recursive: true, force: true })
