import type { ColumnarClient } from '../store/columnar-client.ts'
import { whereOf } from './conditions.ts'
import type { QueryScope } from './query-scope.ts'

/** Most rows that one export may hold; above it the range must be cut. */
const maxMatches = 1_000_000

/** Leaf indexes of all observations that match, ascending. */
export async function matchingLeaves(
  client: ColumnarClient,
  request: { readonly q: string; readonly from: string; readonly until: string },
  scope: QueryScope,
): Promise<number[]> {
  const where = whereOf({ ...request, view: 'events' }, scope, Date.now())
  const rows = await client.query<{ leaf: string }>(
    `SELECT toString(leaf_index) AS leaf FROM ${where.table} WHERE ${where.sql} ORDER BY leaf_index LIMIT {limit:UInt32}`,
    { ...where.params, limit: maxMatches },
    { signal: scope.signal, readOnly: false },
  )
  return rows.map((row) => Number(row.leaf))
}
