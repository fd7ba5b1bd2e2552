import type { RecordedEvent } from '../../schemas/event/event.ts'
import type { EventField } from '../../schemas/event/fields.ts'
import { byKey, cutText } from './flatten-json.ts'

/** Text of an event beyond this is not found by words; it is still stored and shown. */
export const maxSearchChars = 262_144

/**
 * Fields whose words a free-text search finds. Hashes are left out: each would be a word of its own in the index.
 */
export const searchedFields: readonly EventField[] = [
  'gen_ai.tool.name',
  'tool.exposed_name',
  'mcp.server.name',
  'mcp.server.url',
  'mcp.resource.uri',
  'mcp.method.name',
  'gen_ai.prompt.name',
  'user.id',
  'user.name',
  'user.email',
  'user.groups',
  'mcp.client.id',
  'mcp.client.name',
  'gen_ai.agent.id',
  'gen_ai.agent.name',
  'gen_ai.conversation.id',
  'host.name',
  'os.user.name',
  'client.address',
  'source.id',
  'trace_id',
  'request.id',
  'workflow.id',
  'auth.scopes.requested',
  'auth.scopes.granted',
  'auth.scopes.required',
  'auth.challenge.error',
  'error.type',
  'error.message',
  'outcome.reason',
  'record.reason',
  'admin.action',
  'admin.target',
  'admin.actor',
  'admin.details',
  'finding.detector',
  'finding.sentence',
  'gen_ai.tool.call.arguments',
  'gen_ai.tool.call.result',
  'attributes',
]

/**
 * Lower-case text of an event, one value a line, for the token index. The raw record stands in only where nothing was
 * mapped from it.
 */
export function searchText(event: RecordedEvent): string {
  const parts: string[] = []
  const room = { chars: maxSearchChars }
  for (const field of searchedFields) collect(event[field], parts, room)
  if (event['record.disposition'] !== 'mapped') collect(event['raw.record'], parts, room)
  return parts.join('\n').toLowerCase()
}

function collect(value: unknown, parts: string[], room: { chars: number }): void {
  if (value === undefined || value === null || room.chars <= 0) return
  if (typeof value === 'object') {
    if (Array.isArray(value)) {
      for (const item of value) collect(item, parts, room)
    } else {
      // In canonical order: a row must not depend on how the source ordered its keys, which the ledger does not keep.
      for (const [key, item] of Object.entries(value).sort(byKey)) {
        collect(key, parts, room)
        collect(item, parts, room)
      }
    }
    return
  }
  const text = cutText(String(value), room.chars)
  parts.push(text)
  room.chars -= text.length + 1
}

/**
 * Words of a text as the token index holds them: runs of ASCII letters, digits and everything beyond ASCII
 * (ClickHouse's `splitByNonAlpha`; the underscore separates). `hasToken` refuses a needle with a separator in it.
 */
export function searchTokens(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9\u0080-\uffff]+/g) ?? []
}
