import { SealtrailError } from '../../schemas/errors.ts'
import {
  isLastingKafkaError,
  type KafkaClient,
  type KafkaProducer,
  kafkaConnectionHint,
  type RecordMetadata,
} from './kafka-client.ts'

/** At most this much goes into one request of a partition; a larger message travels alone. */
const maxRequestBytes = 900_000

interface Waiting {
  readonly key: string
  readonly value: Uint8Array
  readonly done: (offset: bigint) => void
  readonly fail: (error: Error) => void
}

interface Lane {
  queue: Waiting[]
  running: Promise<void> | undefined
  /** Highest offset acknowledged; the next one must be above it. */
  last: bigint
}

/**
 * Appends to partitions, in order, with one request a partition outstanding *including its retries*: kafkajs sends
 * again behind what was sent in the meantime, and with `idempotent: true` it acknowledges a message that the broker
 * dropped as the repetition of another. Records may be in the log twice; the sequencer knows them again.
 */
export class KafkaAppender {
  private readonly client: KafkaClient
  private readonly topic: string
  private readonly lanes = new Map<number, Lane>()
  private producer: Promise<KafkaProducer> | undefined
  private closed = false

  constructor(client: KafkaClient, topic: string) {
    this.client = client
    this.topic = topic
  }

  /** @throws SealtrailError `BUS_UNAVAILABLE` */
  async connect(): Promise<void> {
    await this.connected()
  }

  /**
   * Offset of the message, once all in-sync replicas have it.
   *
   * @throws SealtrailError `BUS_UNAVAILABLE`; retryable unless Kafka refuses for good. It may have been written.
   */
  append(partition: number, key: string, value: Uint8Array): Promise<bigint> {
    if (this.closed) return Promise.reject(unavailable('the bus is closed'))
    return new Promise((done, fail) => {
      const lane = this.lanes.get(partition) ?? { queue: [], running: undefined, last: -1n }
      this.lanes.set(partition, lane)
      lane.queue.push({ key, value, done, fail })
      lane.running ??= this.drain(partition, lane)
    })
  }

  /** Forgets the offsets seen: the topic is another one now. */
  forgetOffsets(): void {
    for (const lane of this.lanes.values()) lane.last = -1n
  }

  /** Sends what waits, then disconnects. */
  async close(): Promise<void> {
    this.closed = true
    await Promise.all([...this.lanes.values()].map(({ running }) => running))
    const producer = await this.producer?.catch(() => undefined)
    this.producer = undefined
    await producer?.disconnect()
  }

  private async drain(partition: number, lane: Lane): Promise<void> {
    // Lets what is published in the same turn of the event loop share a request.
    await Promise.resolve()
    while (lane.queue.length > 0) {
      const group = takeGroup(lane.queue)
      try {
        const base = await this.send(partition, group, lane.last)
        lane.last = base + BigInt(group.length - 1)
        for (const [i, { done }] of group.entries()) done(base + BigInt(i))
      } catch (cause) {
        const error = asBusError(cause)
        for (const { fail } of group) fail(error)
      }
    }
    lane.running = undefined
  }

  private async send(partition: number, group: readonly Waiting[], last: bigint): Promise<bigint> {
    const producer = await this.connected()
    const answer = await producer.send({
      topic: this.topic,
      acks: -1,
      timeout: 10_000,
      messages: group.map(({ key, value }) => ({ partition, key, value: Buffer.from(value) })),
    })
    const base = baseOffsetOf(answer, this.topic, partition)
    if (base === undefined) {
      // kafkajs resolves without having sent anything when its metadata lack the partition; a new one asks again.
      this.reconnect()
      throw unavailable(`Kafka did not confirm partition ${partition}`)
    }
    if (base <= last) {
      throw new SealtrailError(
        'BUS_UNAVAILABLE',
        `partition ${partition} went back from offset ${last} to ${base}`,
        { retryable: true, details: { wentBack: true } },
      )
    }
    return base
  }

  private connected(): Promise<KafkaProducer> {
    if (this.producer === undefined) {
      const connecting = this.open()
      this.producer = connecting
      connecting.catch(() => {
        if (this.producer === connecting) this.producer = undefined
      })
    }
    return this.producer
  }

  private async open(): Promise<KafkaProducer> {
    const producer = this.client.producer({
      idempotent: false,
      allowAutoTopicCreation: false,
      // Each message names its partition.
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition ?? -1,
      // A sender that waits longer had better hear 503 and keep its records.
      retry: { initialRetryTime: 200, retries: 3 },
    })
    try {
      await producer.connect()
      return producer
    } catch (cause) {
      await producer.disconnect().catch(() => undefined)
      throw asBusError(cause)
    }
  }

  private reconnect(): void {
    const old = this.producer
    this.producer = undefined
    void old?.then((producer) => producer.disconnect()).catch(() => undefined)
  }
}

function takeGroup(queue: Waiting[]): Waiting[] {
  let bytes = 0
  let count = 0
  for (const { value } of queue) {
    bytes += value.length
    if (count > 0 && bytes > maxRequestBytes) break
    count++
  }
  return queue.splice(0, count)
}

/** Offset of the first message, if the answer names exactly the partition asked for, without error. */
export function baseOffsetOf(
  answer: readonly RecordMetadata[],
  topic: string,
  partition: number,
): bigint | undefined {
  const [only] = answer
  if (answer.length !== 1 || only === undefined) return undefined
  if (only.topicName !== topic || only.partition !== partition || only.errorCode !== 0) {
    return undefined
  }
  return only.baseOffset !== undefined && /^\d+$/.test(only.baseOffset)
    ? BigInt(only.baseOffset)
    : undefined
}

function unavailable(message: string): SealtrailError {
  return new SealtrailError('BUS_UNAVAILABLE', message, { retryable: true })
}

export function asBusError(cause: unknown): SealtrailError {
  if (cause instanceof SealtrailError) return cause
  const said = cause instanceof Error ? cause.message : String(cause)
  return new SealtrailError('BUS_UNAVAILABLE', `Kafka: ${said}`, {
    cause,
    retryable: !isLastingKafkaError(cause),
    hint:
      kafkaConnectionHint(said) ??
      'Check that the brokers run and answer at their advertised addresses.',
  })
}
