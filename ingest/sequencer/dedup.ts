import type { DedupRecord } from '../../ledger/segment.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { chainStart } from '../../schemas/source-chain.ts'
import { FairMap } from './fair-map.ts'

/**
 * What a log remembers to put every record in exactly once. Rebuilt from the dedup records of its segments.
 *
 * Numbered sources by high-water mark (epoch, seq), with the gaps below it. Others by keyed digests: of a request, with
 * how many of its records are in, so that a request cut by a crash continues where it stopped; and of the source's own
 * event id, with the content that it had.
 */
export class DedupState {
  /**
   * By source and epoch: several collectors with one key each have an epoch of their own, and so has each spool. Bounded
   * by source, so that no source makes another one's epochs forgotten.
   */
  private readonly marks = new Map<string, FairMap<Mark>>()
  private readonly newest = new Map<string, Mark>()
  private readonly requests: FairMap<number>
  private readonly eventIds: FairMap<string>

  /** @param capacity digests kept of each kind, over all sources; about 150 bytes each. */
  constructor(capacity = 200_000) {
    this.requests = new FairMap(capacity)
    this.eventIds = new FairMap(capacity)
  }

  /** High-water mark of an epoch of a numbered source; without one, of the epoch that was heard last. */
  mark(sourceId: string, epoch?: string): Mark | undefined {
    return epoch === undefined
      ? this.newest.get(sourceId)
      : this.marks.get(sourceId)?.get(sourceId, epoch)
  }

  /** High-water marks of a source, those heard last first. */
  marksOf(sourceId: string, limit: number): Mark[] {
    return (this.marks.get(sourceId)?.values(sourceId) ?? []).slice(-limit).reverse()
  }

  /** Records of a request that are in, under any of the keyed digests (today's and yesterday's). */
  committedOf(sourceId: string, requestDigests: readonly string[]): number {
    return Math.max(0, ...requestDigests.map((digest) => this.requests.get(sourceId, digest) ?? 0))
  }

  /** Content that an event id had: a keyed digest, '' where nobody knows it; undefined for an id that is new. */
  contentOf(sourceId: string, eventIdDigest: string): string | undefined {
    return this.eventIds.get(sourceId, eventIdDigest)
  }

  /** Takes over what a committed segment says. */
  apply(records: readonly DedupRecord[]): void {
    for (const record of records) {
      const { sourceId } = record
      if (record.mark !== undefined) {
        const ofSource = this.marks.get(sourceId) ?? new FairMap<Mark>(maxEpochs)
        this.marks.set(sourceId, ofSource)
        ofSource.set(sourceId, record.mark.epoch, record.mark)
        this.newest.set(sourceId, record.mark)
      }
      for (const request of record.requests ?? []) {
        const [digest, until] = request.split(':')
        if (digest !== undefined) this.requests.set(sourceId, digest, Number(until))
      }
      for (const eventId of record.eventIds ?? []) {
        const [digest = '', content = ''] = eventId.split(':')
        const known = this.eventIds.get(sourceId, digest)
        if (known === undefined || known === content) this.eventIds.set(sourceId, digest, content)
        else this.eventIds.set(sourceId, conflictKey(digest, content), content)
      }
    }
  }

  /** A copy to decide on; it becomes the state only when its segment is committed. */
  draft(): DedupDraft {
    return new DedupDraft(this)
  }
}

/** Epochs remembered of a source, those heard last; about 200 bytes each. Sources are as many as keys were made. */
const maxEpochs = 10_000
/** Gaps remembered of an epoch, the newest; what comes late into an older one counts as a duplicate. */
const maxGaps = 32

type Mark = NonNullable<DedupRecord['mark']>

function placeOf(sourceId: string, key: string): string {
  return `${sourceId}\0${key}`
}

/** Where the second, third… content of an event id stands. */
function conflictKey(eventIdDigest: string, content: string): string {
  return `${eventIdDigest}:${content}`
}

/** What to do with a numbered record. */
export type NumberedDecision =
  | { readonly kind: 'duplicate' }
  /** It fills a gap that is on the record. */
  | { readonly kind: 'late' }
  | { readonly kind: 'accept'; readonly missing: number; readonly prevMatches: boolean }

/** What to do with a record that has an id of its source: `conflict` when the id came before with other content. */
export type EventIdDecision = 'accept' | 'duplicate' | 'conflict'

