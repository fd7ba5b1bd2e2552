import { createHash, createHmac, randomBytes } from 'node:crypto'
import type { SourceEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { isRedactionPolicy, type RedactionPolicy } from '../../schemas/redaction-policy.ts'
import { chainStart, chainValue, sentDigest } from '../../schemas/source-chain.ts'
import { chainKeyOf, type SourceSecret, sourceKeyOf, spoolKeyOf } from '../../schemas/source-key.ts'
import { heartbeatIntervalMs } from '../../schemas/source-liveness.ts'
import { createRedactionToken } from '../redaction/redaction-token.ts'
import { createRedactor, type Redactor } from '../redaction/redactor.ts'
import { cutToFit } from './cut-to-fit.ts'
import { wholeMicroseconds } from './microseconds.ts'
import {
  type CollectorCertificates,
  ReceiverClient,
  type ReceiverReply,
} from './receiver-client.ts'
import { claimOrphans, releaseOrphan, Spool, type SpoolBatch, type SpoolReader } from './spool.ts'

/**
 * `drop`: the observed program goes on, and what is lost leaves a gap that is on the record. `block`: it waits until
 * records can be kept again, so that nothing happens unrecorded.
 */
export type WhenFull = 'drop' | 'block'

export interface ShipperOptions {
  /** Base URL of the receiver, e.g. `http://127.0.0.1:3000`. */
  readonly url: string
  readonly secret: SourceSecret
  readonly certificates?: CollectorCertificates
  readonly spoolDirectory: string
  /** Limit of the whole folder. */
  readonly spoolMaxBytes: number
  /** What happens when nothing more can be kept. Default `drop`. */
  readonly whenFull?: WhenFull
  readonly clock: () => number
  readonly onProblem: (message: string) => void
}

const maxBatchRecords = 256
const maxBatchBytes = 512 * 1024
const maxQueuedRecords = 10_000
const maxQueuedBytes = 32 * 1024 * 1024
/**
 * Records gather for this long: a request for each would compete with the wrapped server for the processor, and be
 * felt as latency of one call in a hundred.
 */
const lingerMs = 50
/** Kept free for what is under way when the observed program is made to wait. */
const reservedBytes = 8 * 1024 * 1024
const firstRetryMs = 250
const lastRetryMs = 10_000
/** A receiver that asks for more patience than this is asked again anyway. */
const maxRetryAfterMs = 300_000
const requestTimeoutMs = 5000

/**
 * Numbers, redacts and delivers records: in order, exactly once by number, never blocking whoever hands them over:
 * who is to wait asks for {@link Shipper.room}. While the receiver is away records wait in an encrypted spool; what
 * does not fit leaves a hole in the numbers, which the log shows as a gap.
 */
export class Shipper {
  private readonly options: ShipperOptions
  private readonly client: ReceiverClient
  private readonly chainKey: Uint8Array
  private readonly spool: Spool
  private readonly epoch = randomBytes(8).toString('hex')
  private readonly aborted = new AbortController()
  private redactor: Redactor = createRedactor()
  private contacted = false
  private seq = 0
  private prev = chainStart
  private queue: string[] = []
  private queuedBytes = 0
  /** Taken from the queue, not yet answered. */
  private inFlight: readonly string[] = []
  private orphans: SpoolReader[] = []
  /** By epoch, at first contact. */
  private committed: ReadonlyMap<string, number> = new Map()
  private dropped = 0
  private sending: Promise<void> | undefined
  /** The last try failed: what comes waits in the spool until the next one. */
  private failing = false
  private retryMs = firstRetryMs
  private timer: NodeJS.Timeout | undefined
  private heartbeat: NodeJS.Timeout | undefined
  private closing = false
  private complained = false
  private spoolComplained = false
  /** Records that were lost since the last contact; each left its number out. */
  private lostRecords = 0
  private waiting: (() => void)[] = []

  constructor(options: ShipperOptions) {
    this.options = options
    this.client = new ReceiverClient({
      url: options.url,
      bearer: sourceKeyOf(options.secret),
      timeoutMs: requestTimeoutMs,
      ...(options.certificates === undefined ? {} : { certificates: options.certificates }),
    })
    this.chainKey = chainKeyOf(options.secret)
    this.spool = new Spool(
      options.spoolDirectory,
      spoolKeyOf(options.secret),
      options.spoolMaxBytes,
    )
  }

  /** Delivers what dead processes left, and opens this stream. */
  start(): void {
    this.record(this.signal('open'))
    this.heartbeat = setInterval(() => this.record(this.signal('heartbeat')), heartbeatIntervalMs)
    this.heartbeat.unref()
  }

  /** Takes a record over. Returns at once, never throws. */
  record(event: SourceEvent): void {
    if (this.queue.length >= maxQueuedRecords || this.queuedBytes >= maxQueuedBytes) {
      this.lost()
      return
    }
    let json: string
    try {
      json = this.number(event)
    } catch {
      this.lost()
      return
    }
    if (this.failing && this.sending === undefined && !this.closing && this.queue.length === 0) {
      this.queueAgain(this.keep([json]))
      return
    }
    this.queue.push(json)
    this.queuedBytes += json.length
    this.wake(lingerMs)
  }

  /** Something happened that could not be recorded: the next record skips a number, so that the log shows the gap. */
  lost(): void {
    this.dropped++
    this.lostRecords++
  }

  /**
   * Where the policy is to block: a promise that resolves when records can be kept again; undefined while they can.
   * Asked for early enough that what is under way still fits.
   */
  room(): Promise<void> | undefined {
    if (this.hasRoom()) return undefined
    return new Promise((resolve) => this.waiting.push(resolve))
  }

  private hasRoom(): boolean {
    if (this.options.whenFull !== 'block' || this.closing) return true
    const queueIsFree =
      this.queue.length < maxQueuedRecords / 2 && this.queuedBytes < maxQueuedBytes / 2
    const reserve = Math.min(reservedBytes, this.options.spoolMaxBytes / 2)
    return queueIsFree && (!this.failing || this.spool.hasRoomFor(reserve))
  }

  private wakeWaiting(): void {
    if (!this.hasRoom()) return
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  /** Says that the stream ends, and gives delivery a last chance; the rest stays in the spool. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.heartbeat)
    this.closing = true
    this.wakeWaiting()
    this.record(this.signal('close'))
    const deadline = setTimeout(() => this.hurry(), graceMs)
    while (this.hasWork() && !this.aborted.signal.aborted) {
      clearTimeout(this.timer)
      if (this.sending === undefined) this.run()
      await this.sending
      if (this.failing) break
    }
    clearTimeout(deadline)
    clearTimeout(this.timer)
    this.keepQueue()
    // There is no later: what could not be kept by now is lost.
    this.countLost(this.queue.length)
    this.spool.sync()
  }

  /** Ends the wait of {@link close}. */
  hurry(): void {
    this.aborted.abort()
  }

  /** State changes only when nothing can fail any more: a record that has no canonical form takes no number. */
  private number(event: SourceEvent): string {
    const seq = this.seq + this.dropped
    const numbered: SourceEvent = {
      ...cutToFit(this.redactor.redactEvent(event)),
      'source.epoch': this.epoch,
      'source.seq': seq,
      ...(this.dropped > 0 ? {} : { 'source.prev': this.prev }),
    }
    const json = JSON.stringify(numbered)
    // What is parsed back is what is sent: undefined fields are gone.
    const sent: JsonValue = JSON.parse(json)
    this.prev = chainValue(hmac, this.chainKey, sentDigest(sha256, sent))
    this.seq = seq + 1
    this.dropped = 0
    return json
  }

  private signal(signal: 'open' | 'close' | 'heartbeat'): SourceEvent {
    const now = timestampFromMs(wholeMicroseconds(this.options.clock()))
    return {
      'event.class': 'source',
      'time.occurred': now,
      'time.observed': now,
      'time.source': 'collector',
      'source.product': 'sealtrail-tap',
      'source.signal': signal,
    }
  }

  private hasWork(): boolean {
    return this.queue.length > 0 || !this.spool.isEmpty || this.orphans.length > 0
  }

  private wake(delayMs: number): void {
    if (this.sending !== undefined || this.timer !== undefined || this.closing) return
    this.timer = setTimeout(() => this.run(), delayMs)
    this.timer.unref()
  }

  private run(): void {
    this.timer = undefined
    this.sending = this.send().finally(() => {
      this.sending = undefined
      this.wakeWaiting()
      if (this.hasWork()) this.wake(this.failing ? this.retryMs : lingerMs)
    })
  }

  /** One try to deliver all there is, oldest first. Never rejects. */
  private async send(): Promise<void> {
    try {
      if (!this.contacted) await this.contact()
      for (let orphan = this.orphans[0]; orphan !== undefined; orphan = this.orphans[0]) {
        await this.deliverFrom(orphan, (records) => notCommitted(records, this.committed))
        if (releaseOrphan(orphan)) this.damaged(orphan.path)
        this.orphans.shift()
      }
      await this.deliverSpool()
      await this.deliverQueue()
      this.failing = false
      this.retryMs = firstRetryMs
      this.complained = false
      this.countLost(0)
    } catch (error) {
      this.keepQueue()
      this.retryMs = this.failing ? Math.min(this.retryMs * 2, lastRetryMs) : firstRetryMs
      if (error instanceof Refused && error.retryAfterMs !== undefined)
        this.retryMs = Math.max(this.retryMs, error.retryAfterMs)
      this.failing = true
      if (!this.complained && !this.aborted.signal.aborted) {
        this.complained = true
        const why = error instanceof Error ? error.message : String(error)
        this.options.onProblem(
          `receiver ${this.options.url}: ${why}; records wait in ${this.spool.path}`,
        )
      }
    }
  }

  /** What came during the requests gathers for the next time, unless it is a batch of its own already. */
  private async deliverQueue(): Promise<void> {
    while (this.queue.length > 0) {
      this.inFlight = takeBatch(this.queue)
      this.queue.splice(0, this.inFlight.length)
      for (const record of this.inFlight) this.queuedBytes -= record.length
      await this.post(this.inFlight)
      this.inFlight = []
      const isBatch = this.queue.length >= maxBatchRecords || this.queuedBytes >= maxBatchBytes
      if (!isBatch && !this.closing) return
    }
  }

  /** Records that come meanwhile go into the queue, so that the file does not grow under this. */
  private async deliverSpool(): Promise<void> {
    if (this.spool.isEmpty) return
    await this.deliverFrom(this.spool, (records) => records)
    if (this.spool.clear()) this.damaged(this.spool.path)
  }

  private async deliverFrom(
    from: {
      peek(maxRecords: number, maxBytes: number): SpoolBatch
      advance(batch: SpoolBatch): void
    },
    wanted: (records: string[]) => string[],
  ): Promise<void> {
    for (;;) {
      const batch = from.peek(maxBatchRecords, maxBatchBytes)
      if (batch.records.length === 0) return
      const records = wanted(batch.records)
      if (records.length > 0) await this.post(records)
      from.advance(batch)
    }
  }

  private damaged(path: string): void {
    this.options.onProblem(
      `${path}: some lines cannot be read; the file is kept as ${path}.damaged`,
    )
  }

  /** Token key of the log, and what dead processes of this source left. */
  private async contact(): Promise<void> {
    const self = await this.request('GET', '/v1/sources/self')
    const tokenKey = stringField(self, 'token_key')
    // Whatever else answers at this address must not be given records, which it would not keep.
    if (tokenKey === undefined) throw new Error('does not answer like Sealtrail')
    const key = Buffer.from(tokenKey, 'base64')
    this.redactor = createRedactor({
      token: createRedactionToken((text) => createHmac('sha256', key).update(text).digest('hex')),
      policy: policyIn(self),
    })
    this.committed = committedSeqs(await this.request('GET', '/v1/sources/self/committed'))
    this.orphans = claimOrphans(this.options.spoolDirectory, spoolKeyOf(this.options.secret))
    this.contacted = true
  }

  /** Rejected records are on the record at the receiver: nothing is sent twice for them. */
  private async post(records: readonly string[]): Promise<void> {
    try {
      await this.request('POST', '/v1/events', records.join('\n'))
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 413) throw error
      if (records.length > 1) {
        const half = records.length >> 1
        await this.post(records.slice(0, half))
        await this.post(records.slice(half))
        return
      }
      // Its number stays out, which is the gap. It must not hold up what follows.
      this.options.onProblem('a record is larger than the receiver takes; it leaves a gap')
    }
  }

  private async request(method: string, path: string, body?: string): Promise<unknown> {
    const reply = await this.client.ask(method, path, body, this.aborted.signal)
    // Every record was kept as rejected; anything else that is no success is tried again.
    const kept = reply.status === 400 && stringField(reply.body, 'code') === 'RECORD_INVALID'
    if (reply.status >= 200 && reply.status < 300) return reply.body
    if (!kept) throw new Refused(reply)
    return reply.body
  }

  private keepQueue(): void {
    const records = [...this.inFlight, ...this.queue]
    this.inFlight = []
    this.queue = []
    this.queuedBytes = 0
    this.queueAgain(this.keep(records))
  }

  /**
   * Puts records into the spool. What does not fit has its number already: its absence is the gap. Where the policy is
   * to block it stays in the queue instead, which the program that waits cannot fill.
   *
   * @returns what is to stay in the queue.
   */
  private keep(records: readonly string[]): readonly string[] {
    const blocks = this.options.whenFull === 'block'
    for (const [at, record] of records.entries()) {
      if (this.spool.append(record)) continue
      this.sayFull(blocks)
      if (blocks) return records.slice(at)
      this.lostRecords++
    }
    return []
  }

  private sayFull(blocks: boolean): void {
    if (this.spoolComplained) return
    this.spoolComplained = true
    this.options.onProblem(
      `the spool ${this.spool.path} is full or cannot be written; ${
        blocks ? 'the server waits until it has room' : 'records are lost and leave a gap'
      }`,
    )
  }

  private queueAgain(records: readonly string[]): void {
    for (const record of records) {
      this.queue.push(record)
      this.queuedBytes += record.length
    }
  }

  /** Says how many, once it is known: on the record the gap says the same. */
  private countLost(more: number): void {
    this.lostRecords += more
    if (this.lostRecords === 0) return
    const many = this.lostRecords === 1 ? '1 record was' : `${this.lostRecords} records were`
    this.options.onProblem(`${many} lost; the gap is on the record`)
    this.lostRecords = 0
    this.spoolComplained = false
  }
}

/** The receiver answered, and not with success. */
class Refused extends Error {
  readonly status: number
  readonly retryAfterMs: number | undefined

  constructor({ status, retryAfter, body }: ReceiverReply) {
    const why = [stringField(body, 'detail'), stringField(body, 'hint')]
    const said = why.filter((text) => text !== undefined).join('. ')
    super(`answered ${status}${said === '' ? '' : `: ${said.slice(0, 500)}`}`)
    this.status = status
    this.retryAfterMs = retryAfterMs(retryAfter)
  }
}

/** RFC 9110 section 10.2.3, the form in seconds. */
function retryAfterMs(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,6}$/.test(header)) return undefined
  return Math.min(Number(header) * 1000, maxRetryAfterMs)
}

