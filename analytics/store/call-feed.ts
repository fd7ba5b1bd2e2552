import { setTimeout as sleep } from 'node:timers/promises'
import type { CallChange } from '../../schemas/call.ts'
import type { Projector } from './projector.ts'

interface Feed {
  /** First leaf whose changes are not in the table. */
  cursor: number
  from: number
  changes: CallChange[]
  running: Promise<void> | undefined
}

const maxBatchChanges = 10_000
const maxBackoffMs = 5000

/**
 * Carries call changes of the fold into the columnar store: in order, batched, tried again while the store is away.
 * What the table already holds after a restart is left out.
 */
export class CallFeed {
  private readonly projector: Projector
  private readonly onError: (error: Error) => void
  private readonly feeds = new Map<string, Promise<Feed>>()
  private readonly closing = new AbortController()

  constructor(projector: Projector, onError: (error: Error) => void) {
    this.projector = projector
    this.onError = onError
  }

  /** Takes changes over, in leaf order. Returns at once. */
  push(logId: string, changes: readonly CallChange[]): void {
    if (this.closing.signal.aborted) return
    void this.feed(logId).then((feed) => {
      feed.changes.push(
        ...changes.filter(({ call }) => (call.observations.at(-1) ?? 0) >= feed.cursor),
      )
      feed.running ??= this.run(logId, feed).finally(() => {
        feed.running = undefined
      })
    })
  }

  async close(): Promise<void> {
    for (const feed of this.feeds.values()) await (await feed).running?.catch(() => undefined)
    this.closing.abort()
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
    return { cursor, from: cursor, changes: [], running: undefined }
  }

  private async run(logId: string, feed: Feed): Promise<void> {
    while (feed.changes.length > 0 && !this.closing.signal.aborted) {
      const changes = feed.changes.splice(0, maxBatchChanges)
      const until = (changes.at(-1)?.call.observations.at(-1) ?? 0) + 1
      const batch = { logId, from: feed.from, until, changes }
      await this.retry(() => this.projector.projectCalls(batch))
      feed.from = until
    }
  }

  private async retry<T>(work: () => Promise<T>): Promise<T> {
    for (let backoffMs = 100; ; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
      try {
        return await work()
      } catch (error) {
        this.closing.signal.throwIfAborted()
        if (backoffMs > 1000)
          this.onError(error instanceof Error ? error : new Error(String(error)))
        await sleep(backoffMs, undefined, { signal: this.closing.signal })
      }
    }
  }
}
