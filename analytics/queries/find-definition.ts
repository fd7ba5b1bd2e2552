import type { ColumnarClient } from '../store/columnar-client.ts'
import type { QueryScope } from './query-scope.ts'

/** Leaf of the first tool list that carried a definition. */
export async function findDefinitionLeaf(
  client: ColumnarClient,
  definitionHash: string,
  scope: QueryScope,
): Promise<number | undefined> {
  const rows = await client.query<{ leaf: string }>(
    `SELECT toString(min(leaf_index)) AS leaf FROM observations
WHERE log_id = {log_id:String} AND event_class = 'tool_list' AND position(tool_list, {hash:String}) > 0
HAVING count() > 0`,
    { log_id: scope.logId, hash: definitionHash },
    { signal: scope.signal },
  )
  const leaf = rows[0]?.leaf
  return leaf === undefined ? undefined : Number(leaf)
}