/** Highest number of each epoch that the ledger has, by its answer to `/v1/sources/self/committed`. */
function committedSeqs(answer: unknown): ReadonlyMap<string, number> {
  const seqs = new Map<string, number>()
  if (typeof answer !== 'object' || answer === null || !('epochs' in answer)) return seqs
  for (const mark of Array.isArray(answer.epochs) ? answer.epochs : []) {
    const epoch = stringField(mark, 'epoch')
    if (epoch !== undefined && typeof mark.seq === 'number') seqs.set(epoch, mark.seq)
  }
  return seqs
}

/** Without what the ledger has already. */
function notCommitted(records: string[], committed: ReadonlyMap<string, number>): string[] {
  return records.filter((record) => {
    const { 'source.epoch': epoch, 'source.seq': seq } = JSON.parse(record)
    return seq > (committed.get(epoch) ?? -1)
  })
}

/** The policy of this source as the receiver tells it; undefined where a receiver tells none that is understood. */
function policyIn(self: unknown): RedactionPolicy | undefined {
  if (typeof self !== 'object' || self === null || !('redaction_policy' in self)) return undefined
  const policy = self.redaction_policy
  return isRedactionPolicy(policy) ? policy : undefined
}

function stringField(value: unknown, key: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const found: unknown = Object.entries(value).find(([name]) => name === key)?.[1]
  return typeof found === 'string' ? found : undefined
}

function takeBatch(queue: readonly string[]): string[] {
  const batch: string[] = []
  let bytes = 0
  for (const record of queue) {
    const size = Buffer.byteLength(record)
    if (batch.length > 0 && (batch.length >= maxBatchRecords || bytes + size > maxBatchBytes)) break
    batch.push(record)
    bytes += size
  }
  return batch
}

const hmac = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  createHmac('sha256', key).update(data).digest()
const sha256 = (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest()
