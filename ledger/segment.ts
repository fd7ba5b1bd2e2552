/** Where on the bus a batch stood. `incarnation` changes when the topic is made anew. */
export interface BusPosition {
  readonly topic: string
  readonly incarnation: string
  readonly partition: number
  /** Offset as decimal text (64 bit). */
  readonly offset: string
}

/**
 * What a segment remembers for deduplication. Numbered sources by high-water mark, others by keyed digests, so that
 * the memory of the sequencer can be rebuilt from the log alone.
 */
export interface DedupRecord {
  readonly sourceId: string
  /** High-water mark of a numbered source: the last (epoch, seq) in this segment and the HMAC chain value after it. */
  readonly mark?: {
    readonly epoch: string
    readonly seq: number
    readonly prev: string
    /** Ranges [from, until) of numbers below `seq` that never came: what comes late fills them. Absent when empty. */
    readonly gaps?: readonly (readonly [number, number])[]
  }
  /** HMAC(day key, request digest) of a request that is complete with this segment, hex. */
  readonly requests?: readonly string[]
  /** HMAC(day key, source event id), hex; then `:` and HMAC(day key, digest of the record), hex, where it has one. */
  readonly eventIds?: readonly string[]
}

/** The unit of commit of a log. See docs/format.md for its encoding. */
export interface Segment {
  readonly version: 1
  readonly fromIndex: number
  /** Leaf bytes, in order; at least one. */
  readonly leaves: readonly Uint8Array[]
  /** fromIndex + leaves.length. */
  readonly nextIndex: number
  /** RFC 6962 root of the log at `nextIndex`. */
  readonly rootAfter: Uint8Array
  /** Last bus position per partition whose batches are wholly in the log with this segment. */
  readonly positions: readonly BusPosition[]
  readonly dedup: readonly DedupRecord[]
}

/** A segment without its leaves. */
export type SegmentHeader = Omit<Segment, 'leaves'>
