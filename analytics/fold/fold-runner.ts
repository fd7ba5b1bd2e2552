import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { CommitObserver, CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { fromErasureEvent } from '../../ledger/erasure-leaf.ts'
import { heldBytes } from '../../ledger/held-bytes.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import { hex } from '../../schemas/bytes.ts'
import type { CallChange } from '../../schemas/call.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { Finding } from '../../schemas/finding.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'
import type { DetectorFactory } from '../detectors/detector.ts'
import { toFindingEvent } from './finding-event.ts'
import { Fold } from './fold.ts'
import type { FoldSnapshot, FoldSnapshots } from './fold-snapshot.ts'

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
  /** Spares a start reading the whole log again; absent where every start does. */
  readonly snapshots?: FoldSnapshots
  /** Leaves [0, n) of a log whose call changes are known to be stored: a snapshot must not be ahead of them. */
  readonly callsStored?: (logId: string) => number
  /** The same as the columnar store itself says, at a start. */
  readonly callsCursor?: (logId: string) => Promise<number>
}

const leavesPerSlice = 500
/** Leaves judged before whoever waits for an answer gets his turn: about two milliseconds. */
const leavesATurn = 32
/**
 * Of leaves that wait to be judged, in memory; what is beyond is read from the ledger later. The projection holds the
 * same leaves meanwhile.
 */
