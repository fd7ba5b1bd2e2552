import type { LedgerReader } from '../../ledger/committed.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { deleteRange } from './leaf-batch.ts'
import { fillRange } from './leaf-range.ts'

/** Leaves a block, for everything that compares the table with the ledger. */
export const blockLeaves = 8192

export interface ProjectedPrefix {
  /** Rows [0, until) are there, once each. */
  readonly until: number
  /** Blocks below that are not what they should be: rows missing or doubled. */
  readonly brokenBlocks: readonly number[]
}

/**
 * How far the table reaches. Count and sum of the leaf indexes of each block tell holes and doubles of accidents;
 * whether the rows say what the ledger says, and rows beyond its `size` leaves, are the question of reconcile.ts.
 */
export async function projectedPrefix(
  client: ColumnarClient,
  logId: string,
  size: number,
): Promise<ProjectedPrefix> {
  const rows = await client.query<{ block: string; n: string; total: string; highest: string }>(
    `SELECT intDiv(leaf_index, {size:UInt64}) AS block, count() AS n,
  sum(leaf_index - block * {size:UInt64}) AS total, max(leaf_index) AS highest
FROM observations WHERE log_id = {log_id:String} AND leaf_index < {end:UInt64} GROUP BY block ORDER BY block`,
    { log_id: logId, size: blockLeaves, end: size },
  )
  const brokenBlocks: number[] = []
  let next = 0
  let until = 0
  for (const [at, row] of rows.entries()) {
    const block = Number(row.block)
    for (; next < block; next++) brokenBlocks.push(next)
    next = block + 1
    const last = at === rows.length - 1
    const expected = last ? Number(row.highest) - block * blockLeaves + 1 : blockLeaves
    const whole =
      Number(row.n) === expected && Number(row.total) === ((expected - 1) * expected) / 2
    if (!whole) brokenBlocks.push(block)
    until = block * blockLeaves + expected
  }
  return { until, brokenBlocks }
}

/**
 * Finds how far the table reaches and refills blocks with holes or doubles, which an end in the middle of a repair
 * leaves. @returns rows [0, returned) are there, once each.
 */
export async function repairPrefix(
  client: ColumnarClient,
  reader: LedgerReader,
  logId: string,
  epoch: string,
  onRepair: (block: number) => void,
  signal?: AbortSignal,
): Promise<number> {
  const size = await reader.size(logId)
  const { until, brokenBlocks } = await projectedPrefix(client, logId, size)
  for (const block of brokenBlocks) {
    onRepair(block)
    const from = block * blockLeaves
    const blockUntil = Math.min(from + blockLeaves, until)
    await deleteRange(client, logId, from, blockUntil)
    await fillRange({
      client,
      reader,
      logId,
      from,
      until: blockUntil,
      epoch,
      ...(signal === undefined ? {} : { signal }),
    })
  }
  return until
}
