import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EventBus } from '../../ingest/bus/event-bus.ts'
import { type KafkaBusOptions, openKafkaBus } from '../../ingest/bus/kafka-bus.ts'
import { createKafkaClient, type KafkaAdmin } from '../../ingest/bus/kafka-client.ts'
import { KafkaAppender } from '../../ingest/bus/kafka-producer.ts'
import { partitionOfLog } from '../../ingest/bus/kafka-topic.ts'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import type { Keyring } from '../../ledger/keyring.ts'
import type { BusPosition } from '../../ledger/segment.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { freePort, type KafkaServer, startKafka } from '../../scripts/kafka-server.ts'
import {
  aBatch,
  describeEventBus,
  eventually,
  positionKey,
  RecordingHandler,
  upTo,
} from '../conformance/event-bus.ts'
import { testMasterKey } from '../fixtures/embedded-ledger.ts'

let directory: string
let port: number
let kafka: KafkaServer
let keyring: Keyring
let admin: KafkaAdmin
const lines: { level: string; about: unknown; text: string }[] = []
const at = (level: string) => (about: unknown, text?: string) => {
  lines.push({ level, about, text: text ?? '' })
}
const logger = {
  debug: () => undefined,
  info: at('info'),
  warn: at('warn'),
  error: at('error'),
} as KafkaBusOptions['logger']
const errorsSaid = () => lines.filter(({ level }) => level === 'error').map(({ text }) => text)

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealtrail-kafka-'))
  port = await freePort()
  kafka = await startKafka({ directory, port })
  keyring = await openFileKeyring(join(directory, 'keyring'), testMasterKey)
  admin = client().admin()
  await admin.connect()
})
afterAll(async () => {
  await admin.disconnect()
  await keyring.close()
  await kafka.stop()
  await rm(directory, { recursive: true, force: true })
})

const client = () => createKafkaClient({ brokers: [kafka.brokers], clientId: 'test', logger })

function openBus(changes: Partial<KafkaBusOptions> = {}): Promise<EventBus> {
  return openKafkaBus({
    brokers: [kafka.brokers],
    topic: `t-${randomUUID()}`,
    clientId: 'test',
    groupId: `g-${randomUUID()}`,
    keyring,
    logger,
    partitions: 3,
    ...changes,
  })
}

/** Publishes as a collector does: again, until it is acknowledged. */
async function publishSurely(bus: EventBus, logId: string, i: number): Promise<BusPosition> {
  for (const end = Date.now() + 90_000; ; await delay(200)) {
    try {
      return await bus.publish(aBatch(logId, i))
    } catch (error) {
      if (!isSealtrailError(error, 'BUS_UNAVAILABLE') || !error.retryable) throw error
      if (Date.now() > end) throw error
    }
  }
}

function refusalOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'resolved',
    (error: unknown) => error,
  )
}

/** Leaves the group with an offset of another incarnation, as a broker does that keeps the offsets of a dead topic. */
async function commitAs(
  { topic, groupId }: { topic: string; groupId: string },
  offset: string,
  metadata: string,
): Promise<void> {
  const consumer = client().consumer({ groupId })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic] })
  const joined = new Promise((done) => consumer.on(consumer.events.GROUP_JOIN, done))
  await consumer.run({ autoCommit: false, eachBatch: () => delay(10) })
  await joined
  await consumer.commitOffsets([{ topic, partition: 0, offset, metadata }])
  await consumer.disconnect()
}

describeEventBus(
  'Kafka',
  async (settings) => {
    const topic = `t-${randomUUID()}`
    const bus = await openBus({ ...settings, topic })
    const appender = new KafkaAppender(client(), topic)
    return {
      bus,
      // Into the partition of the log `main`, where its neighbours are.
      poison: async (bytes) => {
        await appender.append(partitionOfLog('main', 3), 'main', bytes)
      },
      close: async () => {
        await appender.close()
        await bus.close()
      },
    }
  },
  true,
)

