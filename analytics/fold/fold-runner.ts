import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CommitObserver, CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { heldBytes } from '../../ledger/held-bytes.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import type { CallChange } from '../../schemas/call.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { Finding } from '../../schemas/finding.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'
import type { DetectorFactory } from '../detectors/detector.ts'
import { toFindingEvent } from './finding-event.ts'
import { Fold } from './fold.ts'

export interface FoldRunnerParts {
  readonly reader: LedgerReader
  readonly appender: LedgerAppender
  readonly digest: Digest
  readonly detectors: readonly DetectorFactory[]
  readonly clock: () => number
  readonly alertsPerDay?: number
  /** Told of call changes in leaf order; `upTo` is the first leaf that is not folded yet. Must not throw;
   * the fold goes on when it resolves. */
  readonly onCalls: (logId: string, upTo: number, changes: readonly CallChange[]) => Promise<void>
  readonly onError: (error: Error) => void
}

const leavesPerSlice = 500
/** Leaves judged before whoever waits for an answer gets his turn: about two milliseconds. */
const leavesATurn = 32
/**
 * Of leaves that wait to be judged, in memory; what is beyond is read from the ledger later. The projection holds the
 * same leaves meanwhile.
 */
const maxWaitingBytes = 128 * 1024 * 1024
/** Pause after a failure of the ledger or the appender. */
const retryMs = 1000

/**
 * Runs the fold of each log: refolds what is stored, then follows the commits, and puts findings on the record once.
 * Commits only wake it; it reads in slices, so that people and senders are answered in between.
 */
export class FoldRunner {
  /** Give this to the sequencer. */
  readonly observe: CommitObserver = (segment) => {
    const log = this.logs.get(segment.logId)
    if (log === undefined) return
    // Following closely, the leaves are taken from memory; far behind, they are read from the ledger later. What waits
    // has no holes: a slice of it is taken as it stands.
    const last = log.waiting.at(-1)
    if (
      (last === undefined || last.index + 1 === segment.fromIndex) &&
      log.waitingBytes < maxWaitingBytes
    ) {
      for (const leaf of segment.leaves) {
        log.waiting.push(leaf)
        log.waitingBytes += heldBytes(leaf.event)
      }
    }
    log.size = segment.treeSize
    this.wake(log)
  }
  private readonly parts: FoldRunnerParts
  private readonly logs = new Map<string, LogFold>()
  private stopped = false

  constructor(parts: FoldRunnerParts) {
    this.parts = parts
  }

  /** Refolds the stored leaves of a log and follows it from then on. */
  async follow(
    logId: string,
    onProgress: (done: number, total: number) => void = () => undefined,
  ): Promise<void> {
    const log: LogFold = {
      logId,
      fold: new Fold({
        logId,
        digest: this.parts.digest,
        detectors: this.parts.detectors,
        ...(this.parts.alertsPerDay === undefined ? {} : { alertsPerDay: this.parts.alertsPerDay }),
        onDetectorError: this.parts.onError,
      }),
      next: 0,
      size: await this.parts.reader.size(logId),
      waiting: [],
      waitingBytes: 0,
      recorded: new Set(),
      pending: [],
      running: undefined,
      retry: undefined,
    }
    this.logs.set(logId, log)
    // A commit during the refold must not start a second reader of the same leaves.
    const refold = this.refold(log, onProgress)
    log.running = refold.catch(() => undefined)
    await refold
    log.running = undefined
    this.wake(log)
    await log.running
  }

  /** Leaves of a log that the detectors have passed. */
  judged(logId: string): number {
    return this.logs.get(logId)?.next ?? 0
  }

  async stop(): Promise<void> {
    this.stopped = true
    for (const log of this.logs.values()) {
      clearTimeout(log.retry)
      await log.running
    }
  }

