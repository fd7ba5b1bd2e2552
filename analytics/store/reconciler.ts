import type { LedgerReader } from '../../ledger/committed.ts'
import type { LogIntegrity } from '../../schemas/api/integrity.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { blockLeaves } from './projected-prefix.ts'
import type { Projector } from './projector.ts'
import { firstBadMinute, reconcile } from './reconcile.ts'

export interface ReconcilerParts {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly projector: Projector
  readonly clock: () => number
  readonly onDifference: (logId: string, what: string) => void
}

const pauseMs = 30_000

/**
 * Compares the columnar store with the ledger, all the time and a little at a time: each round what is new, and one
 * older block in turn, so that the comparison never takes the process from those who wait for an answer.
 */
export class Reconciler {
  private readonly parts: ReconcilerParts
  private readonly states = new Map<string, LogIntegrity['projection']>()
  /** First leaf of the older block whose turn is next. */
  private readonly turns = new Map<string, number>()
  private readonly closing = new AbortController()
  private timer: NodeJS.Timeout | undefined
  private running: Promise<void> | undefined
  private held: Promise<void> = Promise.resolve()
  private comparing: Promise<unknown> = Promise.resolve()

  constructor(parts: ReconcilerParts) {
    this.parts = parts
  }

  /** Compares nothing until the returned function is called: rows are about to change with the ledger. */
  async hold(): Promise<() => void> {
    const before = this.held
    let release: () => void = () => undefined
    const mine = new Promise<void>((resolve) => {
      release = resolve
    })
    this.held = before.then(() => mine)
    await before
    await this.comparing
    return release
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
  check(logId: string): Promise<LogIntegrity['projection']> {
    return this.compare(logId, 0, this.parts.projector.indexed(logId))
  }

  private async compare(
    logId: string,
    from: number,
    until: number,
  ): Promise<LogIntegrity['projection']> {
    await this.held
    const comparing = this.compareNow(logId, from, until)
    this.comparing = comparing
    return comparing
  }

  /** Compares [from, until); `from` is a multiple of the block. A difference stays until a whole check finds none. */
  private async compareNow(
    logId: string,
    from: number,
    until: number,
  ): Promise<LogIntegrity['projection']> {
    const { client, reader, clock, onDifference } = this.parts
    const last = this.state(logId)
    try {
      const { signal } = this.closing
      const whole = from === 0 && until >= this.parts.projector.indexed(logId)
      const callsUntil = this.parts.projector.callsProjected(logId)
      const range = { from, until, callsUntil }
      const result = await reconcile({ client, reader, logId, ...range, signal })
      const bad = result.firstBad
      let found =
        bad === undefined
          ? null
          : `leaf ${bad.leafIndex} is ${bad.reason} in the table ${bad.table} of the columnar store`
      if (found === null && whole) {
        const minute = await firstBadMinute(client, logId, signal)
        if (minute !== undefined) {
          found = `the minute ${minute} is altered in the table calls_per_minute of the columnar store`
        }
      }
      if (found !== null) onDifference(logId, found)
      const what = found ?? (whole ? null : last.firstDifference)
      this.states.set(logId, {
        state: what === null ? 'equal' : 'different',
        checkedUntil: Math.max(last.checkedUntil, result.checkedUntil),
        checkedAt: timestampFromMs(clock()),
        firstDifference: what,
      })
    } catch {
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
      if (this.closing.signal.aborted) return
      const indexed = this.parts.projector.indexed(logId)
      const fresh = blockOf(this.state(logId).checkedUntil)
      await this.compare(logId, fresh, Math.min(indexed, fresh + maxFreshBlocks * blockLeaves))
      const turn = this.turns.get(logId) ?? 0
      if (turn < fresh) await this.compare(logId, turn, Math.min(turn + blockLeaves, indexed))
      this.turns.set(logId, turn + blockLeaves < fresh ? turn + blockLeaves : 0)
    }
  }
}

/** New leaves that one round compares at most; what is more follows in the next rounds. */
const maxFreshBlocks = 4

function blockOf(leafIndex: number): number {
  return Math.floor(leafIndex / blockLeaves) * blockLeaves
}