const maxWaitingBytes = 128 * 1024 * 1024
/** A snapshot is taken after this many leaves, and at stop. */
const leavesASnapshot = 50_000
/** How often it is looked whether the calls of a snapshot are stored. */
const snapshotNapMs = 250
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
    const size = await this.parts.reader.size(logId)
    const log: LogFold = {
      logId,
      fold: this.newFold(logId),
      next: 0,
      refoldUntil: size,
      held: undefined,
      size,
      waiting: [],
      waitingBytes: 0,
      recorded: new Set(),
      pending: [],
      lastCallLeaf: -1,
      snapshotAt: 0,
      snapshot: undefined,
      running: undefined,
      retry: undefined,
    }
    await this.restore(log)
    this.logs.set(logId, log)
    log.size = await this.parts.reader.size(logId)
    // A commit during the refold must not start a second reader of the same leaves.
    const refold = this.refold(log, onProgress)
    log.running = refold.catch(() => undefined)
    await refold
    log.running = undefined
    this.wake(log)
    await log.running
  }

  /**
   * Stops the fold of a log between two leaves, so that it neither reads nor appends, until the returned function is
   * called: with `anew` it begins again at the first leaf, and sees what was erased meanwhile as every later start will.
   * What it had learnt from it is gone, and nothing else is. Calling that function again does nothing.
   */
  async hold(logId: string): Promise<(anew: boolean) => Promise<void>> {
    const log = this.logs.get(logId)
    if (log === undefined) return async () => undefined
    while (log.held !== undefined) await log.held.done
    let finish: () => void = () => undefined
    const held = {
      done: new Promise<void>((resolve) => {
        finish = resolve
      }),
    }
    log.held = held
    await log.running
    let released = false
    return async (anew) => {
      if (released) return
      released = true
      if (anew) {
        log.fold = this.newFold(logId)
        log.next = 0
        log.snapshotAt = 0
        log.lastCallLeaf = -1
        log.refoldUntil = log.size
        log.recorded.clear()
        log.pending = []
        takeOut(log, log.waiting.length)
        // One that is under way is of the fold before.
        await log.snapshot
        await this.parts.snapshots?.wipe()
      }
      log.held = undefined
      finish()
      this.wake(log)
    }
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
      await log.snapshot
      if (log.next > log.snapshotAt && this.callsAreStored(log.logId, log.lastCallLeaf)) {
        await this.store(log, await this.snapshotOf(log))
      }
    }
  }

  private newFold(logId: string): Fold {
    const { digest, detectors, alertsPerDay, onError } = this.parts
    return new Fold({
      logId,
      digest,
      detectors,
      ...(alertsPerDay === undefined ? {} : { alertsPerDay }),
      onDetectorError: onError,
    })
  }

  /** Takes over the state of a snapshot that fits: same rules, same history, and its calls are stored. */
  private async restore(log: LogFold): Promise<void> {
    const { snapshots, reader, callsCursor } = this.parts
    const snapshot = await snapshots?.load(log.logId)
    if (snapshot === undefined) return
    const { rules, leaves, leafHash, lastCallLeaf } = snapshot
    if (rules !== log.fold.rules || leaves > log.size) return
    const last = await reader.readOne(log.logId, leaves - 1)
    if (last === undefined || hex(last.leafHash) !== leafHash) return
    const cursor = (await callsCursor?.(log.logId)) ?? Number.POSITIVE_INFINITY
    if (cursor <= lastCallLeaf) return
    try {
      log.fold.restore(snapshot.state)
    } catch (error) {
      this.parts.onError(error instanceof Error ? error : new Error(String(error)))
      log.fold = this.newFold(log.logId)
      return
    }
    log.next = leaves
    log.snapshotAt = leaves
    log.lastCallLeaf = lastCallLeaf
    for (const id of snapshot.recorded) log.recorded.add(id)
    log.pending = snapshot.pending
  }

  /** Takes a snapshot and stores it as soon as its calls are; the fold goes on meanwhile. */
  private async takeSnapshot(log: LogFold): Promise<void> {
    if (this.parts.snapshots === undefined || log.snapshot !== undefined) return
    const { fold } = log
    const snapshot = await this.snapshotOf(log)
    log.snapshotAt = log.next
    log.snapshot = (async () => {
      while (!this.callsAreStored(log.logId, snapshot.lastCallLeaf)) {
        if (this.stopped || log.fold !== fold) return
        await sleep(snapshotNapMs)
      }
      if (log.fold === fold) await this.store(log, snapshot)
    })().finally(() => {
      log.snapshot = undefined
    })
  }

  private callsAreStored(logId: string, lastCallLeaf: number): boolean {
    const stored = this.parts.callsStored?.(logId) ?? Number.POSITIVE_INFINITY
    return stored > lastCallLeaf
  }

  private async snapshotOf(log: LogFold): Promise<FoldSnapshot> {
    const { logId, next: leaves, lastCallLeaf } = log
    const last = await this.parts.reader.readOne(logId, leaves - 1)
    if (last === undefined) throw new Error(`leaf ${leaves - 1} of ${logId} did not come`)
    return {
      rules: log.fold.rules,
      leaves,
      leafHash: hex(last.leafHash),
      lastCallLeaf,
      recorded: [...log.recorded],
      pending: [...log.pending],
      state: log.fold.save(),
    }
  }

  /** A snapshot that cannot be written is no reason to stop judging. */
  private async store(log: LogFold, snapshot: FoldSnapshot): Promise<void> {
    try {
      await this.parts.snapshots?.store(log.logId, snapshot)
      log.snapshotAt = snapshot.leaves
    } catch (error) {
      this.parts.onError(error instanceof Error ? error : new Error(String(error)))
    }
  }

  private async refold(
    log: LogFold,
    onProgress: (done: number, total: number) => void,
  ): Promise<void> {
    const total = log.size
    while (log.next < total && !this.stopped && log.held === undefined) {
      await this.slice(log)
      onProgress(log.next, total)
    }
  }

  private wake(log: LogFold): void {
    if (this.stopped || log.retry !== undefined || log.held !== undefined) return
    log.running ??= this.run(log)
  }

  private async run(log: LogFold): Promise<void> {
    try {
      await nextTurn()
      while (!this.stopped && log.held === undefined && log.next < log.size) await this.slice(log)
      if (log.held === undefined) await this.record(log)
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
      if (output.calls.length > 0) log.lastCallLeaf = leaf.index
      changes.push(...output.calls)
      log.pending.push(...output.findings)
      // Before an erasure the fold had judged with what is erased now, and what it found is on the record: what another
      // memory would find in the same leaves is no news.
      if (leaf.index < log.refoldUntil && fromErasureEvent(leaf.event) !== undefined)
        log.pending = []
    }
    log.next += leaves.length
    await this.parts.onCalls(log.logId, log.next, changes)
    if (log.next - log.snapshotAt >= leavesASnapshot) await this.takeSnapshot(log)
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
  fold: Fold
  /** First leaf that is not folded. */
  next: number
  /** Leaves below were judged before: in an earlier run, or before the fold began anew. */
  refoldUntil: number
  /** Set while nothing may be read or appended. */
  held: { readonly done: Promise<void> } | undefined
  size: number
  waiting: CommittedLeaf[]
  waitingBytes: number
  /** Ids of findings that are leaves already. */
  readonly recorded: Set<string>
  pending: Finding[]
  /** Last leaf that changed a call. */
  lastCallLeaf: number
  /** Leaves of the last snapshot. */
  snapshotAt: number
  /** The one that waits for its calls. */
  snapshot: Promise<void> | undefined
  running: Promise<void> | undefined
  retry: NodeJS.Timeout | undefined
}

function takeOut(log: LogFold, count: number): CommittedLeaf[] {
  const taken = log.waiting.splice(0, count)
  for (const { event } of taken) log.waitingBytes -= heldBytes(event)
  return taken
}
