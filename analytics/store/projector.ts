import { randomUUID } from 'node:crypto'
import type { Logger } from 'pino'
import type { CommittedSegment, LedgerReader } from '../../ledger/committed.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  type CallBatch,
  callsCursor,
  insertCalls,
  refillCalls,
  repairRollup,
} from './call-projection.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { eraseRows } from './erase-rows.ts'
import { deleteRange } from './leaf-batch.ts'
import { fillRange } from './leaf-range.ts'
import { LogProjection } from './log-projection.ts'

export interface ProjectorOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  /** Logs to bring up to date at once; others begin with their first commit. */
  readonly logIds: readonly string[]
  readonly logger: Logger
  /** Monotonic milliseconds. */
  readonly clock: () => number
  /** Memory for leaves that wait for the store; 128 MiB when absent. */
  readonly queueLimitBytes?: number
}

/**
 * Keeps the columnar store up with the ledger. A log must have one projector: it inserts one batch after the other and
 * asks the table at its start how far it reaches, so that a repeat after any end neither loses nor doubles a row.
 */
export interface Projector {
  /** The {@link CommitObserver} of the sequencer: takes note and returns. */
  observe(segment: CommittedSegment): void
  /** Leaves [0, n) of the log are in the table. */
  indexed(logId: string): number
  /** True when the table reached the tree size within the time. */
  waitUntil(logId: string, treeSize: number, timeoutMs: number): Promise<boolean>
  /** Resolves when the changes are in the table, however long that takes. Rejects when the signal or `close` ends it. */
  projectCalls(batch: CallBatch, signal?: AbortSignal): Promise<void>
  /** Number of leaves whose call changes are in the table: where the fold must begin to emit again. */
  callsCursor(logId: string): Promise<number>
  /** Leaves [0, n) of the log whose call changes are known to be in the table. */
  callsProjected(logId: string): number
  /** Replaces the rows of [from, until) by what the ledger says now. `until` is at most what is indexed. */
  refill(logId: string, from: number, until: number): Promise<void>
  /** After an erasure or a shredding: rows of these leaves, and calls that joined them, lose what cannot be opened. */
  erase(logId: string, leafIndexes: readonly number[]): Promise<void>
  /**
   * Runs work while nothing changes rows of this log, neither observations nor calls; what is committed meanwhile
   * waits. What the tables hold is told, so that other rows of the same leaves can take their place.
   */
  exclusive<T>(logId: string, work: (held: HeldRows) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** What the tables hold of a log while nothing changes them. */
export interface HeldRows {
  /** Observations of leaves [0, n). */
  readonly indexed: number
  /** Call changes of leaves [0, n). */
  readonly callsUntil: number
  /** How often rows were replaced since the start, by an erasure or a refill. */
  readonly replaced: number
}

const defaultQueueLimitBytes = 128 * 1024 * 1024

export function openProjector(options: ProjectorOptions): Projector {
  return new LedgerProjector(options)
}

class LedgerProjector implements Projector {
  private readonly options: ProjectorOptions
  private readonly epoch = randomUUID()
  private readonly budget: { availableBytes: number }
  private readonly logs = new Map<string, LogProjection>()
  /** Last batch of calls of each log: one at a time. */
  private readonly calls = new Map<string, Promise<void>>()
  private readonly callsUntil = new Map<string, number>()
  private readonly replaced = new Map<string, number>()
  private readonly closing = new AbortController()

  constructor(options: ProjectorOptions) {
    this.options = options
    this.budget = { availableBytes: options.queueLimitBytes ?? defaultQueueLimitBytes }
    for (const logId of options.logIds) this.log(logId)
  }

  observe(segment: CommittedSegment): void {
    if (this.closing.signal.aborted) return
    this.log(segment.logId).observe(segment)
  }

  indexed(logId: string): number {
    return this.logs.get(logId)?.indexed ?? 0
  }

  waitUntil(logId: string, treeSize: number, timeoutMs: number): Promise<boolean> {
    return this.log(logId).waitUntil(treeSize, timeoutMs)
  }

  projectCalls(batch: CallBatch, signal?: AbortSignal): Promise<void> {
    const { client, logger } = this.options
    const until =
      signal === undefined ? this.closing.signal : AbortSignal.any([signal, this.closing.signal])
    const before = (this.calls.get(batch.logId) ?? Promise.resolve()).catch(() => undefined)
    const done = before
      .then(() =>
        insertCalls(client, this.epoch, batch, until, (error) =>
          logger.warn({ err: error, logId: batch.logId }, 'an insert of calls is repeated'),
        ),
      )
      .then(() => {
        this.callsUntil.set(batch.logId, batch.until)
      })
    this.calls.set(batch.logId, done)
    return done
  }

  async callsCursor(logId: string): Promise<number> {
    await repairRollup(this.options.client, logId)
    const cursor = await callsCursor(this.options.client, logId)
    this.callsUntil.set(logId, cursor)
    return cursor
  }

  callsProjected(logId: string): number {
    return this.callsUntil.get(logId) ?? 0
  }

  async exclusive<T>(logId: string, work: (held: HeldRows) => Promise<T>): Promise<T> {
    const log = this.log(logId)
    await log.begun
    return log.exclusive(() => {
      const before = (this.calls.get(logId) ?? Promise.resolve()).catch(() => undefined)
      const done = before.then(async () => {
        this.closing.signal.throwIfAborted()
        return work({
          indexed: this.indexed(logId),
          callsUntil: await this.knownCallsCursor(logId),
          replaced: this.replaced.get(logId) ?? 0,
        })
      })
      const ended = () => undefined
      this.calls.set(logId, done.then(ended, ended))
      return done
    })
  }

  /** The table is asked only where this run does not know yet: rows may be missing there that a rebuild shall bring back. */
  private async knownCallsCursor(logId: string): Promise<number> {
    const { client, reader } = this.options
    const known = this.callsUntil.get(logId) ?? (await callsCursor(client, logId))
    return Math.min(known, await reader.size(logId))
  }

  private replaceRows(logId: string, work: () => Promise<void>): Promise<void> {
    return this.exclusive(logId, async ({ replaced }) => {
      this.replaced.set(logId, replaced + 1)
      await work()
    })
  }

  refill(logId: string, from: number, until: number): Promise<void> {
    return this.replaceRows(logId, () => this.refillNow(logId, from, until))
  }

  erase(logId: string, leafIndexes: readonly number[]): Promise<void> {
    return this.replaceRows(logId, () => this.eraseNow(logId, leafIndexes))
  }

  private async refillNow(logId: string, from: number, until: number): Promise<void> {
    this.demandIndexed(logId, until)
    const { client, reader } = this.options
    await deleteRange(client, logId, from, until)
    await fillRange({
      client,
      reader,
      logId,
      from,
      until,
      epoch: randomUUID(),
      signal: this.closing.signal,
    })
  }

  private async eraseNow(logId: string, leafIndexes: readonly number[]): Promise<void> {
    const { client, reader } = this.options
    const sorted = [...leafIndexes].sort((a, b) => a - b)
    this.demandIndexed(logId, (sorted.at(-1) ?? -1) + 1)
    const signal = this.closing.signal
    await eraseRows({
      client,
      reader,
      logId,
      leafIndexes: sorted,
      callsUntil: this.callsProjected(logId),
      refill: (table, from, until) =>
        table === 'observations'
          ? this.refillNow(logId, from, until)
          : refillCalls(client, reader, randomUUID(), { logId, from, until }, signal),
      signal,
    })
  }

  async close(): Promise<void> {
    this.closing.abort()
    await Promise.all([...this.logs.values()].map((log) => log.close()))
    await Promise.allSettled(this.calls.values())
  }

  private log(logId: string): LogProjection {
    const known = this.logs.get(logId)
    if (known !== undefined) return known
    const { client, reader, logger, clock } = this.options
    const log = new LogProjection(logId, {
      client,
      reader,
      logger,
      clock,
      epoch: this.epoch,
      budget: this.budget,
    })
    this.logs.set(logId, log)
    return log
  }

  private demandIndexed(logId: string, until: number): void {
    if (until <= this.indexed(logId)) return
    throw new SealtrailError(
      'STORE_UNAVAILABLE',
      `leaves up to ${until} of ${logId} are not indexed yet`,
      {
        retryable: true,
      },
    )
  }
}
