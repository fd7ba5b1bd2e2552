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

/** Inserts rows of leaves [from, until) from the ledger. The range must be empty in the table. */
export async function fillRange(options: FillOptions): Promise<void> {
  const { client, reader, logId, from, until, epoch, signal } = options
  for await (const leaves of reader.read(logId, from, until)) {
    for (let at = 0; at < leaves.length; ) {
      signal?.throwIfAborted()
      const batch = await encodeBatch(epoch, logId, leaves.slice(at))
      if (batch === undefined) break
      await insertBatch(client, batch, signal)
      at += batch.untilIndex - batch.fromIndex
      options.onProgress?.(batch.untilIndex)
    }
  }
}

/** Deletes rows of leaves [from, until), physically, and waits for it. */
export function deleteRange(
  client: ColumnarClient,
  logId: string,
  from: number,
  until: number,
): Promise<void> {
  return client.command(
    'ALTER TABLE observations DELETE WHERE log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}',
    { log_id: logId, from, until },
  )
}
