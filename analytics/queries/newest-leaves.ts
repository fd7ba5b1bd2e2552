import { z } from 'zod'
import type { ColumnarClient } from '../store/columnar-client.ts'

const Row = z.object({ leaf_index: z.coerce.number() })

/** Leaf indexes of the newest records of a source, or of all sources of a log, newest first. */
export async function newestLeaves(
  client: ColumnarClient,
  scope: {
    readonly logId: string
    readonly sourceId: string | undefined
    readonly signal: AbortSignal
  },
  limit: number,
): Promise<number[]> {
  const ofSource =
    scope.sourceId === undefined
      ? "AND source_id != 'sealtrail'"
      : 'AND source_id = {source_id:String}'
  const rows = await client.query(
    `SELECT toString(leaf_index) AS leaf_index FROM observations WHERE log_id = {log_id:String} ${ofSource} ORDER BY leaf_index DESC LIMIT {limit:UInt32}`,
    {
      log_id: scope.logId,
      limit,
      ...(scope.sourceId === undefined ? {} : { source_id: scope.sourceId }),
    },
    { signal: scope.signal },
  )
  return rows.map((row) => Row.parse(row).leaf_index)
}
