import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type {
  BusHandler,
  BusMessage,
  Delivered,
  EventBus,
  LostMessages,
  PackedBatch,
  PoisonMessage,
} from '../../ingest/bus/event-bus.ts'
import type { BusPosition } from '../../ledger/segment.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import { aToolCall } from '../fixtures/embedded-ledger.ts'

export interface OpenedBus {
  readonly bus: EventBus
  /** Puts bytes on the bus that are no envelope; absent where a bus carries no bytes. */
  readonly poison?: (bytes: Uint8Array) => Promise<void>
  /** Closes the bus and what belongs to it. */
  close(): Promise<void>
}

export interface BusSettings {
  readonly maxQueuedBatches?: number
}

export function aBatch(logId: string, ordinal: number, changes: Partial<PackedBatch> = {}) {
  return {
    version: 1,
    logId,
    sourceId: 'gateway',
    requestDigest: `${logId}-${ordinal}`,
    firstOrdinal: ordinal,
    requestCount: ordinal + 1,
    events: [aToolCall({ 'gen_ai.tool.call.arguments': { ordinal } })],
    ...changes,
  } satisfies PackedBatch
}

/** Remembers what it was given. */
export class RecordingHandler {
  readonly calls: (readonly Delivered[])[] = []
  readonly handle: BusHandler = async (messages) => {
    this.calls.push(messages)
  }

  get messages(): BusMessage[] {
    return this.calls.flat().filter((message): message is BusMessage => 'batch' in message)
  }

  get poison(): PoisonMessage[] {
    return this.calls.flat().filter((message): message is PoisonMessage => 'sha256' in message)
  }

  get lost(): LostMessages[] {
    return this.calls.flat().filter((message): message is LostMessages => 'lost' in message)
  }

  ordinals(logId: string): number[] {
    return this.messages
      .filter(({ batch }) => batch.logId === logId)
      .map(({ batch }) => batch.firstOrdinal)
  }
}

