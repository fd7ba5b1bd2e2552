import type { Segment, SegmentHeader } from './segment.ts'

/**
 * Append-only, write-once storage of logs. Implementations: files (embedded), immudb (servers).
 * `test/conformance/ledger-storage.ts` is the contract as tests; an implementation adds nothing to it.
 *
 * A segment is the unit of commit. Data, bus position and dedup records are one object under the write-once key
 * (log, fromIndex); whoever comes second at an index has lost and must stop. All methods are safe to call
 * concurrently for different logs; for one log there is one writer.
 */
export interface LedgerStorage {
  /**
   * Resolves when the segment is durable (survives power loss as far as the engine promises it).
   *
   * @throws SealtrailError `LEDGER_CONFLICT`: the index is taken, by whatever bytes. Nothing was written.
   * @throws SealtrailError `LEDGER_UNAVAILABLE`: nothing may be assumed; read back before trying again. Retryable only
   *   where the engine says so; after a failed fsync of the file driver it is not, and the process must stop.
   */
  appendSegment(logId: string, segment: Segment): Promise<void>

  /** The segment that begins at the index, as first written; undefined when there is none. */
  readSegment(logId: string, fromIndex: number): Promise<Segment | undefined>

  /**
   * Segments in order, from the one that holds `fromIndex` on, without holes, up to the head at the time of the call.
   *
   * @throws SealtrailError `LEDGER_CORRUPT` naming log and index of the first damaged or missing segment.
   */
  readSegments(logId: string, fromIndex: number): AsyncIterable<Segment>

  /** All segments without their leaves, in order and checked like those of {@link readSegments}. */
  readHeaders(logId: string): AsyncIterable<SegmentHeader>

  /** Number of leaves committed, 0 for an unknown log. */
  size(logId: string): Promise<number>

  /** Stores a signed checkpoint write-once under (log, size). Same bytes again: no-op; other bytes: `LEDGER_CONFLICT`. */
  writeCheckpoint(logId: string, size: number, note: string): Promise<void>

  /** Checkpoint of exactly this size. */
  readCheckpoint(logId: string, size: number): Promise<string | undefined>

  /** Sizes that have a checkpoint, ascending. */
  checkpointSizes(logId: string): Promise<number[]>

  /** Logs that have a segment, or a checkpoint of segments that are gone; sorted. */
  logIds(): Promise<string[]>

  close(): Promise<void>
}
