import type { HistogramReply, HistogramRequest } from '../../schemas/api/search.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  normaliseTimestamp,
  timestampFromMs,
  timestampToMs,
} from '../../schemas/event/timestamp.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import { whereOf } from './conditions.ts'
import type { QueryScope } from './query-scope.ts'

/** Bucket widths in seconds that people can read off an axis. */
const widthsSeconds = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
  172_800, 604_800, 1_209_600, 2_592_000,
]
const targetBuckets = 120

/** Smallest readable width that cuts the range into at most 120 buckets. */
export function bucketWidthSeconds(rangeSeconds: number): number {
  const widest = widthsSeconds.at(-1) ?? 86_400
  return (
    widthsSeconds.find((width) => rangeSeconds / width <= targetBuckets) ??
    Math.ceil(rangeSeconds / targetBuckets / widest) * widest
  )
}

const outcomeOrder = [
  'success',
  'input_required',
  'cancelled',
  'timeout',
  'unknown',
  'tool_error',
  'protocol_error',
  'denied',
]

/** Counts over the whole range, also where there is nothing, stacked by outcome (calls) or class (events). */
export async function histogram(
  client: ColumnarClient,
  request: HistogramRequest,
  scope: QueryScope,
): Promise<HistogramReply> {
  const where = whereOf(request, scope, Date.now())
  const fromMs = instantMs(request.from, 'from')
  const untilMs = instantMs(request.until, 'until')
  if (untilMs <= fromMs) throw new SealtrailError('REQUEST_INVALID', 'until must be after from')
  const bucketSeconds = bucketWidthSeconds((untilMs - fromMs) / 1000)
  const key = request.view === 'calls' ? "ifNull(outcome_status, 'unknown')" : 'event_class'
  const rows = await client.query<{ at: string; key: string; n: string }>(
    `SELECT toString(intDiv(toUnixTimestamp(time_occurred), {width:UInt32}) * {width:UInt32}) AS at,
  if(${key} = '', 'unknown', ${key}) AS key, toString(count()) AS n
FROM ${where.table} WHERE ${where.sql} GROUP BY at, key`,
    { ...where.params, width: bucketSeconds },
    { signal: scope.signal },
  )
  const counts = new Map<number, Record<string, number>>()
  const seen = new Set<string>()
  for (const row of rows) {
    seen.add(row.key)
    const at = Number(row.at)
    const bucket = counts.get(at) ?? {}
    bucket[row.key] = Number(row.n)
    counts.set(at, bucket)
  }
  const first = Math.floor(fromMs / 1000 / bucketSeconds) * bucketSeconds
  const buckets: HistogramReply['buckets'] = []
  for (let at = first; at * 1000 < untilMs; at += bucketSeconds) {
    buckets.push({ at: timestampFromMs(at * 1000), counts: counts.get(at) ?? {} })
  }
  return { bucketSeconds, series: orderSeries(seen), buckets }
}

function orderSeries(seen: ReadonlySet<string>): string[] {
  const rank = (key: string) => {
    const at = outcomeOrder.indexOf(key)
    return at === -1 ? outcomeOrder.length : at
  }
  return [...seen].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}

function instantMs(value: string, name: string): number {
  const normal = normaliseTimestamp(value)
  if (normal === undefined)
    throw new SealtrailError('REQUEST_INVALID', `${name} is no RFC 3339 time`)
  return timestampToMs(normal)
}
