import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CommittedLeaf } from '../../ledger/committed.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { hex, utf8 } from '../../schemas/bytes.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { type Column, observationColumns, observationRow } from './event-columns.ts'
import { encodeNativeBlock, type NativeBlock, type SparseRow } from './native-block.ts'
import { insertUntilDone } from './repeated-insert.ts'

/** An insert is cut here; smaller ones only because nothing more was there yet. */
export const maxBatchRows = 32_768
/** Of what the rows hold, roughly. */
export const maxBatchBytes = 32 * 1024 * 1024
/** Rows encoded before whoever waits for an answer gets his turn: about two milliseconds. */
export const rowsATurn = 32

/** Rows of consecutive leaves, encoded once, so that each try sends the same bytes under the same token. */
export interface LeafBatch {
  readonly logId: string
  readonly fromIndex: number
  readonly untilIndex: number
  readonly block: NativeBlock
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
  const rows: SparseRow[] = []
  let sizeBytes = 0
  for (const leaf of leaves) {
    const row = observationRow(leaf)
    rows.push(row)
    sizeBytes += rowBytes(row)
    if (rows.length >= maxBatchRows || sizeBytes >= maxBatchBytes) break
    if (rows.length % rowsATurn === 0) await nextTurn()
  }
  const untilIndex = first.index + rows.length
  const block = await encodeNativeBlock(observationColumns, rows)
  return {
    logId,
    fromIndex: first.index,
    untilIndex,
    block,
    token: insertToken('observations', epoch, logId, first.index, untilIndex, block.bytes),
  }
}

/** What the texts of a row take, roughly. */
function rowBytes({ values }: SparseRow): number {
  let bytes = 0
  for (const value of values) {
    if (typeof value === 'string') bytes += value.length
    else if (Array.isArray(value)) {
      for (const item of value) bytes += typeof item === 'string' ? item.length : 8
    } else bytes += 8
  }
  return bytes
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

/** A table of observations: the one that people read, or the one that a rebuild fills. */
export interface ObservationTable {
  readonly name: string
  /** Who inserts into it: {@link ColumnarClient.fence} ends nobody else. */
  readonly writer: string
}

export interface InsertBatchOptions {
  /** The table that people read when absent. */
  readonly table?: ObservationTable
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
  const { name, writer } = options.table ?? {
    name: 'observations',
    writer: writerOf(batch.logId),
  }
  await insertUntilDone({
    ...options,
    client,
    writer,
    insert: () => client.insertBlock(name, batch.block, { token: batch.token, writer }),
    isStored: () => isStored(client, name, batch),
  })
}

/** An insert is one part of the table: all of its rows are there, or none. Anything else is cleared away. */
async function isStored(client: ColumnarClient, table: string, batch: LeafBatch): Promise<boolean> {
  const { logId, fromIndex, untilIndex } = batch
  const [row] = await client.query<{ n: string }>(
    `SELECT count() AS n FROM ${table}
WHERE log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}`,
    { log_id: logId, from: fromIndex, until: untilIndex },
  )
  const count = Number(row?.n)
  if (count === untilIndex - fromIndex) return true
  if (count > 0) await deleteRange(client, logId, fromIndex, untilIndex, table)
  return false
}

/** Deletes rows of leaves [from, until), physically, and waits for it. */
export function deleteRange(
  client: ColumnarClient,
  logId: string,
  from: number,
  until: number,
  table = 'observations',
): Promise<void> {
  return client.command(
    `ALTER TABLE ${table} DELETE
WHERE log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}`,
    { log_id: logId, from, until },
  )
}

/** Name of the one writer of a log's rows. */
export function writerOf(logId: string): string {
  return `projector-${hex(sha256(utf8(logId))).slice(0, 32)}`
}
