import { SealtrailError } from '../../schemas/errors.ts'
import type { IntakeOfSource, SourceQuota } from '../../schemas/source-quota.ts'
import type { ReceiverCounts, SourceIdentity } from './receiver-deps.ts'

/** What is spent comes back within this time: a burst of as many seconds is taken at once. */
const burstSeconds = 10
const rateSeconds = 60
const dayMs = 86_400_000
/** Requests of one source at a time; each holds a body of up to 4 MiB. */
const maxRequestsAtOnce = 64
/** Bodies of all sources together: what is being received must fit into memory. */
const maxBytesAtOnce = 192 * 1024 * 1024

interface State {
  counts: {
    requests: number
    records: number
    duplicates: number
    refused: number
  }
  /** Of its quota; below zero it owes. */
  events: number
  bytes: number
  spentAtMs: number
  /** Decaying means. */
  eventRate: number
  byteRate: number
  ratedAtMs: number
  day: number
  rejectedBytes: number
  hashed: number
  running: number
}

/**
 * Lets sources in: each within its quota, all together within memory. Refuses before a body is read. Sources are as
 * many as keys were made, so this is bounded too.
 */
export class SourceIntake {
  private readonly quotaOf: (sourceId: string) => SourceQuota
  private readonly clock: () => number
  private readonly states = new Map<string, State>()
  private bytesAtOnce = 0

  /** @param clock Unix milliseconds. */
  constructor(quotaOf: (sourceId: string) => SourceQuota, clock: () => number) {
    this.quotaOf = quotaOf
    this.clock = clock
  }

  /**
   * Before a body is read.
   *
   * @param bytes that the request announces, or the most that it may have.
   * @returns to be called when the request is over.
   * @throws SealtrailError `QUOTA_EXCEEDED`, `BUS_FULL`; both with `details.retryAfterSeconds`
   */
  admit({ sourceId }: SourceIdentity, bytes: number): () => void {
    const state = this.stateOf(sourceId)
    const quota = this.quotaOf(sourceId)
    this.refill(state, quota)
    const owedSeconds = Math.max(
      -state.events / quota.eventsPerSecond,
      -state.bytes / quota.bytesPerSecond,
    )
    if (owedSeconds > 0 || state.running >= maxRequestsAtOnce) {
      state.counts.refused++
      throw new SealtrailError(
        'QUOTA_EXCEEDED',
        owedSeconds > 0
          ? `source ${sourceId} sends more than ${quota.eventsPerSecond} events or ${quota.bytesPerSecond} bytes a second`
          : `source ${sourceId} has ${maxRequestsAtOnce} requests under way`,
        {
          retryable: true,
          hint: 'Wait as Retry-After says and send the same again; an admin can raise the quota of a source.',
          details: { retryAfterSeconds: Math.max(1, Math.ceil(owedSeconds)) },
        },
      )
    }
    if (this.bytesAtOnce + bytes > maxBytesAtOnce) {
      throw new SealtrailError('BUS_FULL', 'too many bodies are being received at once', {
        retryable: true,
        details: { retryAfterSeconds: 1 },
      })
    }
    state.running++
    this.bytesAtOnce += bytes
    let over = false
    return () => {
      if (over) return
      over = true
      state.running--
      this.bytesAtOnce -= bytes
    }
  }

  /** What a request turned out to hold. It is not refused any more: what it is too much, the next one waits for. */
  spend(sourceId: string, events: number, bytes: number): void {
    const state = this.stateOf(sourceId)
    this.refill(state, this.quotaOf(sourceId))
    state.events -= events
    state.bytes -= bytes
    this.decay(state)
    state.eventRate += events / rateSeconds
    state.byteRate += bytes / rateSeconds
  }

  /** False when the raw bytes of this day are used up: then hash and size are kept. */
  takeRejected(sourceId: string, bytes: number): boolean {
    const state = this.stateOf(sourceId)
    this.startDay(state)
    if (state.rejectedBytes + bytes > this.quotaOf(sourceId).rejectedBytesPerDay) {
      state.hashed++
      return false
    }
    state.rejectedBytes += bytes
    return true
  }

  counted(counts: ReceiverCounts): void {
    const { counts: sums } = this.stateOf(counts.sourceId)
    sums.requests++
    sums.records += counts.records
    sums.duplicates += counts.duplicates
  }

  /** undefined for a source that sent nothing since this process began. */
  of(sourceId: string): IntakeOfSource | undefined {
    const state = this.states.get(sourceId)
    if (state === undefined) return undefined
    this.startDay(state)
    this.decay(state)
    return {
      ...state.counts,
      rejectedBytesToday: state.rejectedBytes,
      hashedToday: state.hashed,
      eventsPerSecond: state.eventRate,
      bytesPerSecond: state.byteRate,
    }
  }

  private stateOf(sourceId: string): State {
    const known = this.states.get(sourceId)
    if (known !== undefined) return known
    const nowMs = this.clock()
    const quota = this.quotaOf(sourceId)
    const state: State = {
      counts: { requests: 0, records: 0, duplicates: 0, refused: 0 },
      events: quota.eventsPerSecond * burstSeconds,
      bytes: quota.bytesPerSecond * burstSeconds,
      spentAtMs: nowMs,
      eventRate: 0,
      byteRate: 0,
      ratedAtMs: nowMs,
      day: Math.floor(nowMs / dayMs),
      rejectedBytes: 0,
      hashed: 0,
      running: 0,
    }
    this.states.set(sourceId, state)
    return state
  }

  private refill(state: State, quota: SourceQuota): void {
    const nowMs = this.clock()
    // A clock that goes back gives nothing, and takes nothing.
    const seconds = Math.max(0, nowMs - state.spentAtMs) / 1000
    state.spentAtMs = nowMs
    const { eventsPerSecond, bytesPerSecond } = quota
    state.events = Math.min(
      eventsPerSecond * burstSeconds,
      state.events + seconds * eventsPerSecond,
    )
    state.bytes = Math.min(bytesPerSecond * burstSeconds, state.bytes + seconds * bytesPerSecond)
  }

  private decay(state: State): void {
    const nowMs = this.clock()
    const kept = Math.exp(-Math.max(0, nowMs - state.ratedAtMs) / 1000 / rateSeconds)
    state.ratedAtMs = nowMs
    state.eventRate *= kept
    state.byteRate *= kept
  }

  private startDay(state: State): void {
    const day = Math.floor(this.clock() / dayMs)
    if (day === state.day) return
    state.day = day
    state.rejectedBytes = 0
    state.hashed = 0
  }
}