export async function eventually(condition: () => boolean, withinMs = 30_000): Promise<void> {
  for (const end = Date.now() + withinMs; !condition(); await delay(20)) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${condition}`)
  }
}

export const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

export const positionKey = (position: BusPosition): string =>
  `${position.topic}/${position.incarnation}/${position.partition}/${position.offset}`

/** The contract of {@link EventBus} as tests; each `open` gives a bus of its own, empty. */
export function describeEventBus(
  name: string,
  open: (settings?: BusSettings) => Promise<OpenedBus>,
  carriesBytes: boolean,
): void {
  describe(`${name} as an event bus`, () => {
    let opened: OpenedBus | undefined
    const openOne = async (settings?: BusSettings): Promise<OpenedBus> => {
      opened = await open(settings)
      return opened
    }
    afterEach(async () => {
      await opened?.close()
      opened = undefined
    })

    test('delivers every batch of a log in the order of publishing, at the position that it returned', async () => {
      const { bus } = await openOne()
      const handler = new RecordingHandler()
      const consumer = await bus.consume(handler.handle, [])
      const logs = ['main', 'team-a', 'team-b', 'team-c']
      const published = await Promise.all(
        upTo(50).flatMap((i) => logs.map((logId) => bus.publish(aBatch(logId, i)))),
      )
      await eventually(() => handler.messages.length >= 200)
      for (const logId of logs) expect(handler.ordinals(logId)).toEqual(upTo(50))
      const delivered = handler.messages.map(({ position }) => positionKey(position))
      expect(new Set(delivered)).toEqual(new Set(published.map(positionKey)))
      const first = handler.messages.find(({ batch }) => batch.firstOrdinal === 0)
      expect(first?.batch).toEqual(aBatch(first?.batch.logId ?? '', 0))
      await consumer.stop()
    })

    test('hands one call messages of one partition only, with rising offsets', async () => {
      const { bus } = await openOne()
      for (const i of upTo(20)) await bus.publish(aBatch(`log-${i % 5}`, i))
      const handler = new RecordingHandler()
      const consumer = await bus.consume(handler.handle, [])
      await eventually(() => handler.messages.length >= 20)
      for (const call of handler.calls) {
        expect(new Set(call.map(({ position }) => position?.partition)).size).toBe(1)
        const offsets = call.map(({ position }) => Number(position?.offset))
        expect(offsets).toEqual([...offsets].sort((a, b) => a - b))
      }
      await consumer.stop()
    })

    test('delivers again, in order, what a handler rejected', async () => {
      const { bus } = await openOne()
      const handler = new RecordingHandler()
      let refusals = 1
      const handle: BusHandler = async (messages) => {
        if (refusals-- > 0) throw new Error('the disk is gone for a moment')
        await handler.handle(messages)
      }
      const consumer = await bus.consume(handle, [])
      let current = consumer
      // Where a rejection ends delivery for good, the process would end and its successor consume.
      void consumer.failed.then(async () => {
        current = await bus.consume(handle, [])
      })
      for (const i of upTo(5)) await bus.publish(aBatch('main', i))
      await eventually(() => handler.messages.length >= 5)
      expect(handler.ordinals('main')).toEqual(upTo(5))
      await current.stop()
    })

    test('waits in stop until the handler is idle, and delivers nothing afterwards', async () => {
      const { bus } = await openOne()
      let release: () => void = () => undefined
      const blocked = new Promise<void>((done) => {
        release = done
      })
      let entered = 0
      let left = 0
      const consumer = await bus.consume(async () => {
        entered++
        await blocked
        left++
      }, [])
      await bus.publish(aBatch('main', 0))
      await eventually(() => entered === 1)
      let stopped = false
      const stopping = consumer.stop().then(() => {
        stopped = true
      })
      await bus.publish(aBatch('main', 1))
      await delay(300)
      expect(stopped).toBe(false)
      release()
      await stopping
      expect([entered, left]).toEqual([1, 1])
      await delay(300)
      expect(entered).toBe(1)
    })

    test('leaves out what the ledger already has, and nothing else', async () => {
      const { bus } = await openOne()
      const positions: BusPosition[] = []
      for (const i of upTo(6)) positions.push(await bus.publish(aBatch('main', i)))
      const second = positions[2]
      if (second === undefined) throw new Error('unreachable')
      const handler = new RecordingHandler()
      const consumer = await bus.consume(handler.handle, [
        second,
        { ...second, incarnation: 'another one', offset: '999' },
        { ...second, topic: 'another one', offset: '999' },
        { ...second, partition: second.partition + 1, offset: '999' },
      ])
      await eventually(() => handler.messages.length >= 3)
      await delay(200)
      expect(handler.ordinals('main')).toEqual([3, 4, 5])
      await consumer.stop()
    })

    test('refuses with BUS_FULL, retryable, beyond its bound, and takes more once that is handled', async () => {
      const { bus } = await openOne({ maxQueuedBatches: 2 })
      const results = await Promise.allSettled(upTo(3).map((i) => bus.publish(aBatch('main', i))))
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
      const reason: unknown = results[2]?.status === 'rejected' ? results[2].reason : undefined
      expect(isSealtrailError(reason, 'BUS_FULL') && reason.retryable).toBe(true)
      const handler = new RecordingHandler()
      const consumer = await bus.consume(handler.handle, [])
      await eventually(() => handler.messages.length === 2)
      await bus.publish(aBatch('main', 2))
      await eventually(() => handler.messages.length === 3)
      await consumer.stop()
    })

    test('counts as lag what it accepted and no handler has finished', async () => {
      const { bus } = await openOne()
      for (const i of upTo(3)) await bus.publish(aBatch('main', i))
      expect(await bus.lag()).toBe(3)
      const handler = new RecordingHandler()
      const consumer = await bus.consume(handler.handle, [])
      await eventually(() => handler.messages.length === 3)
      await delay(100)
      expect(await bus.lag()).toBe(0)
      await consumer.stop()
    })

    test('takes nothing more once it is closed', async () => {
      const { bus, close } = await openOne()
      await close()
      opened = undefined
      const error = await bus.publish(aBatch('main', 0)).catch((cause: unknown) => cause)
      expect(isSealtrailError(error, 'BUS_UNAVAILABLE')).toBe(true)
    })

    if (carriesBytes) {
      test('hands on what does not open as poison, with hash and size, between its neighbours', async () => {
        const { bus, poison } = await openOne()
        await bus.publish(aBatch('main', 0))
        await poison?.(Buffer.from('no envelope'))
        await poison?.(new Uint8Array())
        await bus.publish(aBatch('main', 1))
        const handler = new RecordingHandler()
        const consumer = await bus.consume(handler.handle, [])
        await eventually(() => handler.messages.length === 2 && handler.poison.length === 2)
        expect(handler.poison).toMatchObject([
          {
            reason: 'it does not begin as v1 does',
            sha256: '6e73e3addc705cd780a43265fd4621c8ad7c35a105672d7cd9917722d5655a0e',
            sizeBytes: 11,
          },
          {
            sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
            sizeBytes: 0,
          },
        ])
        expect(handler.ordinals('main')).toEqual([0, 1])
        await consumer.stop()
      })
    }
  })
}
