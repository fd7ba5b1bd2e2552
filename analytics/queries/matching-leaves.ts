import { SealtrailError } from '../../schemas/errors.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import { whereOf } from './conditions.ts'
import type { QueryScope } from './query-scope.ts'

/** Most rows that one export may hold; above it the range must be cut. */
const maxMatches = 1_000_000

/** Seconds that the question may take: an export is worth more than a page of rows. */
const maxSeconds = 120

/**
 * Leaf indexes of all observations that match, ascending.
 *
 * @throws SealtrailError `QUERY_TOO_EXPENSIVE` when they are more than one export holds: less is never all.
 */
export async function matchingLeaves(
  client: ColumnarClient,
  request: { readonly q: string; readonly from: string; readonly until: string },
  scope: QueryScope,
): Promise<number[]> {
  const where = whereOf({ ...request, view: 'events' }, scope, Date.now())
  const rows = await client.query<{ leaf: string }>(
    `SELECT toString(leaf_index) AS leaf FROM ${where.table} WHERE ${where.sql} ORDER BY leaf_index LIMIT {limit:UInt32}`,
    { ...where.params, limit: maxMatches + 1 },
    {
      signal: scope.signal,
      limits: { maxExecutionSeconds: maxSeconds, maxResultRows: maxMatches + 1 },
    },
  )
  if (rows.length > maxMatches) {
    throw new SealtrailError(
      'QUERY_TOO_EXPENSIVE',
      `more than ${maxMatches} records match, and one export holds no more`,
      { hint: 'Export shorter time ranges, one after the other.' },
    )
  }
  return rows.map((row) => Number(row.leaf))
}
