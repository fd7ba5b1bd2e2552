import { randomUUID } from 'node:crypto'
import type { LedgerReader } from '../../ledger/committed.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { writerOf } from './leaf-batch.ts'
import { fillRange } from './leaf-range.ts'

export interface RebuildOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  /** One log; all of them, and rows of logs that the ledger does not know, when absent. */
  readonly logId?: string
  readonly onProgress?: (progress: RebuildProgress) => void
  readonly signal?: AbortSignal
}

export interface RebuildProgress {
  readonly logId: string
  readonly done: number
  readonly total: number
}

const tables = ['observations', 'calls', 'calls_per_minute'] as const

/**
 * Empties the projection and fills it from the ledger. No projector may run on these logs meanwhile. Calls are emptied
 * only: the fold finds its cursor at 0 and emits them again.
 */
export async function rebuild(options: RebuildOptions): Promise<void> {
  const { client, reader } = options
  const logIds = options.logId === undefined ? await reader.logIds() : [options.logId]
  for (const logId of logIds) await client.fence(writerOf(logId))
  for (const table of tables) {
    if (options.logId === undefined) await client.command(`TRUNCATE TABLE ${table} SYNC`)
    else {
      await client.command(`ALTER TABLE ${table} DELETE WHERE log_id = {log_id:String}`, {
        log_id: options.logId,
      })
    }
  }
  for (const logId of logIds) {
    const total = await reader.size(logId)
    options.onProgress?.({ logId, done: 0, total })
    await fillRange({
      client,
      reader,
      logId,
      from: 0,
      until: total,
      epoch: randomUUID(),
      onProgress: (done) => options.onProgress?.({ logId, done, total }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  }
}
