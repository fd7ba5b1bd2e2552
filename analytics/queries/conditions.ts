import type { View } from '../../schemas/api/search.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { normaliseTimestamp } from '../../schemas/event/timestamp.ts'
import { parseQuery } from '../../schemas/query/parse-query.ts'
import { type CompiledQuery, compileQuery, namesClass } from './compile-query.ts'
import type { QueryScope } from './query-scope.ts'

/** What Sealtrail itself writes; hidden unless the query asks for a class. */
const selfTraffic = "event_class NOT IN ('access', 'admin', 'tick', 'finding')"

export interface RangeRequest {
  readonly q: string
  readonly from: string
  readonly until: string
  readonly view: View
}

export interface Where extends CompiledQuery {
  /** Table with the right rows: joined calls at their newest version, or all observations. */
  readonly table: string
  readonly explainedQuery: ReturnType<typeof parseQuery>
}

/**
 * Log, time range, query text and view as one condition. Tenant and range stand outside the compiled query, so that
 * no text can widen them.
 */
export function whereOf(request: RangeRequest, scope: QueryScope, nowMs: number): Where {
  const query = parseQuery(request.q)
  const compiled = compileQuery(query, { groups: scope.groups, nowMs })
  const conditions = [
    'log_id = {log_id:String}',
    "time_occurred >= {from:String}::DateTime64(9, 'UTC')",
    "time_occurred < {until:String}::DateTime64(9, 'UTC')",
  ]
  if (request.view === 'events' && !namesClass(query)) conditions.push(selfTraffic)
  conditions.push(compiled.sql)
  return {
    sql: conditions.join(' AND '),
    params: {
      ...compiled.params,
      log_id: scope.logId,
      from: engineTime(request.from, 'from'),
      until: engineTime(request.until, 'until'),
    },
    table: request.view === 'calls' ? 'calls FINAL' : 'observations',
    explainedQuery: query,
  }
}

/** A timestamp as DateTime64(9) text. @throws SealtrailError `REQUEST_INVALID` */
export function engineTime(value: string, name: string): string {
  const normal = normaliseTimestamp(value)
  if (normal === undefined) {
    throw new SealtrailError('REQUEST_INVALID', `${name} is no RFC 3339 time`)
  }
  return normal.replace('T', ' ').replace('Z', '')
}
