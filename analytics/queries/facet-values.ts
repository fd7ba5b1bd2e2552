import type { FacetReply, FacetRequest } from '../../schemas/api/search.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { type EventField, eventFields, isEventField } from '../../schemas/event/fields.ts'
import { queryAliases } from '../../schemas/query/query.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import { columnOf } from '../store/event-columns.ts'
import { whereOf } from './conditions.ts'
import type { QueryScope } from './query-scope.ts'

/** Most frequent values of a field within a query, exact. */
export async function facetValues(
  client: ColumnarClient,
  request: FacetRequest,
  scope: QueryScope,
): Promise<FacetReply> {
  const field = facetField(request.field, scope)
  const where = whereOf(request, scope, Date.now())
  const column = columnOf(field)
  const value = eventFields[field].type === 'list' ? `arrayJoin(${column})` : `toString(${column})`
  const contains =
    request.contains === undefined || request.contains === ''
      ? ''
      : ' AND positionCaseInsensitiveUTF8(value, {contains:String}) > 0'
  const rows = await client.query<{ value: string; n: string }>(
    `SELECT value, toString(count()) AS n FROM (
  SELECT ${value} AS value FROM ${where.table} WHERE ${where.sql} AND has(present, {field:String})
) WHERE value != ''${contains} GROUP BY value ORDER BY count() DESC, value LIMIT 50`,
    { ...where.params, field, ...(contains === '' ? {} : { contains: request.contains }) },
    { signal: scope.signal },
  )
  return {
    field,
    values: rows.map((row) => ({ value: row.value, count: Number(row.n) })),
    sampled: false,
  }
}

/** Only short values make facets; long texts and JSON do not. */
function facetField(name: string, scope: QueryScope): EventField {
  const field = Object.hasOwn(queryAliases, name) ? queryAliases[name]?.[0] : name
  if (field === undefined || !isEventField(field)) {
    throw new SealtrailError('QUERY_INVALID', `there is no field ${name}`)
  }
  const { type, group } = eventFields[field]
  if (type === 'json' || type === 'string') {
    throw new SealtrailError('QUERY_INVALID', `${field} holds texts and makes no facet`)
  }
  if (group !== 'clear' && !scope.groups.has(group)) {
    throw new SealtrailError('PERMISSION_DENIED', `your role may not ask about ${field}`)
  }
  return field
}
