import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { heldBytes } from '../../ledger/held-bytes.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { encodeBatch, insertBatch, maxBatchRows } from './leaf-batch.ts'

export interface FillOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly logId: string
  readonly from: number
  readonly until: number
  /** Random for each filling: rows that were deleted must not be taken for a repeat. */
  readonly epoch: string
  readonly onProgress?: (untilIndex: number) => void
  readonly signal?: AbortSignal
}

const fillRetryMs = 30_000

/** Inserts rows of leaves [from, until) from the ledger. The range must be empty in the table. */
export async function fillRange(options: FillOptions): Promise<void> {
  const { client, reader, logId, from, until, epoch, signal } = options
  for await (const leaves of readRuns(reader, logId, from, until)) {
    for (let at = 0; at < leaves.length; ) {
      signal?.throwIfAborted()
      const batch = await encodeBatch(epoch, logId, leaves.slice(at))
      if (batch === undefined) break
      await insertBatch(client, batch, {
        giveUpAfterMs: fillRetryMs,
        ...(signal === undefined ? {} : { signal }),
      })
      at += batch.untilIndex - batch.fromIndex
      options.onProgress?.(batch.untilIndex)
    }
  }
}

const runBytes = 64 * 1024 * 1024

/**
 * Leaves of [from, until) in runs that fill an insert. The ledger gives them by segments, of which a quiet log has one
 * for each event.
 */
export async function* readRuns(
  reader: LedgerReader,
  logId: string,
  from: number,
  until: number,
): AsyncIterable<readonly CommittedLeaf[]> {
  let run: CommittedLeaf[] = []
  let sizeBytes = 0
  for await (const leaves of reader.read(logId, from, until)) {
    for (const leaf of leaves) {
      run.push(leaf)
      sizeBytes += heldBytes(leaf.event)
      if (run.length < maxBatchRows && sizeBytes < runBytes) continue
      yield run
      run = []
      sizeBytes = 0
    }
  }
  if (run.length > 0) yield run
}
