import type { SourceRow } from '../../schemas/api/sources.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import type { QueryScope } from './query-scope.ts'

type Counts = Pick<SourceRow, 'lastEventAt' | 'mapped' | 'unmapped' | 'rejected' | 'gaps'>

/** What each source delivered, by disposition. */
export async function sourceCounts(
  client: ColumnarClient,
  scope: QueryScope,
): Promise<ReadonlyMap<string, Counts>> {
  const rows = await client.query<Record<string, string>>(
    `SELECT source_id, toString(max(time_recorded)) AS last,
  toString(countIf(record_disposition = 'mapped')) AS mapped,
  toString(countIf(record_disposition = 'unmapped')) AS unmapped,
  toString(countIf(record_disposition = 'rejected')) AS rejected,
  toString(countIf(source_signal = 'gap')) AS gaps
FROM observations WHERE log_id = {log_id:String} AND source_id != 'sealtrail' GROUP BY source_id LIMIT 10000`,
    { log_id: scope.logId },
    { signal: scope.signal },
  )
  return new Map(
    rows.map((row) => [
      row['source_id'] ?? '',
      {
        lastEventAt: row['last'] === undefined ? null : `${row['last'].replace(' ', 'T')}Z`,
        mapped: Number(row['mapped'] ?? 0),
        unmapped: Number(row['unmapped'] ?? 0),
        rejected: Number(row['rejected'] ?? 0),
        gaps: Number(row['gaps'] ?? 0),
      },
    ]),
  )
}
