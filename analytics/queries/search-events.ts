import { z } from 'zod'
import type { SearchReply, SearchRequest } from '../../schemas/api/search.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { explainQuery } from '../../schemas/query/explain-query.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import { engineTime, whereOf } from './conditions.ts'
import { listFields, readRow, rowSelect, type StoredRow } from './event-row.ts'
import type { QueryScope } from './query-scope.ts'

const Cursor = z.tuple([z.string().max(40), z.string().regex(/^\d{1,16}$/)])

/** Rows of a query, newest first, keyset-paged by (occurred time, leaf index), with the total of the whole range. */
export async function searchEvents(
  client: ColumnarClient,
  request: SearchRequest,
  scope: QueryScope,
): Promise<SearchReply> {
  const startedAtMs = performance.now()
  const where = whereOf(request, scope, Date.now())
  const fields = listFields(scope.groups)
  const after = request.cursor === undefined ? undefined : readCursor(request.cursor)
  const paging =
    after === undefined
      ? ''
      : " AND (time_occurred, leaf_index) < ({after_time:String}::DateTime64(9, 'UTC'), {after_index:UInt64})"
  const [rows, totals] = await Promise.all([
    client.query<StoredRow>(
      `SELECT ${rowSelect(fields)} FROM ${where.table} WHERE ${where.sql}${paging} ORDER BY time_occurred DESC, leaf_index DESC LIMIT {limit:UInt32}`,
      {
        ...where.params,
        limit: request.limit + 1,
        ...(after === undefined ? {} : { after_time: after[0], after_index: after[1] }),
      },
      { signal: scope.signal },
    ),
    client.query<{ total: string }>(
      `SELECT toString(count()) AS total FROM ${where.table} WHERE ${where.sql}`,
      where.params,
      { signal: scope.signal },
    ),
  ])
  const shown = rows.slice(0, request.limit).map((row) => readRow(row, fields))
  await attachFindings(client, shown, scope)
  const last = shown.at(-1)
  const more = rows.length > request.limit && last !== undefined
  return {
    rows: shown,
    next: more ? cursorOf(last.event['time.occurred'] ?? '', last.leafIndex) : null,
    total: Number(totals[0]?.total ?? 0),
    elapsedMs: Math.round((performance.now() - startedAtMs) * 10) / 10,
    rowsRead: rows.length,
    explained: explainQuery(where.explainedQuery),
  }
}

/** Names on each row the findings that use it as evidence. */
export async function attachFindings(
  client: ColumnarClient,
  rows: { leafIndex: number; findings: string[] }[],
  scope: QueryScope,
): Promise<void> {
  if (rows.length === 0) return
  const found = await client.query<{ finding_id: string; out_evidence: string[] }>(
    `SELECT finding_id, arrayMap(x -> toString(x), evidence) AS out_evidence FROM findings
WHERE log_id = {log_id:String} AND hasAny(evidence, {indexes:Array(UInt64)}) LIMIT 10000`,
    { log_id: scope.logId, indexes: rows.map((row) => row.leafIndex) },
    { signal: scope.signal },
  )
  const byLeaf = new Map<number, string[]>()
  for (const { finding_id, out_evidence } of found) {
    for (const index of out_evidence.map(Number)) {
      byLeaf.set(index, [...(byLeaf.get(index) ?? []), finding_id])
    }
  }
  for (const row of rows) row.findings = byLeaf.get(row.leafIndex) ?? []
}

function cursorOf(occurred: string, leafIndex: number): string {
  return Buffer.from(JSON.stringify([occurred, String(leafIndex)])).toString('base64url')
}

function readCursor(cursor: string): [string, string] {
  try {
    const json: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    const [time, leafIndex] = Cursor.parse(json)
    return [engineTime(time, 'the time of the cursor'), leafIndex]
  } catch (cause) {
    throw new SealtrailError('REQUEST_INVALID', 'the cursor is not one of ours', { cause })
  }
}
