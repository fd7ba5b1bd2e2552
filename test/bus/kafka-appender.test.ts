import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import {
  isLastingKafkaError,
  type KafkaClient,
  type RecordMetadata,
  typedCause,
} from '../../ingest/bus/kafka-client.ts'
import { KafkaAppender } from '../../ingest/bus/kafka-producer.ts'

interface Send {
  readonly partitions: number[]
  readonly values: string[]
  readonly acks: number | undefined
  readonly answer: (answer: RecordMetadata[]) => void
  readonly fail: (error: Error) => void
}

/** A producer of kafkajs that answers as the test says. */
function fakeClient() {
  const options: Record<string, unknown>[] = []
  const sends: Send[] = []
  const producer = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    send: ({
      messages,
      acks,
    }: {
      messages: { partition: number; value: Buffer }[]
      acks?: number
    }) =>
      new Promise<RecordMetadata[]>((answer, fail) => {
        sends.push({
          partitions: [...new Set(messages.map(({ partition }) => partition))],
          values: messages.map(({ value }) => value.toString()),
          acks,
          answer,
          fail,
        })
      }),
  }
  const client = {
    producer: (given: Record<string, unknown>) => {
      options.push(given)
      return producer
    },
  }
  // The one cast: of kafkajs' client the appender uses nothing else.
  return { client: client as unknown as KafkaClient, options, sends }
}

const written = (partition: number, baseOffset: string): RecordMetadata => ({
  topicName: 't',
  partition,
  errorCode: 0,
  baseOffset,
})

function open() {
  const fake = fakeClient()
  const appender = new KafkaAppender(fake.client, 't')
  const append = (partition: number, value: string) => {
    const appending = appender.append(partition, 'main', Buffer.from(value))
    appending.catch(() => undefined)
    return appending
  }
  return { ...fake, append }
}

/** Traps of kafkajs 2.2.4: each of these resolved there although something was lost. */
describe('the Kafka appender', () => {
  test('never turns on idempotence, which acknowledges messages that the broker took for repetitions', async () => {
    const { append, options, sends } = open()
    void append(0, 'a')
    await turn()
    expect(options).toEqual([expect.objectContaining({ idempotent: false })])
    expect(sends[0]?.acks).toBe(-1)
  })

  test('has one request a partition outstanding, its retries included, and one partition a request', async () => {
    const { append, sends } = open()
    const first = append(0, 'a')
    await turn()
    const [second, third, other] = [append(0, 'b'), append(0, 'c'), append(1, 'x')]
    await turn()
    expect(sends.map(({ partitions, values }) => [partitions, values])).toEqual([
      [[0], ['a']],
      [[1], ['x']],
    ])
    sends[0]?.answer([written(0, '7')])
    sends[1]?.answer([written(1, '0')])
    expect([await first, await other]).toEqual([7n, 0n])
    await turn()
    expect(sends[2]?.values).toEqual(['b', 'c'])
    sends[2]?.answer([written(0, '8')])
    expect([await second, await third]).toEqual([8n, 9n])
  })

  test.each([
    ['an answer without any partition', []],
    ['an answer for another partition', [written(1, '3')]],
    ['an answer for another topic', [{ ...written(0, '3'), topicName: 'other' }]],
    ['an answer for two partitions', [written(0, '3'), written(1, '3')]],
    ['an error in the answer', [{ ...written(0, '3'), errorCode: 6 }]],
    ['an answer without offset', [{ topicName: 't', partition: 0, errorCode: 0 }]],
    ['an offset of -1', [written(0, '-1')]],
  ])('does not take %s for written, and asks a new producer', async (_name, answer) => {
    const { append, options, sends } = open()
    const appending = append(0, 'a')
    await turn()
    sends[0]?.answer(answer)
    await expect(appending).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE', retryable: true })
    const again = append(0, 'a')
    await turn()
    sends[1]?.answer([written(0, '3')])
    expect(await again).toBe(3n)
    expect(options).toHaveLength(2)
  })

  test('does not take an offset that it had before for written', async () => {
    const { append, sends } = open()
    const first = append(0, 'a')
    await turn()
    sends[0]?.answer([written(0, '5')])
    await first
    const second = append(0, 'b')
    await turn()
    sends[1]?.answer([written(0, '5')])
    await expect(second).rejects.toMatchObject({
      code: 'BUS_UNAVAILABLE',
      retryable: true,
      details: { wentBack: true },
    })
  })

  test('goes on with what waits when one request fails', async () => {
    const { append, sends } = open()
    const first = append(0, 'a')
    await turn()
    const second = append(0, 'b')
    sends[0]?.fail(new Error('Connection error: connect ECONNREFUSED'))
    await expect(first).rejects.toMatchObject({ code: 'BUS_UNAVAILABLE', retryable: true })
    await turn()
    sends[1]?.answer([written(0, '0')])
    expect(await second).toBe(0n)
  })
})

describe('errors of kafkajs', () => {
  const typed = (name: string, type?: string, cause?: Error) =>
    Object.assign(new Error('x', { cause }), { name, ...(type === undefined ? {} : { type }) })

  test('a commit that was wrapped shows the protocol error, at which the consumer joins again', () => {
    const member = typed('KafkaJSProtocolError', 'UNKNOWN_MEMBER_ID')
    expect(typedCause(typed('KafkaJSNonRetriableError', undefined, member))).toBe(member)
    const plain = new Error('plain')
    expect(typedCause(plain)).toBe(plain)
  })

  test('a broker that is restarting passes, though kafkajs calls it not retriable; what is refused lasts', () => {
    const connection = typed('KafkaJSConnectionError')
    const down = Object.assign(typed('KafkaJSNonRetriableError', undefined, connection), {
      retriable: false,
    })
    expect(isLastingKafkaError(down)).toBe(false)
    expect(isLastingKafkaError(typed('KafkaJSNotImplemented'))).toBe(true)
    expect(isLastingKafkaError(typed('KafkaJSProtocolError', 'MESSAGE_TOO_LARGE'))).toBe(true)
    expect(
      isLastingKafkaError(typed('x', undefined, typed('KafkaJSSASLAuthenticationError'))),
    ).toBe(true)
  })
})