/** Decisions of one segment, on top of a {@link DedupState} that does not change until the commit. */
export class DedupDraft {
  private readonly state: DedupState
  private readonly marks = new Map<string, { sourceId: string; mark: Mark }>()
  private readonly requests = new Map<string, { sourceId: string; until: number }>()
  /** By source and digest; in the order in which they must be told. */
  private readonly eventIds = new Map<
    string,
    { sourceId: string; digest: string; content: string }
  >()

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
    const key = placeOf(sourceId, epoch)
    const mark = this.marks.get(key)?.mark ?? this.state.mark(sourceId, epoch)
    const gaps = mark?.gaps ?? []
    if (mark !== undefined && seq <= mark.seq) {
      const gap = gaps.find(([from, until]) => from <= seq && seq < until)
      if (gap === undefined) return { kind: 'duplicate' }
      this.reached(sourceId, { ...mark, gaps: gaps.flatMap((each) => without(each, seq)) })
      return { kind: 'late' }
    }
    const expectedSeq = mark === undefined ? 0 : mark.seq + 1
    const expectedPrev = mark === undefined ? chainStart : mark.prev
    const missing = seq - expectedSeq
    this.reached(sourceId, {
      epoch,
      seq,
      prev: prevOfNext ?? '',
      gaps: missing > 0 ? [...gaps, [expectedSeq, seq] as const].slice(-maxGaps) : gaps,
    })
    const checkable = missing === 0 && prev !== undefined && expectedPrev !== ''
    return { kind: 'accept', missing, prevMatches: !checkable || prev === expectedPrev }
  }

  private reached(sourceId: string, { epoch, seq, prev, gaps = [] }: Mark): void {
    const key = placeOf(sourceId, epoch)
    // Deleted first, so that the epoch heard last stands last in the segment.
    this.marks.delete(key)
    const mark = { epoch, seq, prev, ...(gaps.length === 0 ? {} : { gaps }) }
    this.marks.set(key, { sourceId, mark })
  }

  /** Records of this request that are in or under way. */
  committedOf(sourceId: string, requestDigests: readonly string[]): number {
    const pending = requestDigests.map((digest) => this.requests.get(digest)?.until ?? 0)
    return Math.max(this.state.committedOf(sourceId, requestDigests), ...pending)
  }

  requestReached(sourceId: string, requestDigest: string, until: number): void {
    this.requests.set(requestDigest, { sourceId, until })
  }

  /**
   * Decides on a record with an id of its source. The same id with other content is no repeat: both stay on the record.
   *
   * @param digests of the id, under the key of today first, then under those of days before.
   * @param contentUnder digest of the record under the key of the digest at that place; '' when it has none.
   */
  eventId(
    sourceId: string,
    digests: readonly [string, ...string[]],
    contentUnder: (at: number) => string,
  ): EventIdDecision {
    const at = Math.max(
      0,
      digests.findIndex((digest) => this.contentOf(sourceId, digest) !== undefined),
    )
    const digest = digests[at] ?? digests[0]
    const content = contentUnder(at)
    const known = this.contentOf(sourceId, digest)
    if (known === undefined) {
      this.eventIds.set(placeOf(sourceId, digest), { sourceId, digest, content })
      return 'accept'
    }
    if (known === '' || content === '' || known === content) return 'duplicate'
    const key = conflictKey(digest, content)
    if (this.contentOf(sourceId, key) !== undefined) return 'duplicate'
    this.eventIds.set(placeOf(sourceId, key), { sourceId, digest, content })
    return 'conflict'
  }

  private contentOf(sourceId: string, key: string): string | undefined {
    return this.eventIds.get(placeOf(sourceId, key))?.content ?? this.state.contentOf(sourceId, key)
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
    for (const { sourceId, digest, content } of this.eventIds.values())
      of(sourceId).eventIds.push(content === '' ? digest : `${digest}:${content}`)
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

/** A range of numbers [from, until) without one of them. */
function without(
  [from, until]: readonly [number, number],
  seq: number,
): (readonly [number, number])[] {
  if (seq < from || seq >= until) return [[from, until]]
  const parts: (readonly [number, number])[] = [
    [from, seq],
    [seq + 1, until],
  ]
  return parts.filter(([start, end]) => start < end)
}
