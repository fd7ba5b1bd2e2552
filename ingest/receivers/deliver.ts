import { createHash, createHmac } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { BusPosition } from '../../ledger/segment.ts'
import { hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { Receipt } from '../../schemas/receipt.ts'
import type { PackedBatch } from '../bus/event-bus.ts'
import { knownMappings } from '../mappings/known-mappings.ts'
import { createRedactionToken } from '../redaction/redaction-token.ts'
import { createRedactor, type Redactor } from '../redaction/redactor.ts'
import { packEvents } from './pack.ts'
import {
  joinReceived,
  type ReceiveContext,
  type ReceivedRequest,
  receiveRecords,
  requestDigest,
} from './receive.ts'
import type { ReceivedRecord } from './received-record.ts'
import type { ReceiverCounts, ReceiverDeps, SourceIdentity } from './receiver-deps.ts'
import { withholdRaw } from './withhold-raw.ts'

export interface Delivery {
  readonly request: ReceivedRequest
  /** Set when the records are durable in the ledger. */
  readonly receipt: Receipt | undefined
  /** Set when the bus keeps the records and the ledger will have them. */
  readonly positions: readonly BusPosition[] | undefined
}

export interface Parcel {
  readonly source: SourceIdentity
  readonly records: readonly ReceivedRecord[]
  readonly body: Uint8Array
  readonly idempotencyKey?: string | undefined
  /** `native`, `otlp_logs`, `otlp_traces`. */
  readonly format: string
  /** Wait for the ledger also where the bus is durable. */
  readonly untilDurable: boolean
}

const defaultTimeoutMs = 30_000
/** Together a few milliseconds of work; a record that is larger has a turn of its own. */
const recordsPerTurn = 32
const charsPerTurn = 64 * 1024
const mappings = knownMappings(sha256)

/**
 * Takes the records of one request through mapping and redaction to the bus, and waits until they are durable.
 *
 * @throws SealtrailError `BUS_FULL`, `BUS_UNAVAILABLE`, `LEDGER_UNAVAILABLE`: nothing may be assumed; the same request
 *   again is recognised by its digest and completed.
 */
export async function deliver(parcel: Parcel, deps: ReceiverDeps): Promise<Delivery> {
  const { source } = parcel
  const { intake } = deps
  intake.spend(source.sourceId, parcel.records.length, parcel.body.length)
  const received = await receiveInTurns(parcel.records, {
    sourceId: source.sourceId,
    certificate: source.certificate,
    format: parcel.format,
    nowMs: deps.clock(),
    redactor: redactorOf(source, deps),
    mappings,
    digest: sha256,
  })
  const take = (bytes: number) => intake.takeRejected(source.sourceId, bytes)
  const request = { ...received, events: withholdRaw(received.events, take, sha256) }
  const batches = packEvents(request, {
    sourceId: source.sourceId,
    logId: source.logId,
    ...(source.chainKeyId === undefined ? {} : { chainKeyId: source.chainKeyId }),
    requestDigest: requestDigest(sha256, parcel.body, parcel.idempotencyKey),
  })
  const positions = await publishAll(batches, deps)
  if (deps.bus.durable && !parcel.untilDurable) return { request, receipt: undefined, positions }
  const receipt = await receiptOf(source.logId, positions, deps)
  return receipt === undefined
    ? { request, receipt, positions }
    : { request, receipt, positions: undefined }
}

/** Told to whoever counts: the page of sources, and the metrics. */
export function count(counts: ReceiverCounts, deps: ReceiverDeps): void {
  deps.intake.counted(counts)
  deps.onCounted?.(counts)
}

/** The event loop also answers people: a large request gives way to them after every few records. */
async function receiveInTurns(
  records: readonly ReceivedRecord[],
  context: ReceiveContext,
): Promise<ReceivedRequest> {
  const parts: ReceivedRequest[] = []
  for (let from = 0, until = 0; from < records.length; from = until) {
    if (from > 0) await setImmediate()
    until = turnEnd(records, from)
    parts.push(receiveRecords(records.slice(from, until), context))
  }
  return joinReceived(parts)
}

function turnEnd(records: readonly ReceivedRecord[], from: number): number {
  let chars = 0
  let until = from
  for (const record of records.slice(from, from + recordsPerTurn)) {
    chars += record.readable ? record.text.length : record.bytes.length
    if (chars > charsPerTurn && until > from) break
    until++
  }
  return until
}

/** In order, one after the other: the bus keeps the order of a log. */
async function publishAll(
  batches: readonly PackedBatch[],
  deps: ReceiverDeps,
): Promise<BusPosition[]> {
  const positions: BusPosition[] = []
  for (const batch of batches) positions.push(await deps.bus.publish(batch))
  return positions
}

async function receiptOf(
  logId: string,
  positions: readonly BusPosition[],
  deps: ReceiverDeps,
): Promise<Receipt | undefined> {
  const timeoutMs = deps.receiptTimeoutMs ?? defaultTimeoutMs
  const pending = positions.map((position) => deps.waitForReceipt(position, timeoutMs))
  const receipts: Receipt[] = []
  for (const receipt of await Promise.all(pending)) {
    if (receipt !== undefined) receipts.push(receipt)
  }
  if (receipts.length === positions.length) return joinReceipts(logId, receipts)
  if (deps.bus.durable) return undefined
  throw new SealtrailError('LEDGER_UNAVAILABLE', 'the ledger gave no receipt', { retryable: true })
}

/** One receipt over the batches of a request: the largest tree covers them all. */
export function joinReceipts(logId: string, receipts: readonly Receipt[]): Receipt {
  const leaves: { first: number; count: number }[] = []
  let treeSize = 0
  let root = ''
  let duplicates = 0
  for (const receipt of receipts) {
    duplicates += receipt.duplicates
    if (receipt.treeSize >= treeSize) {
      treeSize = receipt.treeSize
      root = receipt.root
    }
    for (const range of receipt.leaves) {
      const last = leaves.at(-1)
      if (last !== undefined && last.first + last.count === range.first) last.count += range.count
      else leaves.push({ ...range })
    }
  }
  return { log: logId, leaves, treeSize, root, duplicates }
}

function redactorOf({ sourceId, logId }: SourceIdentity, deps: ReceiverDeps): Redactor {
  const tokenKey = deps.tokenKey(logId)
  return createRedactor({
    policy: deps.redactionPolicy(sourceId, logId),
    token: createRedactionToken((message) =>
      hex(createHmac('sha256', tokenKey).update(message).digest()),
    ),
  })
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}