  private async refold(
    log: LogFold,
    onProgress: (done: number, total: number) => void,
  ): Promise<void> {
    const total = log.size
    while (log.next < total && !this.stopped) {
      await this.slice(log)
      onProgress(log.next, total)
    }
  }

  private wake(log: LogFold): void {
    if (this.stopped || log.retry !== undefined) return
    log.running ??= this.run(log)
  }

  private async run(log: LogFold): Promise<void> {
    try {
      await nextTurn()
      while (!this.stopped && log.next < log.size) await this.slice(log)
      await this.record(log)
    } catch (error) {
      this.parts.onError(error instanceof Error ? error : new Error(String(error)))
      if (!this.stopped) log.retry = setTimeout(() => this.retry(log), retryMs).unref()
    } finally {
      log.running = undefined
    }
    if (log.next < log.size) this.wake(log)
  }

  private retry(log: LogFold): void {
    log.retry = undefined
    this.wake(log)
  }

  private async slice(log: LogFold): Promise<void> {
    const leaves = await this.take(log)
    if (leaves[0]?.index !== log.next) {
      throw new SealtrailError(
        'LEDGER_CORRUPT',
        `leaf ${log.next} of ${log.logId} was asked of the ledger and did not come`,
      )
    }
    const changes: CallChange[] = []
    for (const [at, leaf] of leaves.entries()) {
      if (at % leavesATurn === leavesATurn - 1) await nextTurn()
      const recordedId = leaf.event['finding.id']
      if (leaf.event['event.class'] === 'finding' && recordedId !== undefined)
        log.recorded.add(recordedId)
      const output = log.fold.step(leaf)
      changes.push(...output.calls)
      log.pending.push(...output.findings)
    }
    log.next += leaves.length
    await this.parts.onCalls(log.logId, log.next, changes)
    // Give the event loop to whoever waits for an answer.
    await nextTurn()
  }

  private async take(log: LogFold): Promise<readonly CommittedLeaf[]> {
    const folded = log.waiting.findIndex(({ index }) => index >= log.next)
    takeOut(log, folded < 0 ? log.waiting.length : folded)
    if (log.waiting[0]?.index === log.next) return takeOut(log, leavesPerSlice)
    const until = Math.min(log.size, log.next + leavesPerSlice)
    const leaves: CommittedLeaf[] = []
    for await (const chunk of this.parts.reader.read(log.logId, log.next, until))
      leaves.push(...chunk)
    return leaves
  }

  /**
   * Appends findings that are not on the record yet. Only at the head of the log: further down, the leaf that records
   * a finding may still come.
   */
  private async record(log: LogFold): Promise<void> {
    const fresh = log.pending.filter((finding) => !log.recorded.has(finding.id))
    log.pending = []
    if (fresh.length === 0 || this.stopped) {
      log.pending = fresh
      return
    }
    // Before the append: its own leaves may be folded before it returns.
    for (const finding of fresh) log.recorded.add(finding.id)
    const observedAt = timestampFromMs(this.parts.clock())
    try {
      await this.parts.appender.append(
        log.logId,
        fresh.map((finding) => toFindingEvent(finding, observedAt)),
      )
    } catch (error) {
      // Nothing of it is on the record. If the answer alone was lost, the leaves tell before the retry.
      for (const finding of fresh) log.recorded.delete(finding.id)
      log.pending = [...fresh, ...log.pending]
      throw error
    }
  }
}

interface LogFold {
  readonly logId: string
  readonly fold: Fold
  /** First leaf that is not folded. */
  next: number
  size: number
  waiting: CommittedLeaf[]
  waitingBytes: number
  /** Ids of findings that are leaves already. */
  readonly recorded: Set<string>
  pending: Finding[]
  running: Promise<void> | undefined
  retry: NodeJS.Timeout | undefined
}

function takeOut(log: LogFold, count: number): CommittedLeaf[] {
  const taken = log.waiting.splice(0, count)
  for (const { event } of taken) log.waitingBytes -= heldBytes(event)
  return taken
}
