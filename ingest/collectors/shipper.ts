import { createHash, createHmac, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import type { SourceEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { chainStart, chainValue, sentDigest } from '../../schemas/source-chain.ts'
import { chainKeyOf, type SourceSecret, sourceKeyOf, spoolKeyOf } from '../../schemas/source-key.ts'
import { createRedactionToken } from '../redaction/redaction-token.ts'
import { createRedactor, type Redactor } from '../redaction/redactor.ts'
import { claimOrphans, Spool } from './spool.ts'

export interface ShipperOptions {
  /** Base URL of the receiver, e.g. `http://127.0.0.1:3000`. */
  readonly url: string
  readonly secret: SourceSecret
  readonly spoolDirectory: string
  readonly spoolMaxBytes: number
  readonly clock: () => number
  readonly onProblem: (message: string) => void
}

const maxBatchRecords = 256
const maxBatchBytes = 512 * 1024
const maxQueuedRecords = 10_000
const heartbeatMs = 30_000
const requestTimeoutMs = 5000

/**
 * Numbers, redacts and delivers records: in order, exactly once by number, never blocking whoever hands them over.
 * While the receiver is away they wait in an encrypted spool; what does not fit is counted and put on the record as a
 * gap.
 */
export class Shipper {
  private readonly options: ShipperOptions
  private readonly bearer: string
  private readonly chainKey: Uint8Array
  private readonly spool: Spool
  private readonly epoch = randomBytes(8).toString('hex')
  private redactor: Redactor = createRedactor()
  private contacted = false
  private seq = 0
  private prev = chainStart
  private queue: string[] = []
  private dropped = 0
  private sending: Promise<void> | undefined
  private retryMs = 250
  private timer: NodeJS.Timeout | undefined
  private heartbeat: NodeJS.Timeout | undefined
  private closing = false
  private complained = false

  constructor(options: ShipperOptions) {
    this.options = options
    this.bearer = sourceKeyOf(options.secret)
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
    this.heartbeat = setInterval(() => this.record(this.signal('heartbeat')), heartbeatMs)
    this.heartbeat.unref()
  }

  /** Takes a record over. Returns at once. */
  record(event: SourceEvent): void {
    if (this.queue.length >= maxQueuedRecords) {
      this.dropped++
      return
    }
    if (this.dropped > 0) {
      // Their numbers are skipped, so that the log shows the gap.
      this.seq += this.dropped
      this.prev = ''
      this.dropped = 0
    }
    this.number(event)
    this.wake(0)
  }

  /** Says that the stream ends, and gives delivery a last chance; the rest stays in the spool. */
  async close(graceMs: number): Promise<void> {
    clearInterval(this.heartbeat)
    this.record(this.signal('close'))
    this.closing = true
    this.wake(0)
    const deadline = this.options.clock() + graceMs
    while ((this.queue.length > 0 || !this.spool.isEmpty) && this.options.clock() < deadline) {
      await Promise.race([this.sending, sleep(Math.max(1, deadline - this.options.clock()))])
      if (this.sending === undefined && (this.queue.length > 0 || !this.spool.isEmpty))
        this.wake(50)
      await sleep(5)
    }
    clearTimeout(this.timer)
    this.spoolQueue()
    this.spool.sync()
  }

  private number(event: SourceEvent): void {
    const redacted = this.redactor.redactEvent(event)
    const numbered: SourceEvent = {
      ...redacted,
      'source.epoch': this.epoch,
      'source.seq': this.seq++,
      ...(this.prev === '' ? {} : { 'source.prev': this.prev }),
    }
    const json = JSON.stringify(numbered)
    // What is parsed back is what is sent: undefined fields are gone.
    const sent: JsonValue = JSON.parse(json)
    this.prev = chainValue(hmac, this.chainKey, sentDigest(sha256, sent))
    this.queue.push(json)
  }

  private signal(signal: 'open' | 'close' | 'heartbeat'): SourceEvent {
    const now = timestampFromMs(this.options.clock())
    return {
      'event.class': 'source',
      'time.occurred': now,
      'time.observed': now,
      'time.source': 'collector',
      'source.product': 'sealtrail-tap',
      'source.signal': signal,
    }
  }

  private wake(delayMs: number): void {
    if (this.sending !== undefined) return
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.sending = this.send().finally(() => {
        this.sending = undefined
        const waiting = this.queue.length > 0 || !this.spool.isEmpty
        if (waiting) this.wake(this.retryMs)
      })
    }, delayMs)
    if (!this.closing) this.timer.unref()
  }

  private async send(): Promise<void> {
    try {
      if (!this.contacted) await this.contact()
      if (!this.spool.isEmpty) {
        await this.deliver(this.spool.records())
        this.spool.clear()
      }
      while (this.queue.length > 0) {
        const batch = takeBatch(this.queue)
        await this.post(batch)
        this.queue.splice(0, batch.length)
      }
      this.retryMs = 250
      this.complained = false
    } catch (error) {
      this.spoolQueue()
      this.retryMs = Math.min(this.retryMs * 2, 10_000)
      if (!this.complained) {
        this.complained = true
        const why = error instanceof Error ? error.message : String(error)
        this.options.onProblem(
          `receiver ${this.options.url}: ${why}; records wait in ${this.spool.path}`,
        )
      }
    }
  }

  /** Token key of the log, and what dead processes of this source left. */
  private async contact(): Promise<void> {
    const self: unknown = await this.request('GET', '/v1/sources/self')
    const tokenKey =
      typeof self === 'object' && self !== null && 'token_key' in self ? self.token_key : undefined
    if (typeof tokenKey === 'string') {
      const key = Buffer.from(tokenKey, 'base64')
      const token = createRedactionToken((text) =>
        createHmac('sha256', key).update(text).digest('hex'),
      )
      this.redactor = createRedactor({ token })
    }
    for (const { path, records } of claimOrphans(
      this.options.spoolDirectory,
      spoolKeyOf(this.options.secret),
    )) {
      await this.deliver(records)
      rmSync(path, { force: true })
    }
    this.contacted = true
  }

  private async deliver(records: string[]): Promise<void> {
    const rest = [...records]
    while (rest.length > 0) {
      const batch = takeBatch(rest)
      await this.post(batch)
      rest.splice(0, batch.length)
    }
  }

  /** Rejected records are on the record at the receiver: nothing is sent twice for them. */
  private async post(records: readonly string[]): Promise<void> {
    await this.request('POST', '/v1/events', records.join('\n'))
  }

  private async request(method: string, path: string, body?: string): Promise<unknown> {
    const response = await fetch(new URL(path, this.options.url), {
      method,
      headers: {
        authorization: `Bearer ${this.bearer}`,
        ...(body === undefined ? {} : { 'content-type': 'application/x-ndjson' }),
      },
      signal: AbortSignal.timeout(requestTimeoutMs),
      redirect: 'error',
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    // 400 says that every record was kept as rejected; anything else that is no success is tried again.
    if (!response.ok && response.status !== 400) throw new Error(`answered ${response.status}`)
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  }

  private spoolQueue(): void {
    // What does not fit has its number already: its absence is the gap.
    for (const record of this.queue) this.spool.append(record)
    this.queue = []
  }
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

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
