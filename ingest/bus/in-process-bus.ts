import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { BusPosition } from '../../ledger/segment.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import type { BusConsumer, BusHandler, BusMessage, EventBus, PackedBatch } from './event-bus.ts'

export interface InProcessBusOptions {
  /** Batches accepted and not yet durable, at most. A batch is at most 512 KiB. */
  readonly maxQueuedBatches?: number
}

/**
 * The bus of one process: a bounded queue. It holds nothing that was acknowledged: receivers answer only with the
 * receipt of the ledger.
 */
export function openInProcessBus(options: InProcessBusOptions = {}): EventBus {
  return new InProcessBus(options.maxQueuedBatches ?? 256)
}

/** Pause before what was refused for now is delivered again. */
const redeliverMs = 500

class InProcessBus implements EventBus {
  readonly durable = false
  private readonly incarnation = randomUUID()
  private readonly maxQueued: number
  private readonly queue: BusMessage[] = []
  private inFlight = 0
  private offset = 0
  private handler: BusHandler | undefined
  private delivering: Promise<void> | undefined
  private fail: (error: Error) => void = () => undefined
  private closed = false
  /** Why the handler takes nothing for now; what comes meanwhile is refused with it. */
  private refusal: Error | undefined
  private readonly stopping = new AbortController()

  constructor(maxQueued: number) {
    this.maxQueued = maxQueued
  }

  async publish(batch: PackedBatch): Promise<BusPosition> {
    if (this.closed)
      throw new SealtrailError('BUS_UNAVAILABLE', 'the bus is closed', { retryable: true })
    if (this.refusal !== undefined) throw this.refusal
    if (this.queue.length + this.inFlight >= this.maxQueued) {
      throw new SealtrailError('BUS_FULL', `${this.maxQueued} batches wait already`, {
        retryable: true,
      })
    }
    const position: BusPosition = {
      topic: 'in-process',
      incarnation: this.incarnation,
      partition: 0,
      offset: String(this.offset++),
    }
    this.queue.push({ position, batch })
    this.pump()
    return position
  }

  async consume(handler: BusHandler, committed: readonly BusPosition[]): Promise<BusConsumer> {
    if (this.handler !== undefined)
      throw new SealtrailError('BUS_UNAVAILABLE', 'the bus has a consumer')
    this.skip(committed)
    this.handler = handler
    const failed = new Promise<Error>((resolve) => {
      this.fail = resolve
    })
    this.pump()
    return {
      failed,
      stop: async () => {
        this.handler = undefined
        this.stopping.abort()
        await this.delivering
      },
    }
  }

  async lag(): Promise<number> {
    return this.queue.length + this.inFlight
  }

  async close(): Promise<void> {
    this.closed = true
    await this.delivering
  }

  private skip(committed: readonly BusPosition[]): void {
    const offsets = committed
      .filter(
        ({ topic, incarnation, partition }) =>
          topic === 'in-process' && incarnation === this.incarnation && partition === 0,
      )
      .map(({ offset }) => Number(offset))
    const last = Math.max(-1, ...offsets)
    const first = this.queue.findIndex(({ position }) => Number(position.offset) > last)
    this.queue.splice(0, first === -1 ? this.queue.length : first)
  }

  private pump(): void {
    if (this.handler !== undefined && this.queue.length > 0) this.delivering ??= this.deliver()
  }

  private async deliver(): Promise<void> {
    while (this.handler !== undefined && this.queue.length > 0) {
      const messages = this.queue.splice(0)
      this.inFlight = messages.length
      try {
        await this.handler(messages)
        this.refusal = undefined
      } catch (cause) {
        const error = cause instanceof Error ? cause : new Error(String(cause))
        // Delivered again, in order: after a pause, or should a handler ever come back.
        this.queue.unshift(...messages)
        if (isSealtrailError(error) && error.retryable) {
          this.refusal = error
          const { signal } = this.stopping
          await delay(redeliverMs, undefined, { signal }).catch(() => undefined)
        } else {
          this.handler = undefined
          this.fail(error)
        }
      } finally {
        this.inFlight = 0
      }
    }
    this.delivering = undefined
    this.pump()
  }
}
