import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { CommittedLeaf, CommittedSegment, LedgerReader } from '../../ledger/committed.ts'
import { heldBytes } from '../../ledger/held-bytes.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { InsertPace } from './insert-pace.ts'
import { encodeBatch, insertBatch, maxBatchRows, writerOf } from './leaf-batch.ts'
import { readRuns } from './leaf-range.ts'
import { repairPrefix } from './projected-prefix.ts'

export interface LogProjectionParts {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly logger: Logger
  /** Monotonic milliseconds. */
  readonly clock: () => number
  readonly epoch: string
  /** Memory that leaves may wait in, shared by all logs. */
  readonly budget: { availableBytes: number }
}

const firstBackoffMs = 100
const maxBackoffMs = 5000

interface Waiter {
  readonly treeSize: number
  readonly resolve: (reached: boolean) => void
}

/**
 * Brings the leaves of one log into the table, in order and one insert at a time, so that the table always holds a
 * prefix of the log.
 *
 * Leaves that were just committed are taken from memory while there is room; what finds none is read from the ledger
 * again, which costs more than all the rest. While the store is away the projection waits; it never asks the writer of the log to.
 */
export class LogProjection {
  private readonly logId: string
  private readonly parts: LogProjectionParts
  private readonly closing = new AbortController()
  private readonly waiters = new Set<Waiter>()
  /** Rows [0, cursor) are in the table; undefined until the table was asked. */
  private cursor: number | undefined
  private target = 0
  private queue: CommittedLeaf[] = []
  private queueBytes = 0
  private wake: () => void = () => undefined
  private readonly pace: InsertPace
  /** Last one that changes rows of this log: one at a time. */
  private turn: Promise<unknown> = Promise.resolve()
  private readonly running: Promise<void>
  private markBegun: () => void = () => undefined
  /** Resolves when it is known how far the table reaches, or this is closed. */
  readonly begun = new Promise<void>((resolve) => {
    this.markBegun = resolve
  })

  constructor(logId: string, parts: LogProjectionParts) {
    this.logId = logId
    this.parts = parts
    this.pace = new InsertPace(parts.clock)
    this.running = this.run()
  }

  get indexed(): number {
    return this.cursor ?? 0
  }

  observe(segment: CommittedSegment): void {
    this.target = Math.max(this.target, segment.treeSize)
    const expected = (this.queue.at(-1)?.index ?? segment.fromIndex - 1) + 1
    const sizeBytes = segment.leaves.reduce((sum, leaf) => sum + heldBytes(leaf.event), 0)
    // What waits has no holes; it is inserted first, and what found no room is read from the ledger after it.
    if (segment.fromIndex === expected && sizeBytes <= this.parts.budget.availableBytes) {
      this.parts.budget.availableBytes -= sizeBytes
      this.queueBytes += sizeBytes
      for (const leaf of segment.leaves) this.queue.push(leaf)
    }
    this.wake()
  }

  waitUntil(treeSize: number, timeoutMs: number): Promise<boolean> {
    if (this.indexed >= treeSize) return Promise.resolve(true)
    return new Promise((resolve) => {
      const waiter: Waiter = {
        treeSize,
        resolve: (reached) => {
          clearTimeout(timer)
          this.waiters.delete(waiter)
          resolve(reached)
        },
      }
      const timer = setTimeout(() => waiter.resolve(false), timeoutMs)
      this.waiters.add(waiter)
    })
  }

