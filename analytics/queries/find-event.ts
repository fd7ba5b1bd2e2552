import type { EventRow } from '../../schemas/api/search.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import { listFields, readRow, rowSelect, type StoredRow } from './event-row.ts'
import type { QueryScope } from './query-scope.ts'
import { attachFindings } from './search-events.ts'

/** One observation as the projection shows it. @throws SealtrailError `NOT_FOUND` */
export async function findEvent(
  client: ColumnarClient,
  eventId: string,
  scope: QueryScope,
): Promise<EventRow> {
  const [row] = await eventsWhere(
    client,
    'event_id = {event_id:String}',
    { event_id: eventId },
    scope,
  )
  if (row === undefined) throw new SealtrailError('NOT_FOUND', `there is no event ${eventId}`)
  return row
}

/** Observations at these leaf indexes, ascending. */
export async function eventsAt(
  client: ColumnarClient,
  leafIndexes: readonly number[],
  scope: QueryScope,
): Promise<EventRow[]> {
  if (leafIndexes.length === 0) return []
  return eventsWhere(
    client,
    'leaf_index IN {indexes:Array(UInt64)}',
    { indexes: [...leafIndexes] },
    scope,
  )
}

async function eventsWhere(
  client: ColumnarClient,
  condition: string,
  params: Readonly<Record<string, unknown>>,
  scope: QueryScope,
): Promise<EventRow[]> {
  const fields = listFields(scope.groups)
  const rows = await client.query<StoredRow>(
    `SELECT ${rowSelect(fields)} FROM observations WHERE log_id = {log_id:String} AND ${condition} ORDER BY leaf_index LIMIT 1000`,
    { ...params, log_id: scope.logId },
    { signal: scope.signal },
  )
  const events = rows.map((row) => readRow(row, fields))
  await attachFindings(client, events, scope)
  return events
}