describe('the Kafka bus', () => {
  test('loses nothing that it acknowledged when the broker is killed and comes back', async () => {
    const bus = await openBus()
    const handler = new RecordingHandler()
    const consumer = await bus.consume(handler.handle, [])
    const acknowledged: BusPosition[] = []
    const publishing = (async () => {
      for (const i of upTo(300)) {
        acknowledged.push(await publishSurely(bus, `log-${i % 4}`, i))
        await delay(10)
      }
    })()
    await eventually(() => acknowledged.length > 50)
    process.kill(kafka.pid, 'SIGKILL')
    await kafka.stop()
    await delay(2000)
    const before = acknowledged.length
    expect(before).toBeLessThan(300)
    kafka = await startKafka({ directory, port })
    await publishing
    const delivered = () => new Set(handler.messages.map(({ position }) => positionKey(position)))
    await eventually(() => delivered().size >= 300, 90_000)
    const seen = delivered()
    expect(acknowledged.map(positionKey).filter((key) => !seen.has(key))).toEqual([])
    for (const log of upTo(4)) {
      const once = [...new Set(handler.ordinals(`log-${log}`))]
      expect(once).toEqual(upTo(300).filter((i) => i % 4 === log))
    }
    await consumer.stop()
    await bus.close()
  })

  test('waits while the broker stands still for five seconds, and loses nothing', async () => {
    const bus = await openBus()
    const handler = new RecordingHandler()
    const consumer = await bus.consume(handler.handle, [])
    await publishSurely(bus, 'main', 0)
    process.kill(kafka.pid, 'SIGSTOP')
    const began = Date.now()
    const publishing = Promise.all(upTo(20).map((i) => publishSurely(bus, `log-${i % 4}`, i)))
    try {
      await delay(5000)
    } finally {
      process.kill(kafka.pid, 'SIGCONT')
    }
    const acknowledged = await publishing
    expect(Date.now() - began).toBeGreaterThan(5000)
    await eventually(() => handler.messages.length >= 21)
    const seen = new Set(handler.messages.map(({ position }) => positionKey(position)))
    expect(acknowledged.map(positionKey).filter((key) => !seen.has(key))).toEqual([])
    await consumer.stop()
    await bus.close()
  })

  test('goes on consuming after the broker stood still longer than the session of the group', async () => {
    const bus = await openBus()
    const handler = new RecordingHandler()
    const consumer = await bus.consume(handler.handle, [])
    await publishSurely(bus, 'main', 0)
    await eventually(() => handler.messages.length === 1)
    process.kill(kafka.pid, 'SIGSTOP')
    try {
      await delay(16_000)
    } finally {
      process.kill(kafka.pid, 'SIGCONT')
    }
    await publishSurely(bus, 'main', 1)
    await eventually(() => new Set(handler.ordinals('main')).size === 2, 60_000)
    await consumer.stop()
    await bus.close()
  })

  test('never confirms a message for a partition that it does not know', async () => {
    const topic = `t-${randomUUID()}`
    const bus = await openBus({ topic })
    const appender = new KafkaAppender(client(), topic)
    expect(await appender.append(0, 'main', Buffer.from('x'))).toBe(0n)
    const error = await refusalOf(appender.append(99, 'main', Buffer.from('x')))
    expect(isSealtrailError(error, 'BUS_UNAVAILABLE') && error.retryable).toBe(true)
    // A partition added behind the back of a connected producer: kafkajs resolves and writes nothing.
    const connected = new KafkaAppender(client(), topic)
    await connected.append(0, 'main', Buffer.from('x'))
    await admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] })
    const unknown = await refusalOf(connected.append(3, 'main', Buffer.from('x')))
    expect(isSealtrailError(unknown, 'BUS_UNAVAILABLE') && unknown.retryable).toBe(true)
    expect(await connected.append(3, 'main', Buffer.from('x'))).toBe(0n)
    await connected.close()
    const offsets = await admin.fetchTopicOffsets(topic)
    expect(offsets.find(({ partition }) => partition === 3)?.high).toBe('1')
    await appender.close()
    await bus.close()
  })

  test('keeps the logs in their partitions when partitions are added', async () => {
    const options = { topic: `t-${randomUUID()}`, groupId: `g-${randomUUID()}` }
    const bus = await openBus(options)
    const before = await Promise.all(upTo(8).map((i) => bus.publish(aBatch(`log-${i}`, 0))))
    await bus.close()
    await admin.createPartitions({ topicPartitions: [{ topic: options.topic, count: 7 }] })
    const later = await openBus({ ...options, partitions: 7 })
    const after = await Promise.all(upTo(8).map((i) => later.publish(aBatch(`log-${i}`, 1))))
    expect(after.map(({ partition }) => partition)).toEqual(before.map((p) => p.partition))
    expect(after[0]?.incarnation).toBe(before[0]?.incarnation)
    await later.close()
  })

  test('goes on behind the last handled message after a restart of the process', async () => {
    const options = { topic: `t-${randomUUID()}`, groupId: `g-${randomUUID()}` }
    const bus = await openBus(options)
    const first = new RecordingHandler()
    await bus.consume(first.handle, [])
    const positions = await Promise.all(upTo(3).map((i) => bus.publish(aBatch('main', i))))
    await eventually(() => first.messages.length === 3)
    await bus.close()
    const offsets = await admin.fetchOffsets({ groupId: options.groupId, topics: [options.topic] })
    const { partition, offset } = positions[2] ?? { partition: -1, offset: '' }
    expect(offsets[0]?.partitions.find((entry) => entry.partition === partition)?.offset).toBe(
      String(Number(offset) + 1),
    )
    const later = await openBus(options)
    const second = new RecordingHandler()
    // The ledger names an older position; the group knows better.
    await later.consume(second.handle, positions.slice(0, 1))
    await later.publish(aBatch('main', 3))
    await eventually(() => second.messages.length > 0)
    expect(second.ordinals('main')).toEqual([3])
    await later.close()
  })

  test('commits what it was still handling when it was stopped', async () => {
    const options = { topic: `t-${randomUUID()}`, groupId: `g-${randomUUID()}`, partitions: 1 }
    const bus = await openBus(options)
    let entered = false
    const consumer = await bus.consume(async () => {
      entered = true
      await delay(1000)
    }, [])
    await bus.publish(aBatch('main', 0))
    await eventually(() => entered)
    await consumer.stop()
    const offsets = await admin.fetchOffsets({ groupId: options.groupId, topics: [options.topic] })
    expect(offsets[0]?.partitions[0]?.offset).toBe('1')
    await bus.close()
  })

  test('does not start an empty ledger on a group that has read before', async () => {
    const options = { topic: `t-${randomUUID()}`, groupId: `g-${randomUUID()}` }
    const bus = await openBus(options)
    const handler = new RecordingHandler()
    await bus.consume(handler.handle, [])
    await bus.publish(aBatch('main', 0))
    await eventually(() => handler.messages.length === 1)
    await bus.close()
    const later = await openBus(options)
    const error = await refusalOf(later.consume(handler.handle, []))
    expect(isSealtrailError(error, 'CONFIG_INVALID') && error.message).toContain('ledger is empty')
    await later.close()
  })

  test('hands the next log over only when the one before is durable, so that a position covers all logs below it', async () => {
    const options = { topic: `t-${randomUUID()}`, partitions: 1, groupId: `g-${randomUUID()}` }
    const bus = await openBus(options)
    for (const i of upTo(12)) await bus.publish(aBatch(`log-${Math.floor(i / 2) % 3}`, i))
    let running = 0
    const handler = new RecordingHandler()
    await bus.consume(async (messages) => {
      expect(++running).toBe(1)
      await delay(20)
      await handler.handle(messages)
      running--
    }, [])
    await eventually(() => handler.messages.length >= 12)
    for (const call of handler.calls) {
      const logs = call.map((message) => ('batch' in message ? message.batch.logId : ''))
      expect(new Set(logs).size).toBe(1)
    }
    expect(handler.messages.map(({ batch }) => batch.firstOrdinal)).toEqual(upTo(12))
    await bus.close()
  })

  test('keeps its partitions while a handler takes longer than the session', async () => {
    // With one partition nothing else keeps the session alive.
    const bus = await openBus({ partitions: 1 })
    let calls = 0
    await bus.consume(async () => {
      calls++
      await delay(calls === 1 ? 14_000 : 0)
    }, [])
    await bus.publish(aBatch('main', 0))
    await delay(15_000)
    await bus.publish(aBatch('main', 1))
    await eventually(() => calls >= 2)
    await delay(1000)
    expect(calls).toBe(2)
    expect(await bus.lag()).toBe(0)
    await bus.close()
  })

  test('ends for good when the handler says that trying again does not help', async () => {
    const bus = await openBus()
    const consumer = await bus.consume(async () => {
      throw new SealtrailError('LEDGER_CORRUPT', 'the ledger is damaged')
    }, [])
    await bus.publish(aBatch('main', 0))
    expect(isSealtrailError(await consumer.failed, 'LEDGER_CORRUPT')).toBe(true)
    expect(await bus.lag()).toBe(1)
    await bus.close()
  })

  test('reads a topic that was made again from its beginning, also where the old offsets would fit', async () => {
    const options = { topic: `t-${randomUUID()}`, groupId: `g-${randomUUID()}`, partitions: 1 }
    const bus = await openBus(options)
    const first = new RecordingHandler()
    await bus.consume(first.handle, [])
    const old = await Promise.all(upTo(3).map((i) => bus.publish(aBatch('main', i))))
    await eventually(() => first.messages.length === 3)
    await bus.close()
    await admin.deleteTopics({ topics: [options.topic] })
    await delay(1000)
    const maker = await openBus(options)
    const made = await Promise.all(upTo(6).map((i) => maker.publish(aBatch('main', 100 + i))))
    await maker.close()
    expect(made[0]?.incarnation).not.toBe(old[0]?.incarnation)
    await commitAs(options, '3', old[0]?.incarnation ?? '')
    const later = await openBus(options)
    const second = new RecordingHandler()
    await later.consume(second.handle, old)
    await eventually(() => second.messages.length >= 6)
    expect(second.ordinals('main')).toEqual(upTo(6).map((i) => 100 + i))
    expect(second.calls[0]).toMatchObject([{ position: undefined, lost: undefined }])
    expect(second.lost).toHaveLength(1)
    await later.close()
  })

  test('says so when messages are gone that were never read', async () => {
    const options = { topic: `t-${randomUUID()}`, groupId: `g-${randomUUID()}`, partitions: 1 }
    const bus = await openBus(options)
    const handler = new RecordingHandler()
    await bus.consume(handler.handle, [])
    const first = await bus.publish(aBatch('main', 0))
    await eventually(() => handler.messages.length === 1)
    await bus.close()
    const later = await openBus(options)
    for (const i of upTo(4)) await later.publish(aBatch('main', i + 1))
    await admin.fetchTopicOffsets(options.topic)
    await admin.deleteTopicRecords({
      topic: options.topic,
      partitions: [{ partition: 0, offset: '3' }],
    })
    lines.length = 0
    await later.consume(handler.handle, [first])
    await eventually(() => handler.messages.length >= 3)
    expect(handler.ordinals('main')).toEqual([0, 3, 4])
    expect(errorsSaid()).toContain('messages are gone from the Kafka topic that were never read')
    // Told before what follows it, with the position of the last one: a restart does not tell it again.
    const gap = { lost: 2, position: { ...first, offset: String(Number(first.offset) + 2) } }
    expect(handler.calls[1]).toMatchObject([gap])
    expect(handler.lost).toHaveLength(1)
    await later.close()
  })

  test('refuses a topic whose settings lose records, and says how to make it', async () => {
    const topic = `t-${randomUUID()}`
    await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
    const error = await refusalOf(openBus({ topic }))
    expect(isSealtrailError(error, 'CONFIG_INVALID') && error.hint).toContain(
      '--config message.timestamp.type=LogAppendTime',
    )
  })

  test('is unavailable, retryable, where no broker answers', async () => {
    const error = await refusalOf(openBus({ brokers: [`127.0.0.1:${await freePort()}`] }))
    expect(isSealtrailError(error, 'BUS_UNAVAILABLE') && error.retryable).toBe(true)
  })
})
