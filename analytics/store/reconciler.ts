import type { LedgerReader } from '../../ledger/committed.ts'
import type { LogIntegrity } from '../../schemas/api/integrity.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { ColumnarClient } from './columnar-client.ts'
import type { Projector } from './projector.ts'
import { reconcile } from './reconcile.ts'

export interface ReconcilerParts {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly projector: Projector
  readonly clock: () => number
  readonly onDifference: (logId: string, what: string) => void
}

const pauseMs = 30_000

/** Compares the columnar store with the ledger, again and again, one log after the other. */
export class Reconciler {
  private readonly parts: ReconcilerParts
  private readonly states = new Map<string, LogIntegrity['projection']>()
  private readonly closing = new AbortController()
  private timer: NodeJS.Timeout | undefined
  private running: Promise<void> | undefined

  constructor(parts: ReconcilerParts) {
    this.parts = parts
  }

  start(): void {
    this.timer = setTimeout(() => {
      this.running = this.round().finally(() => {
        if (!this.closing.signal.aborted) this.start()
      })
    }, pauseMs)
    this.timer.unref()
  }

  state(logId: string): LogIntegrity['projection'] {
    return (
      this.states.get(logId) ?? {
        state: 'checking',
        checkedUntil: 0,
        checkedAt: null,
        firstDifference: null,
      }
    )
  }

  /** Compares everything of a log that is indexed by now. */
  async check(logId: string): Promise<LogIntegrity['projection']> {
    const { client, reader, projector, clock, onDifference } = this.parts
    const until = projector.indexed(logId)
    try {
      const result = await reconcile({ client, reader, logId, until, signal: this.closing.signal })
      const bad = result.firstBad
      const what =
        bad === undefined ? null : `leaf ${bad.leafIndex} is ${bad.reason} in the columnar store`
      if (what !== null) onDifference(logId, what)
      this.states.set(logId, {
        state: what === null ? 'equal' : 'different',
        checkedUntil: result.checkedUntil,
        checkedAt: timestampFromMs(clock()),
        firstDifference: what,
      })
    } catch {
      const last = this.state(logId)
      this.states.set(logId, { ...last, state: 'unavailable' })
    }
    return this.state(logId)
  }

  async stop(): Promise<void> {
    this.closing.abort()
    clearTimeout(this.timer)
    await this.running
  }

  private async round(): Promise<void> {
    for (const logId of await this.parts.reader.logIds()) {
      if (!this.closing.signal.aborted) await this.check(logId)
    }
  }
}
