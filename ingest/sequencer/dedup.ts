import type { DedupRecord } from '../../ledger/segment.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { chainStart } from '../../schemas/source-chain.ts'

/**
 * What a log remembers to put every record in exactly once. Rebuilt from the dedup records of its segments.
 *
 * Numbered sources by high-water mark (epoch, seq). Others by keyed digests: of a request, with how many of its
 * records are in, so that a request cut by a crash continues where it stopped; and of the source's own event id.
 */
export class DedupState {
  /**
   * By source and epoch: several collectors with one key each have an epoch of their own, and so has each spool. Bounded
   * by source, so that no source makes another one's epochs forgotten.
   */
  private readonly marks = new Map<string, BoundedMap<Mark>>()
  private readonly newest = new Map<string, Mark>()
  private readonly requests: BoundedMap<number>
  private readonly eventIds: BoundedMap<true>

  /** @param capacity digests kept of each kind; about 100 bytes each. */
  constructor(capacity = 200_000) {
    this.requests = new BoundedMap(capacity)
    this.eventIds = new BoundedMap(capacity)
  }

  /** High-water mark of an epoch of a numbered source; without one, of the epoch that was heard last. */
  mark(sourceId: string, epoch?: string): Mark | undefined {
    return epoch === undefined ? this.newest.get(sourceId) : this.marks.get(sourceId)?.get(epoch)
  }

  /** Records of a request that are in, under any of the keyed digests (today's and yesterday's). */
  committedOf(requestDigests: readonly string[]): number {
    return Math.max(0, ...requestDigests.map((digest) => this.requests.get(digest) ?? 0))
  }

  hasEventId(eventIdDigests: readonly string[]): boolean {
    return eventIdDigests.some((digest) => this.eventIds.get(digest) === true)
  }

  /** Takes over what a committed segment says. */
  apply(records: readonly DedupRecord[]): void {
    for (const record of records) {
      if (record.mark !== undefined) {
        const ofSource = this.marks.get(record.sourceId) ?? new BoundedMap<Mark>(maxEpochs)
        this.marks.set(record.sourceId, ofSource)
        ofSource.set(record.mark.epoch, record.mark)
        this.newest.set(record.sourceId, record.mark)
      }
      for (const request of record.requests ?? []) {
        const [digest, until] = request.split(':')
        if (digest !== undefined) this.requests.set(digest, Number(until))
      }
      for (const digest of record.eventIds ?? []) this.eventIds.set(digest, true)
    }
  }

  /** A copy to decide on; it becomes the state only when its segment is committed. */
  draft(): DedupDraft {
    return new DedupDraft(this)
  }
}

/** Epochs remembered of a source, those heard last; about 200 bytes each. Sources are as many as keys were made. */
const maxEpochs = 10_000

interface Mark {
  readonly epoch: string
  readonly seq: number
  readonly prev: string
}

function markKey(sourceId: string, epoch: string): string {
  return `${sourceId}\0${epoch}`
}

/** What to do with a numbered record. */
export type NumberedDecision =
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'accept'; readonly missing: number; readonly prevMatches: boolean }

/** Decisions of one segment, on top of a {@link DedupState} that does not change until the commit. */
export class DedupDraft {
  private readonly state: DedupState
  private readonly marks = new Map<string, { sourceId: string; mark: Mark }>()
  private readonly requests = new Map<string, { sourceId: string; until: number }>()
  private readonly eventIds = new Map<string, string>()

  constructor(state: DedupState) {
    this.state = state
  }

  /**
   * @param prevOfNext chain value after this record, when the chain key is known; checked by the record that follows.
   */
  numbered(
    sourceId: string,
    epoch: string,
    seq: number,
    prev: string | undefined,
    prevOfNext: string | undefined,
  ): NumberedDecision {
    const key = markKey(sourceId, epoch)
    const mark = this.marks.get(key)?.mark ?? this.state.mark(sourceId, epoch)
    if (mark !== undefined && seq <= mark.seq) return { kind: 'duplicate' }
    const expectedSeq = mark === undefined ? 0 : mark.seq + 1
    const expectedPrev = mark === undefined ? chainStart : mark.prev
    // Deleted first, so that the epoch heard last stands last in the segment.
    this.marks.delete(key)
    this.marks.set(key, { sourceId, mark: { epoch, seq, prev: prevOfNext ?? '' } })
    const missing = seq - expectedSeq
    const checkable = missing === 0 && prev !== undefined && expectedPrev !== ''
    return { kind: 'accept', missing, prevMatches: !checkable || prev === expectedPrev }
  }

  /** Records of this request that are in or under way. */
  committedOf(requestDigests: readonly string[]): number {
    const pending = requestDigests.map((digest) => this.requests.get(digest)?.until ?? 0)
    return Math.max(this.state.committedOf(requestDigests), ...pending)
  }

  requestReached(sourceId: string, requestDigest: string, until: number): void {
    this.requests.set(requestDigest, { sourceId, until })
  }

  /** False when the source sent this event id before; else it is remembered. */
  acceptEventId(sourceId: string, digests: readonly [string, ...string[]]): boolean {
    if (this.state.hasEventId(digests) || digests.some((digest) => this.eventIds.has(digest))) {
      return false
    }
    this.eventIds.set(digests[0], sourceId)
    return true
  }

  /** What the segment must carry. */
  records(): DedupRecord[] {
    const bySource = new Map<string, { requests: string[]; eventIds: string[] }>()
    const of = (sourceId: string) => {
      const record = bySource.get(sourceId) ?? { requests: [], eventIds: [] }
      bySource.set(sourceId, record)
      return record
    }
    for (const [digest, { sourceId, until }] of this.requests)
      of(sourceId).requests.push(`${digest}:${until}`)
    for (const [digest, sourceId] of this.eventIds) of(sourceId).eventIds.push(digest)
    const marks = [...this.marks.values()].map(({ sourceId, mark }) => ({ sourceId, mark }))
    const others = [...bySource].map(([sourceId, { requests, eventIds }]) => ({
      sourceId,
      ...(requests.length === 0 ? {} : { requests }),
      ...(eventIds.length === 0 ? {} : { eventIds }),
    }))
    return [...marks, ...others]
  }
}

/** Epoch and number of a record that its collector numbered. An epoch that has no UTF-8 cannot be put down: none. */
export function numberingOf(
  event: Pick<ObservedEvent, 'source.epoch' | 'source.seq'>,
): { epoch: string; seq: number } | undefined {
  const epoch = event['source.epoch']
  const seq = event['source.seq']
  return epoch === undefined || seq === undefined || !epoch.isWellFormed()
    ? undefined
    : { epoch, seq }
}

/** Insertion-ordered map that forgets its oldest entries. */
class BoundedMap<V> {
  private readonly map = new Map<string, V>()
  private readonly capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get(key: string): V | undefined {
    return this.map.get(key)
  }

  set(key: string, value: V): void {
    this.map.delete(key)
    this.map.set(key, value)
    if (this.map.size <= this.capacity) return
    const oldest = this.map.keys().next()
    if (!oldest.done) this.map.delete(oldest.value)
  }
}
