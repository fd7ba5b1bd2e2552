import { createHmac } from 'node:crypto'
import { z } from 'zod'
import type { LogAnchors } from '../../ledger/anchor.ts'
import type { CommitObserver, CommittedLeaf } from '../../ledger/committed.ts'
import type { Keyring } from '../../ledger/keyring.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { PayloadStore } from '../../ledger/payload-store.ts'
import type { BusPosition, Segment, SegmentHeader } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { Signer } from '../../ledger/signer.ts'
import type { SavedTree } from '../../ledger/tree/saved-tree.ts'
import { equal } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import type { EventFields, ObservedEvent, RecordedEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { CanonicalTexts } from '../../schemas/leaf/leaf.ts'
import { parseLeaf } from '../../schemas/leaf/open-leaf.ts'
import type { Receipt } from '../../schemas/receipt.ts'
import { chainValue } from '../../schemas/source-chain.ts'
import { hashBytes } from '../../schemas/tlog/digest.ts'
import { keyRotationAction, nextKeyOf } from '../../schemas/tlog/key-rotation.ts'
import {
  consistencyProof,
  type HashReader,
  type HashTree,
  leafHash,
  MemoryHashTree,
  rootOf,
  TreeFrontier,
} from '../../schemas/tlog/merkle.ts'
import type { Delivered, LostMessages, PackedBatch, PoisonMessage } from '../bus/event-bus.ts'
import { type DedupDraft, DedupState, type EventIdDecision, numberingOf } from './dedup.ts'
import { ReceiptBook } from './receipt-book.ts'
import {
  type DerivedFields,
  derivedFields,
  pooledRandom,
  type RandomPool,
  type SealedEvent,
  sealEvent,
} from './seal-event.ts'
import { SourceLiveness } from './source-liveness.ts'
import { uuidV7Generator } from './uuid-v7.ts'

export interface SequencerParts {
  readonly storage: LedgerStorage
  /**
   * Where the tree of a log is kept over restarts, a cache: what it says is compared with the ledger. Absent: it is built
   * from the leaves at each start, in memory.
   */
  readonly openTree?: ((logId: string) => Promise<SavedTree>) | undefined
  readonly payloads: PayloadStore
  readonly keyring: Keyring
  readonly signer: Signer
  /** What places outside hold of the logs; absent where there are none. */
  readonly anchors?: LogAnchors | undefined
  /** Unix milliseconds. */
  readonly clock: () => number
  readonly random: (bytes: number) => Uint8Array
  readonly observers: readonly CommitObserver[]
  /** What went wrong and is tried again by itself. */
  readonly onError: (error: Error, logId: string) => void
  /**
   * Asked before records are taken: why none can be taken now, or undefined. What we append ourselves (administration,
   * findings, ticks) is not asked about: for that the last of the disk is kept.
   */
  readonly refusal?: () => SealtrailError | undefined
}

/** Leaves after which a tree that outlives the process is saved: so many are hashed again after a crash, at most. */
const saveEveryLeaves = 65_536
const maxSegmentLeaves = 2048
const maxSegmentBytes = 8 * 1024 * 1024
/** The others are said with the next tick. */
const maxSilencesATick = 256
/** Epochs of a source that are told at once. */
const maxMarks = 100

/** Work of one turn: a batch from the bus, what we append ourselves, or what the bus could not deliver. */
type Work = {
  readonly done: (receipt: Receipt) => void
  readonly fail: (error: Error) => void
} & (
  | { readonly kind: 'batch'; readonly batch: PackedBatch; readonly position: BusPosition }
  | { readonly kind: 'undelivered'; readonly message: PoisonMessage | LostMessages }
  | {
      readonly kind: 'append'
      readonly events: readonly ObservedEvent[]
      readonly validate: ((treeSize: number) => void) | undefined
    }
)

/** An event that is about to be sealed. */
interface Recorded {
  readonly event: RecordedEvent
  readonly texts: CanonicalTexts
}

/** How far the records of an epoch are in the log. */
export interface SourceMark {
  readonly epoch: string
  readonly seq: number
}

/** What is remembered of a log beside its tree, and stands in no header of a segment. */
const SavedMemory = z.strictObject({
  lastRecordedMs: z.number(),
  recordedDays: z.array(z.string()).max(2),
  traffic: z.boolean(),
  streams: z.array(
    z.strictObject({ sourceId: z.string(), epoch: z.string(), lastHeardMs: z.number() }),
  ),
  rotations: z
    .array(z.strictObject({ index: z.int().nonnegative(), next: z.string() }))
    .default([]),
})

interface LogState {
  readonly logId: string
  readonly tree: HashTree
  /** The tree again, where it outlives the process. */
  readonly savedTree: SavedTree | undefined
  /** Leaves that the saved tree held when it was saved last. */
  savedSize: number
  saving: Promise<void>
  frontier: TreeFrontier
  readonly dedup: DedupState
  readonly positions: Map<string, BusPosition>
  /** Never changes: fetched once. */
  tokenKey: Uint8Array | undefined
  lastRecordedMs: number
  /** The last two days (UTC) on which something was recorded, the newer one last. */
  recordedDays: readonly string[]
  /** Recorded time of the newest leaf when the log was loaded, and what the clock said then. */
  loadedRecordedMs: number
  readonly loadedMs: number
  queue: Work[]
  running: Promise<void> | undefined
  signedSize: number
  /** Leaves that name the next signing key, which the signer was not told of yet. */
  rotations: { readonly index: number; readonly next: string }[]
  /** True when something but ticks and self-traffic was committed since the last tick. */
  traffic: boolean
  readonly liveness: SourceLiveness
}

/**
 * The only writer of its logs. For each turn: deduplicate, give indexes, seal, sync new keys, put payloads, commit one
 * segment, then acknowledge and tell the observers. Orphan payloads of a crash are swept at start; a failed commit
 * ends the sequencer, because nothing may be assumed about it; only one that found no room on the disk is refused, because
 * what was written of it was cut off again.
 */
export class Sequencer implements LedgerAppender {
  readonly failed: Promise<Error>
  private readonly parts: SequencerParts
  private readonly logs = new Map<string, Promise<LogState>>()
  private readonly open = new Map<string, LogState>()
  private readonly receipts = new ReceiptBook()
  private readonly nextId: (nowMs: number) => string
  private readonly randomPool: RandomPool
  private newest = { ms: 0, text: timestampFromMs(0) }
  private markFailed: (error: Error) => void = () => undefined
  private broken: Error | undefined
  private publishing: Promise<void> = Promise.resolve()
  private timer: NodeJS.Timeout | undefined
  private ticker: NodeJS.Timeout | undefined

  constructor(parts: SequencerParts) {
    this.parts = parts
    this.nextId = uuidV7Generator(parts.random)
    this.randomPool = pooledRandom(parts.random)
    this.failed = new Promise((resolve) => {
      this.markFailed = resolve
    })
  }

  /** Opens every stored log and starts checkpoints (each second) and ticks (each minute). */
  async start(): Promise<void> {
    for (const logId of await this.parts.storage.logIds()) await this.log(logId)
    this.timer = setInterval(() => void this.publishCheckpoints(), 1000)
    this.ticker = setInterval(() => void this.tick(), 60_000)
  }

  /** Handler for the bus: resolves when all messages are durable. */
  readonly handle = async (messages: readonly Delivered[]): Promise<void> => {
    const outcomes = await Promise.allSettled(
      messages.map((message) =>
        'batch' in message
          ? this.submit(message.batch.logId, (callbacks) => ({
              ...callbacks,
              kind: 'batch',
              batch: message.batch,
              position: message.position,
            }))
          : this.submit(this.undeliveredLog(), (callbacks) => ({
              ...callbacks,
              kind: 'undelivered',
              message,
            })),
      ),
    )
    // Only when all have ended: what is delivered again must not meet itself.
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  append(
    logId: string,
    events: readonly ObservedEvent[],
    options: { validate?: (treeSize: number) => void } = {},
  ): Promise<Receipt> {
    return this.submit(logId, (callbacks) => ({
      ...callbacks,
      kind: 'append',
      events,
      validate: options.validate,
    }))
  }

  /** Receipt of a bus position, as soon as it is durable. @throws SealtrailError `LEDGER_UNAVAILABLE` after the time */
  waitForReceipt(position: BusPosition, timeoutMs: number): Promise<Receipt> {
    return this.receipts.wait(position, timeoutMs)
  }

  /** Last position of each partition that is wholly in the ledger. */
  committedPositions(): BusPosition[] {
    return [...this.open.values()].flatMap((log) => [...log.positions.values()])
  }

  /**
   * High-water marks of a numbered source, the epoch heard last first: what its spool may forget.
   *
   * @param epoch only of this one.
   */
  committedMarks(logId: string, sourceId: string, epoch?: string): SourceMark[] {
    const dedup = this.open.get(logId)?.dedup
    if (dedup === undefined) return []
    const one = epoch === undefined ? undefined : dedup.mark(sourceId, epoch)
    const marks =
      epoch === undefined ? dedup.marksOf(sourceId, maxMarks) : one === undefined ? [] : [one]
    return marks.map((mark) => ({ epoch: mark.epoch, seq: mark.seq }))
  }

  /** Recorded time of the newest leaf of any log, Unix milliseconds; 0 where there is none. */
  newestRecordedMs(): number {
    return Math.max(0, ...[...this.open.values()].map((log) => log.lastRecordedMs))
  }

  /** Tree of a log for proofs. An unknown log is empty. */
  tree(logId: string): HashReader & { readonly size: number } {
    return this.open.get(logId)?.tree ?? new MemoryHashTree(sha256)
  }

  root(logId: string): Uint8Array {
    return (this.open.get(logId)?.frontier ?? new TreeFrontier(sha256)).root()
  }

  /** Signs and stores a checkpoint of every log that grew. One at a time. */
  publishCheckpoints(): Promise<void> {
    this.publishing = this.publishing.then(async () => {
      if (this.broken !== undefined) return
      for (const log of this.open.values()) {
        try {
          await this.publish(log)
        } catch (error) {
          this.failedInBackground(asError(error), log.logId)
        }
      }
    })
    return this.publishing
  }

  /**
   * Puts a tick into every log that had traffic since its last tick, or where a source fell silent, which stands behind
   * it: time moves only by leaves. Destroys the keys of dedup digests that no decision looks at any more.
   */
  async tick(): Promise<void> {
    for (const log of this.open.values()) {
      try {
        await this.tickOf(log)
      } catch (error) {
        this.failedInBackground(asError(error), log.logId)
      }
    }
  }

  private async tickOf(log: LogState): Promise<void> {
    // By time that passed, not by what a clock says that was set: a key that is destroyed never comes back.
    const now = this.parts.clock()
    const passed = Math.min(
      Math.max(log.lastRecordedMs, now),
      log.loadedRecordedMs + (now - log.loadedMs),
    )
    const yesterday = dayOf(passed - dayMs)
    const before = dayBefore(log, dayOf(Math.max(log.lastRecordedMs, now)))
    const [oldest = yesterday] = [before, yesterday].sort()
    await this.parts.keyring.destroyDedupKeysBefore(log.logId, oldest)
    const silent = log.liveness
      .silentAt(Math.max(log.lastRecordedMs, now))
      .slice(0, maxSilencesATick)
    if (!log.traffic && silent.length === 0) return
    log.traffic = false
    const timestamp = timestampFromMs(now)
    const common = {
      'record.disposition': 'mapped',
      'time.occurred': timestamp,
      'time.observed': timestamp,
    } as const
    await this.append(log.logId, [
      { ...common, 'event.class': 'tick', 'source.id': 'sealtrail' },
      ...silent.map(({ sourceId, epoch, lastHeardMs }) => ({
        ...common,
        'event.class': 'source' as const,
        'source.id': sourceId,
        'source.epoch': epoch,
        'source.signal': 'silence' as const,
        'record.notes': [`last heard ${timestampFromMs(lastHeardMs)}`],
      })),
    ]).catch((error: unknown) => {
      // It is still owed.
      log.traffic = true
      throw error
    })
  }

  /** What may pass is tried again in its time. A disk that fails, or a signer that refuses, does not pass. */
  private failedInBackground(error: Error, logId: string): void {
    this.parts.onError(error, logId)
    if (!isSealtrailError(error) || !error.retryable) this.end(error)
  }

  private end(error: Error): void {
    if (this.broken !== undefined) return
    this.broken = unavailable(error)
    this.markFailed(error)
  }

  /**
   * Finishes what is queued, signs it, and closes the trees.
   *
   * @param whileReadable what needs the last checkpoints and the trees, such as putting them outside
   */
  async stop(whileReadable: () => Promise<void> = async () => undefined): Promise<void> {
    clearInterval(this.timer)
    clearInterval(this.ticker)
    for (const log of this.open.values()) await log.running
    if (this.broken === undefined) await this.publishCheckpoints()
    this.broken ??= new SealtrailError('LEDGER_UNAVAILABLE', 'the sequencer is stopped')
    // What came while the last checkpoints were signed is finished or refused: nobody waits for ever.
    for (const log of this.open.values()) await log.running
    await whileReadable()
    for (const log of this.open.values()) {
      await this.save(log)
      await log.savedTree?.close()
    }
  }

  private async submit(
    logId: string,
    work: (callbacks: Pick<Work, 'done' | 'fail'>) => Work,
  ): Promise<Receipt> {
    if (this.broken !== undefined) throw this.broken
    const log = await this.log(logId)
    return new Promise<Receipt>((done, fail) => {
      log.queue.push(work({ done, fail }))
      log.running ??= this.run(log)
    })
  }

  private async run(log: LogState): Promise<void> {
    // Whatever arrives in this turn of the event loop shares one segment and one sync.
    await new Promise((resolve) => setImmediate(resolve))
    while (log.queue.length > 0) {
      const turn = this.admitted(takeTurn(log.queue))
      if (turn.length === 0) continue
      try {
        // Another log may have ended the sequencer: who waits here is told too.
        if (this.broken !== undefined) throw this.broken
        await this.commit(log, turn)
      } catch (cause) {
        const error = asError(cause)
        this.refuse(turn, unavailable(error))
        // Nothing was written, or it was cut off again: the log is as it was, and goes on when there is room.
        if (isSealtrailError(error, 'DISK_FULL')) await this.sweepAfterRefusal(log)
        else this.end(error)
      }
    }
    log.running = undefined
  }

  /** Without what senders have to keep for now. */
  private admitted(turn: Work[]): Work[] {
    const refusal = this.parts.refusal?.()
    if (refusal === undefined) return turn
    this.refuse(
      turn.filter(({ kind }) => kind !== 'append'),
      refusal,
    )
    return turn.filter(({ kind }) => kind === 'append')
  }

  private refuse(turn: readonly Work[], error: Error): void {
    for (const work of turn) {
      if (work.kind === 'batch') this.receipts.refuse(work.position, error)
      work.fail(error)
    }
  }

  /** The payloads of a segment that found no room would take room from the next try. */
  private async sweepAfterRefusal(log: LogState): Promise<void> {
    await this.parts.payloads
      .sweep(log.logId, log.tree.size)
      .catch((error: unknown) => this.end(asError(error)))
  }

  private async commit(log: LogState, turn: readonly Work[]): Promise<void> {
    const draft = log.dedup.draft()
    const events: Recorded[] = []
    const positions: BusPosition[] = []
    const outcomes: { work: Work; first: number; count: number; duplicates: number }[] = []
    const nowMs = Math.max(log.lastRecordedMs, this.parts.clock())
    for (const work of turn) {
      const first = events.length
      let duplicates = 0
      if (work.kind === 'append') {
        try {
          work.validate?.(log.tree.size + events.length)
        } catch (error) {
          work.fail(asError(error))
          continue
        }
        for (const event of work.events) events.push(this.record(log, event, nowMs))
      } else if (work.kind === 'undelivered') {
        events.push(this.record(log, undeliveredEvent(work.message, nowMs), nowMs))
        if (work.message.position !== undefined) positions.push(work.message.position)
      } else {
        const accepted = this.deduplicate(log, draft, work.batch, nowMs)
        duplicates = accepted.duplicates
        for (const event of accepted.events) events.push(this.record(log, event, nowMs))
        positions.push(work.position)
      }
      outcomes.push({ work, first, count: events.length - first, duplicates })
    }
    const fromIndex = log.tree.size
    if (events.length > 0) {
      const sealed = events.map((recorded) => this.seal(recorded))
      const frontier = log.frontier.clone()
      const leaves = sealed.map(({ leaf }) => leaf)
      const hashes = leafHashes(leaves)
      for (const hash of hashes) frontier.append(hash)
      const segment: Segment = {
        version: 1,
        fromIndex,
        leaves,
        nextIndex: fromIndex + leaves.length,
        rootAfter: frontier.root(),
        positions: newestPositions(positions),
        dedup: draft.records(),
      }
      await this.parts.keyring.sync()
      await this.parts.payloads.put(
        log.logId,
        fromIndex,
        sealed.map(({ payload }) => payload),
      )
      await this.parts.storage.appendSegment(log.logId, segment)
      for (const hash of hashes) log.tree.append(hash)
      log.frontier = frontier
      collectRotations(log.rotations, fromIndex, leaves)
      log.dedup.apply(segment.dedup)
      recordedAt(log, nowMs)
      for (const { event } of events) {
        log.traffic ||= isTraffic(event)
        log.liveness.apply(event)
      }
      const committed = sealed.map(
        ({ event, leaf }, i): CommittedLeaf => ({
          logId: log.logId,
          index: fromIndex + i,
          leaf,
          leafHash: hashes[i] ?? leafHash(sha256, leaf),
          event,
          opened: 'full',
        }),
      )
      for (const observe of this.parts.observers) {
        observe({
          logId: log.logId,
          fromIndex,
          leaves: committed,
          treeSize: segment.nextIndex,
          root: segment.rootAfter,
        })
      }
    }
    for (const position of positions) log.positions.set(partitionOf(position), position)
    if (log.tree.size - log.savedSize >= saveEveryLeaves) void this.save(log)
    for (const { work, first, count, duplicates } of outcomes) {
      const receipt: Receipt = {
        log: log.logId,
        leaves: count === 0 ? [] : [{ first: fromIndex + first, count }],
        treeSize: log.tree.size,
        root: Buffer.from(log.frontier.root()).toString('hex'),
        duplicates,
      }
      if (work.kind === 'batch') this.receipts.put(work.position, receipt)
      work.done(receipt)
    }
  }

  private deduplicate(
    log: LogState,
    draft: DedupDraft,
    batch: PackedBatch,
    nowMs: number,
  ): { events: ObservedEvent[]; duplicates: number } {
    const requestDigests = this.keyedDigests(
      log,
      `${batch.sourceId}\0request\0${batch.requestDigest}`,
      nowMs,
    )
    const done = draft.committedOf(batch.sourceId, requestDigests)
    const events: ObservedEvent[] = []
    let duplicates = 0
    for (const [i, event] of batch.events.entries()) {
      const numbering = numberingOf(event)
      if (numbering === undefined) {
        const decision =
          batch.firstOrdinal + i < done
            ? 'duplicate'
            : this.decideByEventId(log, draft, batch, i, nowMs)
        if (decision === 'duplicate') duplicates++
        else {
          const noted = decision === 'conflict' ? withNote(event, 'id.conflict') : event
          events.push({ ...noted, 'source.numbering': 'receiver' })
        }
        continue
      }
      const decision = draft.numbered(
        batch.sourceId,
        numbering.epoch,
        numbering.seq,
        event['source.prev'],
        this.chainAfter(batch, i),
      )
      if (decision.kind === 'duplicate') {
        duplicates++
        continue
      }
      if (decision.kind === 'late') {
        events.push({ ...withNote(event, 'source.seq:late'), 'source.numbering': 'collector' })
        continue
      }
      if (decision.missing > 0) events.push(gapEvent(event, decision.missing))
      const noted = decision.prevMatches ? event : withNote(event, 'source.prev:mismatch')
      events.push({ ...noted, 'source.numbering': 'collector' })
    }
    draft.requestReached(
      batch.sourceId,
      requestDigests[0],
      Math.max(done, batch.firstOrdinal + batch.events.length),
    )
    return { events, duplicates }
  }

  private decideByEventId(
    log: LogState,
    draft: DedupDraft,
    batch: PackedBatch,
    i: number,
    nowMs: number,
  ): EventIdDecision {
    const eventId = batch.events[i]?.['source.event.id']
    if (eventId === undefined) return 'accept'
    const sent = batch.sentDigests?.[i]
    return draft.eventId(
      batch.sourceId,
      this.keyedDigests(log, `${batch.sourceId}\0event\0${eventId}`, nowMs),
      (at) =>
        sent === undefined || sent === ''
          ? ''
          : (this.keyedDigests(log, `${batch.sourceId}\0content\0${sent}`, nowMs)[at] ?? ''),
    )
  }

  private chainAfter(batch: PackedBatch, i: number): string | undefined {
    const digest = batch.sentDigests?.[i]
    const key = this.parts.keyring.sourceChainKey(batch.chainKeyId ?? batch.sourceId)
    // No digest: the record has no canonical form, so what follows it cannot be checked.
    return digest === undefined || digest === '' || key === undefined
      ? undefined
      : chainValue(hmacSha256, key, digest)
  }

  /** Digest under today's key first, then under that of the day before on which something was recorded. */
  private keyedDigests(log: LogState, text: string, nowMs: number): [string, ...string[]] {
    const digest = (day: string): string =>
      createHmac('sha256', this.parts.keyring.dedupKey(log.logId, day))
        .update(text)
        .digest('hex')
        .slice(0, 32)
    const today = dayOf(nowMs)
    return [digest(today), digest(dayBefore(log, today))]
  }

  private record(log: LogState, observed: ObservedEvent, nowMs: number): Recorded {
    const { fields, texts } = this.derived(log, observed)
    return {
      event: {
        ...observed,
        ...fields,
        'event.id': this.nextId(nowMs),
        'event.schema_version': 1,
        'log.id': log.logId,
        'time.recorded': this.timestamp(nowMs),
      },
      texts,
    }
  }

  /** What has no canonical form is left to {@link seal}, which keeps the event as rejected. */
  private derived(log: LogState, event: ObservedEvent): DerivedFields {
    try {
      log.tokenKey ??= this.parts.keyring.tokenKey(log.logId)
      return derivedFields(event, log.tokenKey)
    } catch {
      return { fields: {}, texts: new Map() }
    }
  }

  /** All events of a turn have the same one. */
  private timestamp(nowMs: number): string {
    if (this.newest.ms !== nowMs) this.newest = { ms: nowMs, text: timestampFromMs(nowMs) }
    return this.newest.text
  }

  /** An event that cannot be sealed does not spoil its batch: it is kept as rejected, with its bytes. */
  private seal({ event, texts }: Recorded): SealedEvent {
    try {
      return sealEvent(event, this.parts.keyring, this.randomPool, texts)
    } catch (error) {
      const code = isSealtrailError(error) ? error.code : 'INTERNAL'
      const numbering = numberingOf(event)
      const raw = Buffer.from(JSON.stringify(event))
      const rejected: RecordedEvent = {
        'event.id': event['event.id'],
        'event.schema_version': 1,
        'event.class': 'other',
        'log.id': event['log.id'],
        'time.occurred': event['time.occurred'],
        'time.recorded': event['time.recorded'],
        'record.disposition': 'rejected',
        'record.reason': code,
        ...(event['source.id'] === undefined ? {} : { 'source.id': event['source.id'] }),
        // It keeps its number: it is no gap.
        ...(numbering === undefined
          ? {}
          : {
              'source.numbering': 'collector',
              'source.epoch': numbering.epoch,
              'source.seq': numbering.seq,
            }),
        'raw.record': raw.toString('base64').slice(0, 131_072),
        'raw.size_bytes': raw.length,
        'raw.encoding': 'base64',
      }
      return sealEvent(rejected, this.parts.keyring, this.randomPool)
    }
  }

  private async publish(log: LogState): Promise<void> {
    const size = log.tree.size
    if (size === 0 || size <= log.signedSize) return
    // An anchor holds another history than this one: it said so once, and signing more would widen the fork.
    if (this.parts.anchors?.maySign(log.logId) === false) return
    const root = log.frontier.root()
    // What stands in the log is decided: the signer follows it, also after a crash between the two.
    for (const { index, next } of log.rotations)
      await this.parts.signer.adoptKey(log.logId, index, next)
    log.rotations = []
    const last = await this.parts.signer.lastSigned(log.logId)
    if (last !== undefined && last.size > size) {
      // The signer says why; it refuses what was rolled back.
      await this.parts.signer.sign(log.logId, size, root, [])
      return
    }
    const proof = consistencyProof(log.tree, sha256, last?.size ?? 0, size)
    const note = await this.parts.signer.sign(log.logId, size, root, proof)
    await this.parts.storage.writeCheckpoint(log.logId, size, note)
    log.signedSize = size
    this.parts.anchors?.published(log.logId, size)
  }

  /** Of what cannot be read, nobody knows whose it was. */
  private undeliveredLog(): string {
    return [...this.open.keys()].find((logId) => logId !== '_system') ?? '_system'
  }

  private log(logId: string): Promise<LogState> {
    let log = this.logs.get(logId)
    if (log === undefined) {
      log = this.load(logId).catch((error: unknown) => {
        // A disk that answers again must not need a restart: the next batch tries anew.
        this.logs.delete(logId)
        throw error
      })
      this.logs.set(logId, log)
    }
    return log
  }

  /**
   * What was taken into a log that lost its end, or has another history than the signed one, could never be signed:
   * such a log takes nothing.
   */
  private async checkContinues(log: LogState): Promise<void> {
    const { logId, tree, signedSize } = log
    const signed = await this.parts.signer.lastSigned(logId)
    const size = signed?.size ?? 0
    const why =
      signedSize > size
        ? `has a checkpoint of size ${signedSize}, and its signer knows of ${size}: the signer was rolled back`
        : size > tree.size
          ? `holds ${tree.size} leaves, and ${size} were signed: it was rolled back`
          : signed !== undefined && !equal(rootOf(tree, sha256, size), signed.root)
            ? `has another root at size ${size} than the one that was signed: it has forked`
            : undefined
    if (why === undefined) return
    throw new SealtrailError('SIGNER_REFUSED', `log ${logId} ${why}`, {
      hint: 'Nothing was changed. Restore ledger, payloads, keyring and signer from one backup; run sealtrail verify to see what is there.',
    })
  }

  /** @returns whether the signal is traffic. */
  private reloadSignal(log: LogState, leaf: Uint8Array): boolean {
    const { clear } = parseLeaf(leaf)
    log.liveness.apply(clear)
    return isTraffic(clear)
  }

  /**
   * Rebuilds tree, dedup state and positions from the segments, checking every root on the way. Of what a saved tree
   * covers only the headers are read, and the root there is compared with the one that the ledger states.
   */
  private async load(logId: string): Promise<LogState> {
    const savedTree = await this.parts.openTree?.(logId)
    try {
      const log =
        (await this.restored(logId, savedTree)) ??
        this.newLog(logId, savedTree ?? new MemoryHashTree(sha256), savedTree)
      await this.loadFrom(log, log.tree.size)
      this.open.set(logId, log)
      return log
    } catch (error) {
      await savedTree?.close()
      throw error
    }
  }

  private newLog(logId: string, tree: HashTree, savedTree: SavedTree | undefined): LogState {
    return {
      logId,
      tree,
      savedTree,
      savedSize: 0,
      saving: Promise.resolve(),
      frontier: TreeFrontier.of(sha256, tree),
      dedup: new DedupState(),
      positions: new Map(),
      tokenKey: undefined,
      lastRecordedMs: 0,
      recordedDays: [],
      loadedRecordedMs: 0,
      loadedMs: this.parts.clock(),
      queue: [],
      running: undefined,
      signedSize: 0,
      rotations: [],
      traffic: false,
      liveness: new SourceLiveness(),
    }
  }

  /** The state as it was saved; undefined, and the tree empty, when the ledger does not continue it. */
  private async restored(
    logId: string,
    tree: SavedTree | undefined,
  ): Promise<LogState | undefined> {
    if (tree?.saved === undefined) return undefined
    const memory = SavedMemory.safeParse(tree.saved.beside)
    if (memory.success && tree.size > 0) {
      const log = this.newLog(logId, tree, tree)
      const root = log.frontier.root()
      for await (const header of this.parts.storage.readHeaders(logId)) {
        if (header.nextIndex > tree.size) break
        applyHeader(log, header)
        if (header.nextIndex < tree.size || !equal(header.rootAfter, root)) continue
        log.savedSize = tree.size
        log.lastRecordedMs = memory.data.lastRecordedMs
        log.recordedDays = memory.data.recordedDays
        log.traffic = memory.data.traffic
        log.liveness.restore(memory.data.streams)
        log.rotations = memory.data.rotations
        return log
      }
    }
    tree.clear()
    return undefined
  }

  private async loadFrom(log: LogState, from: number): Promise<void> {
    const { logId } = log
    for await (const segment of this.parts.storage.readSegments(logId, from)) {
      collectRotations(log.rotations, segment.fromIndex, segment.leaves)
      for (const leaf of segment.leaves) {
        const hash = leafHash(sha256, leaf)
        log.tree.append(hash)
        log.frontier.append(hash)
        // Traffic that no tick followed before a restart is owed one.
        const eventClass = classOf(leaf)
        if (eventClass === 'tick') log.traffic = false
        else if (eventClass === 'source') log.traffic = this.reloadSignal(log, leaf) || log.traffic
        else if (!contains(leaf, ownMark)) log.traffic = true
      }
      if (!equal(log.frontier.root(), segment.rootAfter)) {
        throw new SealtrailError(
          'LEDGER_CORRUPT',
          `log ${logId}: segment ${segment.fromIndex} does not give the root that it states`,
          { hint: 'Run sealtrail verify; nothing is appended to a damaged log.' },
        )
      }
      applyHeader(log, segment)
      const last = segment.leaves.at(-1)
      if (last !== undefined) recordedAt(log, recordedMsOf(last))
    }
    log.loadedRecordedMs = log.lastRecordedMs || log.loadedMs
    log.signedSize = (await this.parts.storage.checkpointSizes(logId)).at(-1) ?? 0
    // Before the sweep: of a log that lost its end, the payloads are all that is left.
    await this.checkContinues(log)
    await this.parts.anchors?.check({ logId, tree: log.tree })
    await this.parts.payloads.sweep(logId, log.tree.size)
  }

  /** Not waited for: what a tree lacks that was not saved is built again at the next start. */
  private save(log: LogState): Promise<void> {
    const { savedTree, tree } = log
    if (savedTree === undefined || tree.size === log.savedSize) return log.saving
    log.savedSize = tree.size
    const memory: z.infer<typeof SavedMemory> = {
      lastRecordedMs: log.lastRecordedMs,
      recordedDays: [...log.recordedDays],
      traffic: log.traffic,
      streams: log.liveness.streams(),
      rotations: log.rotations,
    }
    log.saving = log.saving
      .then(() => savedTree.save(memory))
      .catch((error: unknown) => this.parts.onError(asError(error), log.logId))
    return log.saving
  }
}

/** In one piece: a hash of its own would keep the block alive that it was allocated from, whoever holds it. */
function leafHashes(leaves: readonly Uint8Array[]): Uint8Array[] {
  const all = new Uint8Array(leaves.length * hashBytes)
  return leaves.map((leaf, at) => {
    const hash = all.subarray(at * hashBytes, (at + 1) * hashBytes)
    hash.set(leafHash(sha256, leaf))
    return hash
  })
}

/** As many works as fit into one segment; at least one. */
function takeTurn(queue: Work[]): Work[] {
  const turn: Work[] = []
  let leaves = 0
  let bytes = 0
  for (let next = queue[0]; next !== undefined; next = queue[0]) {
    const count =
      next.kind === 'undelivered'
        ? 1
        : next.kind === 'batch'
          ? next.batch.events.length
          : next.events.length
    // A batch is at most 512 KiB by contract; what we append ourselves is small.
    const size = next.kind === 'batch' ? 512 * 1024 : count * 4096
    const validated = next.kind === 'append' && next.validate !== undefined
    const full = leaves + count > maxSegmentLeaves || bytes + size > maxSegmentBytes
    if (turn.length > 0 && (full || validated)) break
    turn.push(next)
    queue.shift()
    // A command is checked against the fold as it stands: it commits alone, so that the next one sees it.
    if (validated) break
    leaves += count
    bytes += size
  }
  return turn
}

const dayMs = 86_400_000

/** UTC. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

function withNote(event: ObservedEvent, note: string): ObservedEvent {
  return { ...event, 'record.notes': [...(event['record.notes'] ?? []), note].slice(-32) }
}

function applyHeader(log: LogState, { dedup, positions }: SegmentHeader): void {
  log.dedup.apply(dedup)
  for (const position of positions) log.positions.set(partitionOf(position), position)
}

function recordedAt(log: LogState, ms: number): void {
  log.lastRecordedMs = ms
  const day = dayOf(ms)
  if (day !== log.recordedDays.at(-1)) log.recordedDays = [...log.recordedDays.slice(-1), day]
}

/** The newest day before this one on which something was recorded: yesterday, but for a clock that jumped, or a pause. */
function dayBefore(log: LogState, today: string): string {
  const before = log.recordedDays.filter((day) => day < today)
  return before.at(-1) ?? dayOf(Date.parse(today) - dayMs)
}

function gapEvent(next: ObservedEvent, missing: number): ObservedEvent {
  const { 'source.epoch': epoch, 'source.seq': seq = 0 } = next
  return {
    'event.class': 'source',
    'record.disposition': 'mapped',
    'source.id': next['source.id'],
    'time.occurred': next['time.occurred'],
    'time.observed': next['time.observed'],
    'source.signal': 'gap',
    'source.missing': missing,
    'record.notes': [`gap before seq ${seq}`],
    ...(epoch === undefined ? {} : { 'source.epoch': epoch }),
  }
}

function undeliveredEvent(message: PoisonMessage | LostMessages, nowMs: number): ObservedEvent {
  const now = timestampFromMs(nowMs)
  const common = { 'source.id': 'sealtrail', 'time.occurred': now, 'time.observed': now }
  if ('sha256' in message) {
    return {
      ...common,
      'event.class': 'other',
      'record.disposition': 'rejected',
      'record.reason': `ENVELOPE_INVALID: ${message.reason}`.slice(0, 512),
      'raw.size_bytes': message.sizeBytes,
      'record.notes': [`sha256:${message.sha256}`],
    }
  }
  return {
    ...common,
    'event.class': 'source',
    'record.disposition': 'mapped',
    'record.reason': message.reason.slice(0, 512),
    'source.signal': 'gap',
    ...(message.lost === undefined ? {} : { 'source.missing': message.lost }),
  }
}

function newestPositions(positions: readonly BusPosition[]): BusPosition[] {
  const newest = new Map<string, BusPosition>()
  for (const position of positions) newest.set(partitionOf(position), position)
  return [...newest.values()]
}

function partitionOf(position: BusPosition): string {
  return `${position.topic}/${position.incarnation}/${position.partition}`
}

function collectRotations(
  rotations: { readonly index: number; readonly next: string }[],
  fromIndex: number,
  leaves: readonly Uint8Array[],
): void {
  for (const [i, leaf] of leaves.entries()) {
    const next = contains(leaf, rotationMark) ? nextKeyOf(leaf) : undefined
    if (next !== undefined) rotations.push({ index: fromIndex + i, next })
  }
}

const rotationMark = Buffer.from(`"admin.action":"${keyRotationAction}"`)

/** As canonical JSON writes them: within a value the quotes would stand escaped. */
const classMark = Buffer.from('"event.class":"')
const ownMark = Buffer.from('"source.id":"sealtrail"')

/** Class of an event, out of its leaf: no JSON field that a leaf holds stands before it. */
function classOf(leaf: Uint8Array): string {
  const bytes = Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength)
  const from = bytes.indexOf(classMark) + classMark.length
  return bytes.toString('latin1', from, bytes.indexOf(0x22, from))
}

/** Ticks follow what others do, and not what Sealtrail says of it. */
function isTraffic(event: EventFields): boolean {
  return event['source.id'] !== 'sealtrail' && event['source.signal'] !== 'silence'
}

function contains(leaf: Uint8Array, mark: Buffer): boolean {
  return Buffer.from(leaf.buffer, leaf.byteOffset, leaf.byteLength).includes(mark)
}

function recordedMsOf(leaf: Uint8Array): number {
  const text = /"time\.recorded":"([^"]+)"/.exec(Buffer.from(leaf).toString('utf8'))?.[1]
  const ms = text === undefined ? Number.NaN : Date.parse(`${text.slice(0, 23)}Z`)
  return Number.isNaN(ms) ? 0 : ms
}

const hmacSha256 = (key: Uint8Array, data: Uint8Array): Uint8Array =>
  createHmac('sha256', key).update(data).digest()

/** For senders: a request that was not answered is sent again, also where the system says no more than EIO. */
function unavailable(error: Error): Error {
  if (isSealtrailError(error)) return error
  const what = `a commit failed: ${error.message}; this process must stop`
  return new SealtrailError('LEDGER_UNAVAILABLE', what, {
    cause: error,
    hint: 'Check the disk, then start again: what was acknowledged is safe.',
  })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
