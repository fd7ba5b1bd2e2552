import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Keyring } from '../../ledger/keyring.ts'
import type { BusPosition } from '../../ledger/segment.ts'
import { hex } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { openEnvelope } from './envelope.ts'
import type {
  BusConsumer,
  BusHandler,
  BusMessage,
  LostMessages,
  PoisonMessage,
} from './event-bus.ts'
import {
  type EachBatchPayload,
  isLastingKafkaError,
  type KafkaAdmin,
  type KafkaClient,
  type KafkaConsumer,
  type KafkaMessage,
  typedCause,
  whenSettled,
} from './kafka-client.ts'
import type { TopicIdentity } from './kafka-topic.ts'

/** Opened batches kept in memory before the handler has them. */
const maxOpenedBytes = 8 * 1024 * 1024
const sessionTimeoutMs = 10_000
const heartbeatMs = 2000
const maxLastingCrashes = 5

export interface KafkaDeliveryOptions {
  readonly client: KafkaClient
  readonly admin: KafkaAdmin
  readonly groupId: string
  readonly keyring: Pick<Keyring, 'transportKeys'>
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  /** As the topic is now, asked of the broker. */
  readonly identify: () => Promise<TopicIdentity>
  readonly handler: BusHandler
  readonly committed: readonly BusPosition[]
}

interface GroupOffset {
  /** Next offset to read; undefined when the group has none. */
  readonly offset: bigint | undefined
  /** Incarnation of the topic that the offset belongs to. */
  readonly incarnation: string | undefined
}

/**
 * Delivers the messages of the partitions that this member of the group has. An offset is committed to the group when
 * the ledger has everything below it.
 *
 * Consecutive messages of one log are handed over together, and the next log's only when those are durable. So a
 * position in the ledger says that everything below it in its partition is in the ledger, whichever log it belongs to.
 */
export class KafkaDelivery implements BusConsumer {
  readonly failed: Promise<Error>
  private readonly options: KafkaDeliveryOptions
  private readonly topic: string
  /** Last offset that the ledger has, by incarnation and partition. */
  private readonly handled = new Map<string, bigint>()
  /** Next offset of a partition, as long as this member keeps it. */
  private readonly next = new Map<number, bigint>()
  private readonly working = new Set<Promise<void>>()
  private identity: TopicIdentity
  private consumer: KafkaConsumer | undefined
  private markFailed: (error: Error) => void = () => undefined
  private stopping = new AbortController()
  private lastingCrashes = 0
  private starting: Promise<void> = Promise.resolve()

  constructor(options: KafkaDeliveryOptions, identity: TopicIdentity) {
    this.options = options
    this.identity = identity
    this.topic = identity.topic
    this.failed = new Promise((resolve) => {
      this.markFailed = resolve
    })
    for (const position of options.committed) {
      if (position.topic === this.topic) {
        this.markHandled(position.incarnation, position.partition, BigInt(position.offset))
      }
    }
  }

  /**
   * @throws SealtrailError `CONFIG_INVALID` when the group has read records that this ledger does not have.
   */
  async start(): Promise<void> {
    if (this.options.committed.length === 0) {
      for (const [partition, stored] of await this.groupOffsets()) {
        if (stored.incarnation === this.identity.incarnation && (stored.offset ?? 0n) > 0n) {
          throw new SealtrailError(
            'CONFIG_INVALID',
            `group ${this.options.groupId} has read partition ${partition} up to offset ${stored.offset}, but the ledger is empty`,
            { hint: 'Restore the ledger, or use another consumer group.' },
          )
        }
      }
    }
    await this.open()
  }

  async stop(): Promise<void> {
    this.stopping.abort()
    await this.starting.catch(() => undefined)
    // A commit after `disconnect()` resolves without committing: first finish, then disconnect.
    while (this.working.size > 0) await Promise.allSettled([...this.working])
    await this.consumer?.disconnect()
    this.consumer = undefined
  }

  /** Offset after the last one that the ledger has, as far as known here. */
  nextOffset(partition: number): bigint {
    return (this.handled.get(`${this.identity.incarnation}/${partition}`) ?? -1n) + 1n
  }