  /** Runs work while nothing else changes rows of this log; what is committed meanwhile waits. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work)
    this.turn = done.catch(() => undefined)
    return done
  }

  async close(): Promise<void> {
    this.closing.abort()
    this.markBegun()
    this.wake()
    await this.running
    this.forget(this.queue.length)
    for (const waiter of [...this.waiters]) waiter.resolve(false)
  }

  private async run(): Promise<void> {
    const { signal } = this.closing
    for (let backoffMs = firstBackoffMs; !signal.aborted; ) {
      try {
        if (this.cursor === undefined) await this.begin()
        await this.follow()
        backoffMs = firstBackoffMs
      } catch (error) {
        if (signal.aborted) return
        this.parts.logger.warn(
          { err: error, logId: this.logId },
          'the projection waits for the columnar store',
        )
        await sleep(backoffMs, undefined, { signal }).catch(() => undefined)
        backoffMs = Math.min(backoffMs * 2, maxBackoffMs)
      }
    }
  }

  /** Nobody but this projection may be inserting before the table is asked how far it reaches. */
  private async begin(): Promise<void> {
    const { client, reader, epoch } = this.parts
    await client.fence(writerOf(this.logId))
    const cursor = await this.exclusive(() =>
      repairPrefix(
        client,
        reader,
        this.logId,
        epoch,
        (block) =>
          this.parts.logger.warn(
            { logId: this.logId, block },
            'rows of the columnar store were missing or doubled and are filled again',
          ),
        this.closing.signal,
      ),
    )
    this.target = Math.max(this.target, await reader.size(this.logId))
    this.advance(cursor)
    this.markBegun()
  }

  private async follow(): Promise<void> {
    const { signal } = this.closing
    while (!signal.aborted) {
      const cursor = this.indexed
      this.dropProjected()
      if (cursor >= this.target) {
        await this.woken()
        continue
      }
      await this.linger()
      if (signal.aborted) return
      const head = this.queue[0]
      if (head?.index === cursor) await this.insert(this.queue.slice(0, maxBatchRows))
      else await this.catchUp(cursor, head?.index ?? this.target)
    }
  }

  private async catchUp(from: number, until: number): Promise<void> {
    for await (const leaves of readRuns(this.parts.reader, this.logId, from, until)) {
      for (let at = 0; at < leaves.length && !this.closing.signal.aborted; ) {
        at += await this.insert(leaves.slice(at))
      }
      if (this.closing.signal.aborted) return
    }
  }

  /** @returns how many leaves went into the table. */
  private async insert(leaves: readonly CommittedLeaf[]): Promise<number> {
    const { client, epoch, logger } = this.parts
    const batch = await encodeBatch(epoch, this.logId, leaves)
    if (batch === undefined) return 0
    const { signal } = this.closing
    const onFailure = (error: unknown) =>
      logger.warn(
        { err: error, logId: this.logId },
        'an insert into the columnar store is repeated',
      )
    await this.exclusive(async () => {
      await this.pace.measure(() => insertBatch(client, batch, { signal, onFailure }))
      this.advance(batch.untilIndex)
    })
    return batch.untilIndex - batch.fromIndex
  }

  private advance(cursor: number): void {
    this.cursor = cursor
    for (const waiter of [...this.waiters]) {
      if (cursor >= waiter.treeSize) waiter.resolve(true)
    }
  }

  /** Lets rows gather, so that a trickle of commits does not become a trickle of parts. */
  private async linger(): Promise<void> {
    const { budget } = this.parts
    while (
      !this.closing.signal.aborted &&
      this.queue.length < maxBatchRows &&
      this.queueBytes < budget.availableBytes
    ) {
      const waitMs = this.pace.dueInMs()
      if (waitMs <= 0) return
      await this.woken(waitMs)
    }
  }

  private woken(timeoutMs?: number): Promise<void> {
    if (this.closing.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs)
      this.wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  private dropProjected(): void {
    const first = this.queue[0]
    if (first !== undefined && first.index < this.indexed) {
      this.forget(Math.min(this.indexed - first.index, this.queue.length))
    }
  }

  private forget(count: number): void {
    if (count === 0) return
    const gone = this.queue.splice(0, count)
    const sizeBytes =
      this.queue.length === 0
        ? this.queueBytes
        : gone.reduce((sum, leaf) => sum + heldBytes(leaf.event), 0)
    this.queueBytes -= sizeBytes
    this.parts.budget.availableBytes += sizeBytes
  }
}
