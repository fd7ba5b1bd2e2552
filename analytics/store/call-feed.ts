import { setTimeout as sleep } from 'node:timers/promises'
import { heldBytes } from '../../ledger/held-bytes.ts'
import type { CallChange } from '../../schemas/call.ts'
import { InsertPace } from './insert-pace.ts'
import type { Projector } from './projector.ts'

interface Feed {
  /** First leaf whose changes are not in the table. */
  cursor: number
  from: number
  changes: DatedChange[]
  waitingBytes: number
  running: Promise<void> | undefined
  readonly pace: InsertPace
}

/** A change with the leaf that caused it. */
interface DatedChange {
  readonly leafIndex: number
  readonly change: CallChange
}

const maxBatchChanges = 32_768
const maxBatchBytes = 128 * 1024 * 1024
/** Of changes that wait, in memory. */
const maxWaitingBytes = 192 * 1024 * 1024
const maxBackoffMs = 5000
/** While changes gather, how often it is looked whether they are enough for an insert. */
const longestNapMs = 100

/**
 * Carries call changes of the fold into the columnar store: in order, batched, tried again while the store is away.
 * What the table already holds after a restart is left out.
 */
export class CallFeed {
  private readonly projector: Projector
  private readonly onError: (error: Error) => void
  private readonly feeds = new Map<string, Promise<Feed>>()
  /** Aborted when rows should gather no longer. */
  private readonly hurry = new AbortController()
  private readonly closing = new AbortController()

  constructor(projector: Projector, onError: (error: Error) => void) {
    this.projector = projector
    this.onError = onError
  }

  /**
   * Takes changes over, in leaf order, all changes of a leaf at once. Resolves at once, or, when too many wait for a
   * store that is away, when there is room again: the fold can wait, memory cannot grow.
   */
  async push(logId: string, changes: readonly CallChange[]): Promise<void> {
    if (this.closing.signal.aborted || changes.length === 0) return
    this.enqueue(logId, changes)
    const feed = await this.feed(logId).catch(() => undefined)
    while (
      feed !== undefined &&
      feed.waitingBytes > maxWaitingBytes &&
      !this.closing.signal.aborted
    ) {
      await sleep(50)
    }
  }

  private enqueue(logId: string, changes: readonly CallChange[]): void {
    this.feed(logId)
      .then((feed) => {
        const dated = datedChanges(changes)
        for (const each of dated) {
          if (each.leafIndex < feed.cursor) continue
          feed.changes.push(each)
          feed.waitingBytes += changeBytes(each)
        }
        // A fold that begins anew emits what it emitted before: all changes of a leaf come at once, and once.
        const last = dated.at(-1)
        if (last !== undefined) feed.cursor = Math.max(feed.cursor, last.leafIndex + 1)
        feed.running ??= this.run(logId, feed).finally(() => {
          feed.running = undefined
        })
        return feed.running
      })
      .catch((error) => {
        if (!this.closing.signal.aborted) this.onError(errorOf(error))
      })
  }

  /** Resolves when what was pushed is in the table, while nobody pushes more. */
  async drained(logId: string): Promise<void> {
    const feed = await this.feed(logId)
    while (feed.running !== undefined && !this.closing.signal.aborted) await feed.running
  }

  /** Ends what runs, after the changes that wait were tried for a moment. */
  async close(graceMs = 2000): Promise<void> {
    this.hurry.abort()
    const settled = Promise.allSettled(
      [...this.feeds.values()].map(async (feed) => (await feed).running),
    )
    await Promise.race([settled, sleep(graceMs)])
    this.closing.abort()
    await settled
  }

  private feed(logId: string): Promise<Feed> {
    let feed = this.feeds.get(logId)
    if (feed === undefined) {
      feed = this.open(logId)
      this.feeds.set(logId, feed)
    }
    return feed
  }

  private async open(logId: string): Promise<Feed> {
    const cursor = await this.retry(() => this.projector.callsCursor(logId))
    const pace = new InsertPace(() => performance.now())
    return { cursor, from: cursor, changes: [], waitingBytes: 0, running: undefined, pace }
  }

  private async run(logId: string, feed: Feed): Promise<void> {
    while (feed.changes.length > 0 && !this.closing.signal.aborted) {
      await this.linger(feed)
      const dated = feed.changes.splice(0, batchLength(feed.changes))
      for (const each of dated) feed.waitingBytes -= changeBytes(each)
      const until = (dated.at(-1)?.leafIndex ?? 0) + 1
      const batch = { logId, from: feed.from, until, changes: dated.map(({ change }) => change) }
      await feed.pace.measure(() => this.projector.projectCalls(batch, this.closing.signal))
      feed.from = until
    }
  }

  /** Lets changes gather, so that a trickle of calls does not become a trickle of parts. */
  private async linger(feed: Feed): Promise<void> {
    while (
      feed.changes.length < maxBatchChanges &&
      feed.waitingBytes < maxBatchBytes &&
      !this.hurry.signal.aborted
    ) {
      const waitMs = Math.min(feed.pace.dueInMs(), longestNapMs)
      if (waitMs <= 0) return
      await sleep(waitMs, undefined, { signal: this.hurry.signal }).catch(() => undefined)
    }
  }

  private async retry<T>(work: () => Promise<T>): Promise<T> {
    for (let backoffMs = 100; ; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
      try {
        return await work()
      } catch (error) {
        this.closing.signal.throwIfAborted()
        if (backoffMs > 1000) this.onError(errorOf(error))
        await sleep(backoffMs, undefined, { signal: this.closing.signal })
      }
    }
  }
}

/**
 * The leaf that caused a change is the last observation of the new state; the old states that it takes back stand
 * before it and belong to the same leaf, although their own observations are older.
 */
export function datedChanges(changes: readonly CallChange[]): DatedChange[] {
  const dated: DatedChange[] = []
  let leafIndex = 0
  for (const change of changes.toReversed()) {
    const last = change.call.observations.at(-1) ?? 0
    leafIndex = change.sign === 1 ? last : Math.max(leafIndex, last)
    dated.push({ leafIndex, change })
  }
  return dated.reverse()
}

/** How many changes make a batch: never some changes of a leaf without the others. */
function batchLength(changes: readonly DatedChange[]): number {
  let length = 0
  for (let bytes = 0; length < Math.min(changes.length, maxBatchChanges); length++) {
    const change = changes[length]
    bytes += change === undefined ? 0 : changeBytes(change)
    if (length > 0 && bytes > maxBatchBytes) break
  }
  while (length < changes.length && changes[length]?.leafIndex === changes[length - 1]?.leafIndex) {
    length++
  }
  return length
}

function changeBytes({ change }: DatedChange): number {
  return heldBytes(change.call.event)
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