  async groupOffsets(): Promise<ReadonlyMap<number, GroupOffset>> {
    const { admin, groupId } = this.options
    const stored = await whenSettled(() => admin.fetchOffsets({ groupId, topics: [this.topic] }))
    return new Map(
      stored[0]?.partitions.map(({ partition, offset, metadata }) => [
        partition,
        {
          offset: offset === '-1' ? undefined : BigInt(offset),
          incarnation: metadata === null || metadata === '' ? undefined : metadata,
        },
      ]),
    )
  }

  private async open(): Promise<void> {
    const consumer = this.options.client.consumer({
      groupId: this.options.groupId,
      allowAutoTopicCreation: false,
      sessionTimeout: sessionTimeoutMs,
      heartbeatInterval: heartbeatMs,
      rebalanceTimeout: 60_000,
      maxWaitTimeInMs: 250,
      retry: { initialRetryTime: 200, retries: 5, maxRetryTime: 5000 },
    })
    this.consumer = consumer
    consumer.on(consumer.events.GROUP_JOIN, () => this.next.clear())
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (payload.restart || this.stopping.signal.aborted) return
      this.options.logger.warn({ error: payload.error.message }, 'the Kafka consumer ended')
      if (isLastingKafkaError(payload.error) && ++this.lastingCrashes >= maxLastingCrashes) {
        this.fail(payload.error)
      } else {
        this.starting = this.rebuild(consumer)
      }
    })
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [this.topic], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: 4,
        eachBatch: (payload) => this.eachBatch(consumer, payload),
      })
    } catch (error) {
      await consumer.disconnect().catch(() => undefined)
      throw error
    }
  }

  /** kafkajs gives up for good on what it holds for not retriable, among it ordinary pauses. We do not. */
  private async rebuild(old: KafkaConsumer): Promise<void> {
    await old.disconnect().catch(() => undefined)
    for (let waitMs = 500; !this.stopping.signal.aborted; waitMs = Math.min(2 * waitMs, 10_000)) {
      await delay(waitMs, undefined, { signal: this.stopping.signal }).catch(() => undefined)
      if (this.stopping.signal.aborted) return
      try {
        return await this.open()
      } catch (error) {
        const said = error instanceof Error ? error.message : String(error)
        this.options.logger.warn({ error: said }, 'the Kafka consumer did not start')
      }
    }
  }

  private fail(error: Error): void {
    this.markFailed(error)
    void this.stop().catch(() => undefined)
  }

  private async eachBatch(consumer: KafkaConsumer, payload: EachBatchPayload): Promise<void> {
    if (this.stopping.signal.aborted) {
      // Nothing is resolved, so nothing is skipped; kafkajs asks again until it is disconnected.
      await delay(50)
      return
    }
    const work = this.deliver(consumer, payload)
    this.working.add(work)
    try {
      await work
      this.lastingCrashes = 0
    } catch (error) {
      if (isSealtrailError(error) && !error.retryable) this.fail(error)
      throw typedCause(error)
    } finally {
      this.working.delete(work)
    }
  }

  private async deliver(consumer: KafkaConsumer, payload: EachBatchPayload): Promise<void> {
    const { partition, messages } = payload.batch
    const first = messages[0]
    if (first === undefined) return
    const start = await this.compareStart(partition, BigInt(first.offset))
    // On the record before anything that follows it; its position keeps it from being told twice.
    if (start.lost !== undefined) {
      await this.options.handler([start.lost])
      const { position } = start.lost
      if (position !== undefined) {
        this.markHandled(position.incarnation, partition, BigInt(position.offset))
      }
    }
    this.next.set(partition, start.from)
    if (start.from !== BigInt(first.offset)) {
      consumer.seek({ topic: this.topic, partition, offset: String(start.from) })
      return
    }
    const { incarnation } = this.identity
    let lapse: unknown
    const beating = setInterval(() => {
      payload.heartbeat().catch((error: unknown) => {
        lapse = error
      })
    }, heartbeatMs)
    let at = BigInt(first.offset)
    try {
      for (const run of this.runs(messages, partition, incarnation)) {
        if (!payload.isRunning() || payload.isStale()) return
        if (run.messages.length > 0) await this.options.handler(run.messages)
        at = run.last
        this.markHandled(incarnation, partition, at)
        payload.resolveOffset(String(at))
        this.next.set(partition, at + 1n)
      }
    } finally {
      clearInterval(beating)
    }
    if (lapse !== undefined) throw lapse
    // The heartbeat says with a typed error that the group went on without us; the commit would wrap it.
    await payload.heartbeat()
    await consumer.commitOffsets([
      { topic: this.topic, partition, offset: String(at + 1n), metadata: incarnation },
    ])
  }

  /** Consecutive messages of one log, opened; those that the ledger has are left out. */
  private *runs(
    messages: readonly KafkaMessage[],
    partition: number,
    incarnation: string,
  ): Generator<{ messages: (BusMessage | PoisonMessage)[]; last: bigint }> {
    const have = this.handled.get(`${incarnation}/${partition}`) ?? -1n
    let run: (BusMessage | PoisonMessage)[] = []
    let runLog: string | undefined
    let runBytes = 0
    let last = -1n
    for (const message of messages) {
      const offset = BigInt(message.offset)
      if (offset > have) {
        const position = { topic: this.topic, incarnation, partition, offset: message.offset }
        const opened = this.openMessage(message.value ?? new Uint8Array(), position)
        const log = 'batch' in opened ? opened.batch.logId : ''
        if (run.length > 0 && (log !== runLog || runBytes > maxOpenedBytes)) {
          yield { messages: run, last }
          run = []
          runBytes = 0
        }
        run.push(opened)
        runLog = log
        // Ciphertext is gzip of JSON, which gives about a tenth.
        runBytes += 10 * (message.value?.length ?? 0)
      }
      last = offset
    }
    if (last >= 0n) yield { messages: run, last }
  }

  private openMessage(value: Uint8Array, position: BusPosition): BusMessage | PoisonMessage {
    try {
      const batch = openEnvelope(value, (logId) => this.options.keyring.transportKeys(logId))
      return { position, batch }
    } catch (error) {
      if (!isSealtrailError(error, 'ENVELOPE_INVALID')) throw error
      const sha256 = hex(createHash('sha256').update(value).digest())
      this.options.logger.warn({ position, reason: error.message }, 'a bus message did not open')
      return { position, reason: error.message, sha256, sizeBytes: value.length }
    }
  }

  /**
   * Compares where a batch begins with where the last one ended. kafkajs jumps silently when an offset is out of range.
   *
   * @returns where to read on: the first offset of the batch, or the beginning of a topic that was made again; and
   *   what is lost before it.
   */
  private async compareStart(
    partition: number,
    first: bigint,
  ): Promise<{ from: bigint; lost?: LostMessages }> {
    const known = this.next.get(partition)
    if (known === first) return { from: first }
    const { logger } = this.options
    const before = this.identity.incarnation
    this.identity = await this.options.identify()
    const { incarnation } = this.identity
    const stored = (await this.groupOffsets()).get(partition)
    const foreign =
      stored?.offset !== undefined &&
      stored.incarnation !== undefined &&
      stored.incarnation !== incarnation
    if (before !== incarnation || (foreign && known === undefined)) {
      const reason = 'the Kafka topic was deleted and made again'
      logger.error({ topic: this.topic, partition }, reason)
      this.next.clear()
      const from = await this.lowOffset(partition)
      return { from, lost: { position: undefined, lost: undefined, reason } }
    }
    const expected = known ?? stored?.offset
    // The ledger may have more than was committed to the group before a crash.
    const needed = largest(expected ?? 0n, this.nextOffset(partition))
    if (first > needed) {
      const reason = 'messages are gone from the Kafka topic that were never read'
      const to = String(first - 1n)
      logger.error({ topic: this.topic, partition, from: String(needed), to }, reason)
      const position = { topic: this.topic, incarnation, partition, offset: to }
      return { from: first, lost: { position, lost: Number(first - needed), reason } }
    }
    if (expected !== undefined && first < expected) {
      logger.warn(
        { topic: this.topic, partition, from: String(first), to: String(expected - 1n) },
        'messages of the Kafka topic are read again',
      )
    }
    return { from: first }
  }

  private async lowOffset(partition: number): Promise<bigint> {
    const offsets = await this.options.admin.fetchTopicOffsets(this.topic)
    return BigInt(offsets.find((entry) => entry.partition === partition)?.low ?? 0)
  }

  private markHandled(incarnation: string, partition: number, offset: bigint): void {
    const name = `${incarnation}/${partition}`
    if (offset > (this.handled.get(name) ?? -1n)) this.handled.set(name, offset)
  }
}

function largest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
