import type { LedgerReader } from '../../ledger/committed.ts'
import type { LogIntegrity } from '../../schemas/api/integrity.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { blockLeaves } from './projected-prefix.ts'
import type { Projector } from './projector.ts'
import {
  type BadRow,
  firstBadFinding,
  firstBadMinute,
  ReconcileMemory,
  reconcile,
} from './reconcile.ts'

export interface ReconcilerParts {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly projector: Projector
  readonly clock: () => number
  readonly onDifference: (logId: string, what: string) => void
}

const pauseMs = 30_000
/** Older blocks are compared for at most this share of the time: what this process knows of them costs no reading. */
const olderShare = 0.01
/** What is derived from whole tables is compared each so many rounds, ten minutes. */
const derivedRounds = 20

/**
 * Compares the columnar store with the ledger, all the time and a little at a time: each round what is new, and older
 * blocks in turn, so that the comparison never takes the process from those who wait for an answer. What was compared
 * with the ledger once in this run is remembered as digests; from then on the engine alone computes them again.
 */
export class Reconciler {
  private readonly parts: ReconcilerParts
  private readonly states = new Map<string, LogIntegrity['projection']>()
  /** First leaf of the older block whose turn is next. */
  private readonly turns = new Map<string, number>()
  private readonly memories = new Map<string, ReconcileMemory>()
  private rounds = 0
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

  /** Compares everything of a log that is indexed by now, and reads all of it from the ledger. */
  check(logId: string): Promise<LogIntegrity['projection']> {
    this.memories.delete(logId)
    return this.compareNow(logId)
  }

  /** The same, as the rounds do it: what is known of a block from before is not read again. */
  compareNow(logId: string): Promise<LogIntegrity['projection']> {
    return this.compare(logId, 0, this.parts.projector.indexed(logId))
  }

  private async compare(
    logId: string,
    from: number,
    until: number,
  ): Promise<LogIntegrity['projection']> {
    await this.held
    const comparing = this.compareRange(logId, from, until)
    this.comparing = comparing
    return comparing
  }

  /** Compares [from, until); `from` is a multiple of the block. A difference stays until a whole check finds none. */
  private async compareRange(
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
      const memory = this.memories.get(logId) ?? new ReconcileMemory()
      this.memories.set(logId, memory)
      const range = { from, until, callsUntil }
      const result = await reconcile({ client, reader, logId, ...range, memory, signal })
      const { firstBad } = result
      let found = firstBad === undefined ? null : sentenceOf(firstBad)
      if (whole || this.rounds % derivedRounds === 0) found ??= await this.derivedDifference(logId)
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

  /** The first difference of what the engine derives from observations and calls. */
  private async derivedDifference(logId: string): Promise<string | null> {
    const { client } = this.parts
    const { signal } = this.closing
    const minute = await firstBadMinute(client, logId, signal)
    if (minute !== undefined) {
      return `the minute ${minute} is altered in the table calls_per_minute of the columnar store`
    }
    const finding = await firstBadFinding(client, logId, signal)
    return finding === undefined
      ? null
      : `the finding of leaf ${finding} is altered in the view findings of the columnar store`
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
      await this.compareOlder(logId, fresh, indexed)
    }
    this.rounds++
  }

  /** Blocks in turn, at least one, until their share of the time is used up. */
  private async compareOlder(logId: string, fresh: number, indexed: number): Promise<void> {
    const endMs = performance.now() + pauseMs * olderShare
    for (let blocks = 0; blocks < fresh / blockLeaves; blocks++) {
      const turn = this.turns.get(logId) ?? 0
      await this.compare(logId, turn, Math.min(turn + blockLeaves, indexed))
      this.turns.set(logId, turn + blockLeaves < fresh ? turn + blockLeaves : 0)
      if (performance.now() > endMs || this.closing.signal.aborted) return
    }
  }
}

function sentenceOf({ table, block, leafIndex, reason }: BadRow): string {
  const where = `the table ${table} of the columnar store`
  return reason === 'unreadable'
    ? `block ${block}, from leaf ${leafIndex} on, cannot be read in ${where}`
    : `leaf ${leafIndex} is ${reason} in ${where} (block ${block})`
}

/** New leaves that one round compares at most; what is more follows in the next rounds. */
const maxFreshBlocks = 4

function blockOf(leafIndex: number): number {
  return Math.floor(leafIndex / blockLeaves) * blockLeaves
}
