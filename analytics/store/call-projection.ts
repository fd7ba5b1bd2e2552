import { setImmediate as nextTurn } from 'node:timers/promises'
import type { LedgerReader } from '../../ledger/committed.ts'
import type { CallChange } from '../../schemas/call.ts'
import { Assembler } from '../fold/assembler.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { callColumns, callRow } from './event-columns.ts'
import { insertToken, names, rowsATurn, writerOf } from './leaf-batch.ts'
import { encodeNativeBlock, type SparseRow } from './native-block.ts'
import { insertUntilDone } from './repeated-insert.ts'

/**
 * Changes of the calls that the fold emitted while it read the leaves [from, until) of a log: all of them, so that the
 * fold may begin again at `until`.
 */
export interface CallBatch {
  readonly logId: string
  readonly from: number
  readonly until: number
  readonly changes: readonly CallChange[]
}

export const callColumnNames: readonly string[] = names(callColumns)

/** A table of calls: the one that people read, which feeds the rollup, or the one that a rebuild fills, which does not. */
export interface CallTable {
  readonly name: string
  readonly writer: string
  readonly feedsRollup: boolean
}

/** Inserts the changes, all or none, once, however often it must be tried. Batches of a log must not overlap. */
export async function insertCalls(
  client: ColumnarClient,
  epoch: string,
  batch: CallBatch,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
  table: CallTable = {
    name: 'calls',
    writer: `calls-${writerOf(batch.logId)}`,
    feedsRollup: true,
  },
): Promise<void> {
  if (batch.changes.length === 0) return
  const { logId, from, until } = batch
  const rows: SparseRow[] = []
  for (const { call, sign } of batch.changes) {
    rows.push(callRow(call, sign, until - 1))
    if (rows.length % rowsATurn === 0) await nextTurn()
  }
  const block = await encodeNativeBlock(callColumns, rows)
  const token = insertToken('calls', epoch, logId, from, until, block.bytes)
  const { name, writer, feedsRollup } = table
  let tries = 0
  await insertUntilDone({
    client,
    writer,
    signal,
    onFailure,
    insert: async () => {
      tries++
      await client.insertBlock(name, block, { token, writer })
      // The try before may have reached the rollup, but not the table that feeds it, or the other way round.
      if (tries > 1 && feedsRollup) await repairRollup(client, logId)
    },
    isStored: async () => {
      if (!(await holdsChangesUpTo(client, name, logId, until))) return false
      if (feedsRollup) await repairRollup(client, logId)
      return true
    },
  })
}

async function holdsChangesUpTo(
  client: ColumnarClient,
  table: string,
  logId: string,
  until: number,
): Promise<boolean> {
  const [row] = await client.query<{ n: string }>(
    `SELECT count() AS n FROM ${table} WHERE log_id = {log_id:String} AND fold_leaf_index = {last:UInt64}`,
    { log_id: logId, last: until - 1 },
  )
  return Number(row?.n) > 0
}

/** Number of leaves whose call changes are surely in the table; the fold repeats what it emits from there on. */
export async function callsCursor(client: ColumnarClient, logId: string): Promise<number> {
  const rows = await client.query<{ n: string; last: string }>(
    'SELECT count() AS n, max(fold_leaf_index) AS last FROM calls WHERE log_id = {log_id:String}',
    { log_id: logId },
  )
  const [row] = rows
  return row === undefined || Number(row.n) === 0 ? 0 : Number(row.last) + 1
}

/**
 * Writes the calls of the leaves [from, until) anew, as the ledger gives them now. One observation is one call, so that
 * no state of the fold from before is needed.
 */
export async function refillCalls(
  client: ColumnarClient,
  reader: LedgerReader,
  epoch: string,
  range: { readonly logId: string; readonly from: number; readonly until: number },
  signal: AbortSignal,
): Promise<void> {
  const { logId, from, until } = range
  await client.command(
    `ALTER TABLE calls DELETE
WHERE log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}`,
    { log_id: logId, from, until },
  )
  const assembler = new Assembler()
  for await (const leaves of reader.read(logId, from, until)) {
    const changes = leaves.flatMap((leaf) => assembler.observe(leaf))
    const batch = { logId, from, until, changes }
    await insertCalls(client, epoch, batch, signal, () => undefined)
  }
  await repairRollup(client, logId)
}

/**
 * Compares the rollup with the calls and fills it anew when they differ, which an engine that was killed between the
 * two leaves. @returns true when it was filled anew.
 */
export async function repairRollup(client: ColumnarClient, logId: string): Promise<boolean> {
  const [row] = await client.query<{ calls: string; rollup: string }>(
    `SELECT (SELECT sum(sign) FROM calls WHERE log_id = {log_id:String}) AS calls,
  (SELECT sum(calls) FROM calls_per_minute WHERE log_id = {log_id:String}) AS rollup`,
    { log_id: logId },
  )
  if (row === undefined || Number(row.calls) === Number(row.rollup)) return false
  await client.command('ALTER TABLE calls_per_minute DELETE WHERE log_id = {log_id:String}', {
    log_id: logId,
  })
  await fillRollup(client, logId, 'calls', 'calls_per_minute')
  return true
}

/** Counts the calls of a log into an empty rollup. */
export function fillRollup(
  client: ColumnarClient,
  logId: string,
  calls: string,
  rollup: string,
): Promise<void> {
  return client.command(
    `INSERT INTO ${rollup}
SELECT log_id, toStartOfMinute(toDateTime(time_occurred, 'UTC')) AS minute, event_class, mcp_server_name,
  gen_ai_tool_name, outcome_status, sum(sign) AS calls
FROM ${calls} WHERE log_id = {log_id:String}
GROUP BY log_id, minute, event_class, mcp_server_name, gen_ai_tool_name, outcome_status
SETTINGS insert_deduplicate = 0`,
    { log_id: logId },
  )
}
