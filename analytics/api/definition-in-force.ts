import type { EventDetail } from '../../schemas/api/event-detail.ts'
import type { EventRow } from '../../schemas/api/search.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { findDefinitionLeaf } from '../queries/find-definition.ts'
import type { QueryScope } from '../queries/query-scope.ts'
import type { ApiContext } from './api-context.ts'

/** Definition of the tool that was in force at a call, from the first tool list that carried its hash. */
export async function definitionInForce(
  context: ApiContext,
  row: EventRow,
  scope: QueryScope,
): Promise<EventDetail['definition']> {
  const hash = row.event['tool.definition_hash']
  const tool = row.event['gen_ai.tool.name']
  if (hash === undefined || tool === undefined || !scope.groups.has('text')) return null
  const leafIndex = await findDefinitionLeaf(context.columnar, hash, scope)
  if (leafIndex === undefined) return null
  const leaf = await context.reader.readOne(row.logId, leafIndex)
  const definitions = readDefinitions(leaf?.event.attributes)
  const definition = definitions.find((each) => nameOf(each) === tool)
  if (leaf === undefined || definition === undefined) return null
  return {
    hash,
    json: canonicalJson(definition),
    firstSeenEventId: leaf.event['event.id'],
    firstSeenAt: leaf.event['time.occurred'],
  }
}

function readDefinitions(attributes: unknown): JsonValue[] {
  if (typeof attributes !== 'object' || attributes === null || !('definitions' in attributes))
    return []
  return Array.isArray(attributes.definitions) ? attributes.definitions : []
}

function nameOf(definition: JsonValue): unknown {
  return typeof definition === 'object' && definition !== null && 'name' in definition
    ? definition.name
    : undefined
}
