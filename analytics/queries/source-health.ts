import type { SourceDetailReply, SourceRow } from '../../schemas/api/sources.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import type { QueryScope } from './query-scope.ts'

/** What the log says about a source. */
export type SourceHealth = Pick<
  SourceRow,
  | 'lastEventAt'
  | 'eventsPerMinute'
  | 'usualEventsPerMinute'
  | 'skewMs'
  | 'lagMs'
  | 'mapped'
  | 'unmapped'
  | 'rejected'
  | 'gaps'
  | 'missing'
  | 'silences'
  | 'chainBreaks'
  | 'conflicts'
  | 'numbering'
  | 'lastEpoch'
  | 'lastSeq'
  | 'openStreams'
> & {
  /** The stream that was heard last opened, did not close, and is said to be silent. */
  readonly isSilent: boolean
}

export const unheard: SourceHealth = {
  lastEventAt: null,
  eventsPerMinute: 0,
  usualEventsPerMinute: 0,
  skewMs: null,
  lagMs: null,
  mapped: 0,
  unmapped: 0,
  rejected: 0,
  gaps: 0,
  missing: 0,
  silences: 0,
  chainBreaks: 0,
  conflicts: 0,
  numbering: null,
  lastEpoch: null,
  lastSeq: null,
  openStreams: 0,
  isSilent: false,
}

type Row = Readonly<Record<string, string>>

const recentMinutes = 5
const dayMinutes = 24 * 60
const ago = (seconds: number) =>
  `fromUnixTimestamp64Milli({now_ms:Int64} - ${seconds * 1000}, 'UTC')`
const ofLog = "log_id = {log_id:String} AND source_id != 'sealtrail'"
const ofSource = 'log_id = {log_id:String} AND source_id = {source_id:String}'
const delayMs = 'toUnixTimestamp64Milli(time_recorded) - toUnixTimestamp64Milli(time_occurred)'
/** Sealtrail's own words about a source are no events of it. */
const sent = "source_signal NOT IN ('gap', 'silence')"

/** Health of every source that has a row, by its id. */
export async function sourceHealth(
  client: ColumnarClient,
  scope: QueryScope,
  nowMs: number,
): Promise<ReadonlyMap<string, SourceHealth>> {
  const params = { log_id: scope.logId, now_ms: nowMs }
  const { signal } = scope
  const [totals, delays, streams] = await Promise.all([
    client.query<Row>(
      `SELECT source_id, toString(maxIf(time_recorded, ${sent})) AS last,
  toString(countIf(${sent} AND record_disposition = 'mapped')) AS mapped,
  toString(countIf(record_disposition = 'unmapped')) AS unmapped,
  toString(countIf(record_disposition = 'rejected')) AS rejected,
  toString(countIf(source_signal = 'gap')) AS gaps,
  toString(sumIf(ifNull(source_missing, 0), source_signal = 'gap')) AS missing,
  toString(countIf(source_signal = 'silence')) AS silences,
  toString(countIf(has(record_notes, 'source.prev:mismatch'))) AS breaks,
  toString(countIf(has(record_notes, 'id.conflict'))) AS conflicts,
  toString(countIf(has(record_notes, 'source.seq:late'))) AS late,
  toString(countIf(source_numbering = 'collector')) AS by_collector,
  toString(countIf(source_numbering = 'receiver')) AS by_receiver,
  argMaxIf(source_epoch, leaf_index, source_numbering = 'collector') AS epoch,
  toString(argMaxIf(ifNull(source_seq, 0), leaf_index, source_numbering = 'collector')) AS seq,
  toString(countIf(${sent} AND time_recorded > ${ago(recentMinutes * 60)})) AS recent,
  toString(countIf(${sent} AND time_recorded > ${ago(dayMinutes * 60)})) AS day
FROM observations WHERE ${ofLog} GROUP BY source_id LIMIT 10000`,
      params,
      { signal },
    ),
    client.query<Row>(
      `SELECT source_id, toString(min(${delayMs})) AS least, toString(toInt64(quantile(0.5)(${delayMs}))) AS median
FROM observations WHERE ${ofLog} AND time_recorded > ${ago(3600)} AND time_source IN ('source', 'collector') AND ${sent}
GROUP BY source_id LIMIT 10000`,
      params,
      { signal },
    ),
    client.query<Row>(
      `SELECT source_id, toString(countIf(state IN ('open', 'heartbeat'))) AS open, argMax(state, at) AS newest
FROM (SELECT source_id, argMax(source_signal, leaf_index) AS state, max(leaf_index) AS at FROM observations
  WHERE ${ofLog} AND event_class = 'source' AND source_signal IN ('open', 'heartbeat', 'close', 'silence')
  GROUP BY source_id, source_epoch)
GROUP BY source_id LIMIT 10000`,
      params,
      { signal },
    ),
  ])
  const delayOf = new Map(delays.map((row) => [row['source_id'], row]))
  const streamsOf = new Map(streams.map((row) => [row['source_id'], row]))
  return new Map(
    totals.map((row) => [
      row['source_id'] ?? '',
      readHealth(row, delayOf.get(row['source_id']), streamsOf.get(row['source_id'])),
    ]),
  )
}

