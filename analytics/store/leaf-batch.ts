import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CommittedLeaf } from '../../ledger/committed.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { hex, utf8 } from '../../schemas/bytes.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { type Column, observationColumns, writeObservation } from './event-columns.ts'
import { insertUntilDone } from './repeated-insert.ts'
import { RowBinaryWriter } from './row-binary.ts'

/** An insert is cut here; smaller ones only because nothing more was there yet. */
export const maxBatchRows = 8192
export const maxBatchBytes = 16 * 1024 * 1024
/** Rows encoded before whoever waits for an answer gets his turn: about two milliseconds. */
export const rowsATurn = 32

/** Rows of consecutive leaves, encoded once, so that each try sends the same bytes under the same token. */
export interface LeafBatch {
  readonly logId: string
  readonly fromIndex: number
  readonly untilIndex: number
  readonly rows: Uint8Array
  readonly token: string
}

export const observationColumnNames: readonly string[] = names(observationColumns)

export function names(columns: readonly Column[]): string[] {
  return columns.map(({ name }) => name)
}

/**
 * Encodes as many of the leaves as fit into one insert, at least one.
 *
 * The token is SHA-256 over epoch, log, range and row bytes. The epoch is drawn once a run: the engine remembers tokens
 * of rows that were deleted since, and would take the same rows for a repeat and drop them.
 */
export async function encodeBatch(
  epoch: string,
  logId: string,
  leaves: readonly CommittedLeaf[],
): Promise<LeafBatch | undefined> {
  const [first] = leaves
  if (first === undefined) return undefined
  const writer = new RowBinaryWriter()
  let count = 0
  for (const leaf of leaves) {
    writeObservation(writer, leaf)
    count++
    if (count >= maxBatchRows || writer.sizeBytes >= maxBatchBytes) break
    if (count % rowsATurn === 0) await nextTurn()
  }
  const untilIndex = first.index + count
  const rows = writer.written()
  return {
    logId,
    fromIndex: first.index,
    untilIndex,
    rows,
    token: insertToken('observations', epoch, logId, first.index, untilIndex, rows),
  }
}

export function insertToken(
  table: string,
  epoch: string,
  logId: string,
  from: number,
  until: number,
  rows: Uint8Array,
): string {
  return hex(sha256(utf8(JSON.stringify([table, epoch, logId, from, until, hex(sha256(rows))]))))
}

export interface InsertBatchOptions {
  readonly signal?: AbortSignal
  readonly onFailure?: (error: unknown) => void
  readonly giveUpAfterMs?: number
}

/** Puts a batch into the table, once, however often it must be tried. */
export async function insertBatch(
  client: ColumnarClient,
  batch: LeafBatch,
  options: InsertBatchOptions,
): Promise<void> {
  const writer = writerOf(batch.logId)
  await insertUntilDone({
    ...options,
    client,
    writer,
    insert: () =>
      client.insertBinary('observations', observationColumnNames, batch.rows, {
        token: batch.token,
        writer,
      }),
    isStored: () => isStored(client, batch),
  })
}

/** An insert is one part of the table: all of its rows are there, or none. Anything else is cleared away. */
async function isStored(client: ColumnarClient, batch: LeafBatch): Promise<boolean> {
  const { logId, fromIndex, untilIndex } = batch
  const [row] = await client.query<{ n: string }>(
    `SELECT count() AS n FROM observations
WHERE log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}`,
    { log_id: logId, from: fromIndex, until: untilIndex },
  )
  const count = Number(row?.n)
  if (count === untilIndex - fromIndex) return true
  if (count > 0) await deleteRange(client, logId, fromIndex, untilIndex)
  return false
}

/** Deletes rows of leaves [from, until), physically, and waits for it. */
export function deleteRange(
  client: ColumnarClient,
  logId: string,
  from: number,
  until: number,
): Promise<void> {
  return client.command(
    `ALTER TABLE observations DELETE
WHERE log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}`,
    { log_id: logId, from, until },
  )
}

/** Name of the one writer of a log's rows. */
export function writerOf(logId: string): string {
  return `projector-${hex(sha256(utf8(logId))).slice(0, 32)}`
}
