import type { RecordedEvent } from '../schemas/event/event.ts'

/** A leaf that is durable, with its event as far as it can be opened. */
export interface CommittedLeaf {
  readonly logId: string
  readonly index: number
  readonly leaf: Uint8Array
  readonly leafHash: Uint8Array
  readonly event: RecordedEvent
  /** `erased`: sealed groups are gone for good; the event holds its clear fields only. */
  readonly opened: 'full' | 'erased'
}

/** A segment that was just committed, in memory. */
export interface CommittedSegment {
  readonly logId: string
  readonly fromIndex: number
  readonly leaves: readonly CommittedLeaf[]
  readonly treeSize: number
  readonly root: Uint8Array
}

/**
 * Told of every commit, in order, after it is durable and before the next one is written. Must neither throw nor
 * block: an observer that lags keeps its own cursor and reads the ledger.
 */
export type CommitObserver = (segment: CommittedSegment) => void

/** Reads the log with everything opened that can be opened. */
export interface LedgerReader {
  size(logId: string): Promise<number>
  logIds(): Promise<string[]>
  /** Leaves of [from, until), in order, in chunks of whole segments cut to the range. */
  read(logId: string, from: number, until: number): AsyncIterable<readonly CommittedLeaf[]>
  readOne(logId: string, index: number): Promise<CommittedLeaf | undefined>
}