function readHealth(row: Row, delay: Row | undefined, streams: Row | undefined): SourceHealth {
  const number = (name: string) => Number(row[name] ?? 0)
  const skewMs = delay === undefined ? null : Number(delay['least'])
  const openStreams = Number(streams?.['open'] ?? 0)
  const numbered = number('by_collector') > 0
  return {
    lastEventAt: readTime(row['last']),
    eventsPerMinute: number('recent') / recentMinutes,
    usualEventsPerMinute: number('day') / dayMinutes,
    skewMs,
    lagMs: skewMs === null ? null : Math.max(0, Number(delay?.['median']) - skewMs),
    mapped: number('mapped'),
    unmapped: number('unmapped'),
    rejected: number('rejected'),
    gaps: number('gaps'),
    missing: Math.max(0, number('missing') - number('late')),
    silences: number('silences'),
    chainBreaks: number('breaks'),
    conflicts: number('conflicts'),
    numbering: numbered
      ? number('by_receiver') > 0
        ? 'both'
        : 'collector'
      : number('by_receiver') > 0
        ? 'receiver'
        : null,
    lastEpoch: numbered ? (row['epoch'] ?? null) : null,
    lastSeq: numbered ? number('seq') : null,
    openStreams,
    isSilent: openStreams === 0 && streams?.['newest'] === 'silence',
  }
}

/** What the page of one source shows beside its {@link SourceHealth}. */
export async function sourceHistory(
  client: ColumnarClient,
  sourceId: string,
  scope: QueryScope,
  nowMs: number,
): Promise<Omit<SourceDetailReply, 'source'>> {
  const hourMs = 3_600_000
  const firstMs = (Math.floor(nowMs / hourMs) - 23) * hourMs
  const params = { log_id: scope.logId, source_id: sourceId, first_ms: firstMs }
  const { signal } = scope
  const [hours, signals, reasons, epochs] = await Promise.all([
    client.query<Row>(
      `SELECT toString(intDiv(toUnixTimestamp64Milli(time_recorded) - {first_ms:Int64}, ${hourMs})) AS hour, toString(count()) AS events
FROM observations WHERE ${ofSource} AND ${sent} AND time_recorded >= fromUnixTimestamp64Milli({first_ms:Int64}, 'UTC')
GROUP BY hour LIMIT 48`,
      params,
      { signal },
    ),
    client.query<Row>(
      `SELECT toString(leaf_index) AS out_index, toString(time_recorded) AS at, source_signal AS name, source_epoch AS epoch,
  toString(source_missing) AS missing, arrayStringConcat(record_notes, '; ') AS note
FROM observations WHERE ${ofSource} AND event_class = 'source' AND source_signal NOT IN ('', 'heartbeat')
ORDER BY leaf_index DESC LIMIT 50`,
      params,
      { signal },
    ),
    client.query<Row>(
      `SELECT record_disposition AS disposition, record_reason AS reason, toString(count()) AS times,
  toString(max(time_recorded)) AS newest, toString(argMax(event_id, leaf_index)) AS newest_id
FROM observations WHERE ${ofSource} AND record_disposition IN ('unmapped', 'rejected')
GROUP BY disposition, reason ORDER BY count() DESC, reason LIMIT 20`,
      params,
      { signal },
    ),
    client.query<Row>(
      `SELECT source_epoch AS epoch, toString(maxIf(ifNull(source_seq, 0), source_numbering = 'collector')) AS seq,
  toString(countIf(source_numbering = 'collector')) AS events,
  toString(greatest(0, toInt64(sumIf(ifNull(source_missing, 0), source_signal = 'gap')) - toInt64(countIf(has(record_notes, 'source.seq:late'))))) AS missing,
  toString(max(time_recorded)) AS newest, argMaxIf(source_signal, leaf_index, source_signal NOT IN ('', 'gap')) AS state
FROM observations WHERE ${ofSource} AND source_epoch != '' GROUP BY source_epoch ORDER BY max(leaf_index) DESC LIMIT 20`,
      params,
      { signal },
    ),
  ])
  const eventsOf = new Map(hours.map((row) => [Number(row['hour']), Number(row['events'])]))
  return {
    hours: Array.from({ length: 24 }, (_, at) => ({
      from: new Date(firstMs + at * hourMs).toISOString(),
      events: eventsOf.get(at) ?? 0,
    })),
    signals: signals.map((row) => ({
      leafIndex: Number(row['out_index']),
      recordedAt: readTime(row['at']) ?? '',
      signal: row['name'] ?? '',
      epoch: row['epoch'] || null,
      missing:
        row['missing'] === null || row['missing'] === undefined ? null : Number(row['missing']),
      note: row['note'] || null,
    })),
    reasons: reasons.map((row) => ({
      disposition: row['disposition'] ?? '',
      reason: row['reason'] ?? '',
      count: Number(row['times']),
      newestAt: readTime(row['newest']) ?? '',
      newestEventId: row['newest_id'] ?? '',
    })),
    epochs: epochs.map((row) => ({
      epoch: row['epoch'] ?? '',
      lastSeq: Number(row['seq']),
      events: Number(row['events']),
      missing: Number(row['missing']),
      lastAt: readTime(row['newest']) ?? '',
      lastSignal: row['state'] || null,
    })),
  }
}

/** The engine knows no absent time: its epoch stands for it. */
function readTime(text: string | undefined): string | null {
  return text === undefined || text.startsWith('1970-01-01') ? null : `${text.replace(' ', 'T')}Z`
}
