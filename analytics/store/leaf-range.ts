import type { LedgerReader } from '../../ledger/committed.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { encodeBatch, insertBatch } from './leaf-batch.ts'

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
  for await (const leaves of reader.read(logId, from, until)) {
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
