import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { Keyring } from '../../ledger/keyring.ts'
import type { BusPosition } from '../../ledger/segment.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { sealEnvelope } from './envelope.ts'
import type { BusConsumer, BusHandler, EventBus, PackedBatch } from './event-bus.ts'
import {
  createKafkaClient,
  type KafkaAdmin,
  type KafkaClient,
  type KafkaSasl,
  type KafkaTls,
  whenSettled,
} from './kafka-client.ts'
import { KafkaDelivery } from './kafka-consumer.ts'
import { asBusError, KafkaAppender } from './kafka-producer.ts'
import { checkTopic, ensureTopic, partitionOfLog, type TopicIdentity } from './kafka-topic.ts'

export interface KafkaBusOptions {
  /** `host:port`, at least one. */
  readonly brokers: readonly string[]
  readonly tls?: KafkaTls | undefined
  readonly sasl?: KafkaSasl | undefined
  readonly topic?: string
  readonly clientId: string
  readonly groupId: string
  readonly keyring: Pick<Keyring, 'transportKey' | 'transportKeys' | 'sync'>
  readonly logger: Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>
  /** Partitions of the topic, should it have to be made. */
  readonly partitions?: number
  /** Batches accepted by `publish` and not yet by Kafka, at most. A batch is at most 512 KiB. */
  readonly maxQueuedBatches?: number
}

/**
 * The bus over Kafka: at least once, in order a log, sealed to the log's transport key.
 *
 * @throws SealtrailError `BUS_UNAVAILABLE` when no broker answers, `CONFIG_INVALID` when the topic is unfit.
 */
export async function openKafkaBus(options: KafkaBusOptions): Promise<EventBus> {
  const client = createKafkaClient(options)
  const admin = client.admin()
  const topicOptions = {
    topic: options.topic ?? 'sealtrail.batches',
    partitions: options.partitions ?? 12,
    random: randomBytes,
  }
  const appender = new KafkaAppender(client, topicOptions.topic)
  try {
    await admin.connect()
    const identity = await whenSettled(() => ensureTopic(admin, topicOptions))
    await appender.connect()
    const identify = () => checkTopic(admin, topicOptions)
    return new KafkaBus({ options, client, admin, appender, identity, identify })
  } catch (error) {
    await appender.close().catch(() => undefined)
    await admin.disconnect().catch(() => undefined)
    throw asBusError(error)
  }
}

interface KafkaBusParts {
  readonly options: KafkaBusOptions
  readonly client: KafkaClient
  readonly admin: KafkaAdmin
  readonly appender: KafkaAppender
  readonly identity: TopicIdentity
  readonly identify: () => Promise<TopicIdentity>
}

class KafkaBus implements EventBus {
  readonly durable = true
  private readonly parts: KafkaBusParts
  private readonly maxQueued: number
  private identity: TopicIdentity
  private delivery: KafkaDelivery | undefined
  private publishing = 0
  private closed = false

  constructor(parts: KafkaBusParts) {
    this.parts = parts
    this.identity = parts.identity
    this.maxQueued = parts.options.maxQueuedBatches ?? 256
  }

  async publish(batch: PackedBatch): Promise<BusPosition> {
    if (this.closed) {
      throw new SealtrailError('BUS_UNAVAILABLE', 'the bus is closed', { retryable: true })
    }
    if (this.publishing >= this.maxQueued) {
      throw new SealtrailError('BUS_FULL', `${this.maxQueued} batches wait for Kafka already`, {
        retryable: true,
      })
    }
    this.publishing++
    try {
      return await this.append(batch)
    } catch (error) {
      // Offsets went back: the topic may be another one now. The caller tries again, under its new identity.
      if (isSealtrailError(error) && error.details?.wentBack === true) await this.identifyAgain()
      throw error
    } finally {
      this.publishing--
    }
  }

  async consume(handler: BusHandler, committed: readonly BusPosition[]): Promise<BusConsumer> {
    if (this.delivery !== undefined) {
      throw new SealtrailError('BUS_UNAVAILABLE', 'the bus has a consumer')
    }
    const { options, client, admin } = this.parts
    const delivery = new KafkaDelivery(
      {
        client,
        admin,
        groupId: options.groupId,
        keyring: options.keyring,
        logger: options.logger,
        identify: () => this.identifyAgain(),
        handler,
        committed,
      },
      this.identity,
    )
    try {
      await delivery.start()
    } catch (error) {
      throw asBusError(error)
    }
    this.delivery = delivery
    return {
      failed: delivery.failed,
      stop: async () => {
        await delivery.stop()
        if (this.delivery === delivery) this.delivery = undefined
      },
    }
  }

  async lag(): Promise<number> {
    try {
      const { admin, options } = this.parts
      const [ends, stored] = await Promise.all([
        admin.fetchTopicOffsets(this.identity.topic),
        admin.fetchOffsets({ groupId: options.groupId, topics: [this.identity.topic] }),
      ])
      const committed = new Map(
        stored[0]?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]),
      )
      let lag = 0n
      for (const { partition, high, low } of ends) {
        const done = largest(
          BigInt(low),
          committed.get(partition) ?? 0n,
          this.delivery?.nextOffset(partition) ?? 0n,
        )
        if (BigInt(high) > done) lag += BigInt(high) - done
      }
      return Number(lag)
    } catch (error) {
      throw asBusError(error)
    }
  }

  async close(): Promise<void> {
    this.closed = true
    await this.delivery?.stop()
    this.delivery = undefined
    await this.parts.appender.close()
    await this.parts.admin.disconnect()
  }

  private async append(batch: PackedBatch): Promise<BusPosition> {
    const { options, appender } = this.parts
    const key = options.keyring.transportKey(batch.logId)
    // What a lost key sealed would be lost with it.
    await options.keyring.sync()
    const { topic, incarnation, partitions } = this.identity
    const partition = partitionOfLog(batch.logId, partitions)
    const offset = await appender.append(partition, batch.logId, sealEnvelope(batch, key))
    return { topic, incarnation, partition, offset: String(offset) }
  }

  private async identifyAgain(): Promise<TopicIdentity> {
    const now = await this.parts.identify()
    if (now.incarnation !== this.identity.incarnation) this.parts.appender.forgetOffsets()
    this.identity = now
    return now
  }
}

function largest(...values: readonly bigint[]): bigint {
  let result = 0n
  for (const value of values) if (value > result) result = value
  return result
}
