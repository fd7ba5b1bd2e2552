import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { isJsonObject } from '../mappings/mapping.ts'
import { decodeOtlpRecord } from '../mappings/otlp-decode.ts'
import type { ReceivedRecord } from './received-record.ts'
import type { RecordList } from './record-list.ts'
import { arrayElements, type Member, objectMembers, type Slice } from './scan-json.ts'

const layouts = {
  log: { resources: 'resourceLogs', scopes: 'scopeLogs', records: 'logRecords', one: 'logRecord' },
  span: { resources: 'resourceSpans', scopes: 'scopeSpans', records: 'spans', one: 'span' },
} as const

/** Members of an export request; metrics are not stored. */
const exportMembers: ReadonlySet<string> = new Set([
  'resourceLogs',
  'resourceSpans',
  'resourceMetrics',
])

/** True for a body or record that is an OTLP export request of logs or traces. */
export function isOtlpExport(value: JsonValue): boolean {
  return isJsonObject(value) && ('resourceLogs' in value || 'resourceSpans' in value)
}

/**
 * Records of an OTLP/JSON export request (valid JSON text, an object). Each is kept as
 * `{"resource", "scope", "logRecord"|"span"}` with the bytes that were sent. What stands where records or their groups
 * should, and is none, becomes a record that is kept as rejected.
 *
 * @throws SealtrailError `BODY_TOO_LARGE`
 */
export function decodeOtlpRecords(text: string, list: RecordList): void {
  const members = objectMembers(text, 0)
  for (const signal of ['log', 'span'] as const) {
    const layout = layouts[signal]
    for (const ofResource of groupsOf(text, members, layout.resources, list)) {
      const resource = memberText(text, ofResource, 'resource')
      for (const ofScope of groupsOf(text, ofResource, layout.scopes, list)) {
        const scope = memberText(text, ofScope, 'scope')
        for (const { from, until } of elementsOf(text, ofScope, layout.records, list)) {
          const chars = resource.length + scope.length + until - from
          list.add(chars, () =>
            readRecord(signal, layout.one, resource, scope, text.slice(from, until)),
          )
        }
      }
    }
  }
  for (const member of members) {
    if (exportMembers.has(member.key)) continue
    reject(text, member, 'holds a member that an OTLP export has not', list)
  }
}

function readRecord(
  signal: 'log' | 'span',
  name: string,
  resource: string,
  scope: string,
  record: string,
): ReceivedRecord {
  const text = `{${resource},${scope},"${name}":${record}}`
  const value: JsonValue = JSON.parse(text)
  const inner = isJsonObject(value) ? value[name] : undefined
  if (!isJsonObject(value) || !isJsonObject(inner)) {
    return {
      readable: false,
      bytes: Buffer.from(text),
      code: 'RECORD_INVALID',
      reason: `${name} must be an object`,
    }
  }
  return {
    readable: true,
    text,
    value,
    otlp: decodeOtlpRecord(signal, value.resource, value.scope, inner),
  }
}

/** Members of each object in the list under a key. */
function groupsOf(
  text: string,
  members: readonly Member[],
  key: string,
  list: RecordList,
): Member[][] {
  return elementsOf(text, members, key, list).flatMap((element) => {
    if (text[element.from] === '{') return [objectMembers(text, element.from)]
    reject(text, { key, ...element }, `${key} must hold objects`, list)
    return []
  })
}

/** Elements of the list under a key; `null` is the empty list of proto JSON. */
function elementsOf(
  text: string,
  members: readonly Member[],
  key: string,
  list: RecordList,
): Slice[] {
  return members.flatMap((member) => {
    if (member.key !== key || text.startsWith('null', member.from)) return []
    if (text[member.from] === '[') return arrayElements(text, member.from)
    reject(text, member, `${key} must be a list`, list)
    return []
  })
}

/** @param reason names only keys of OTLP: others are content of the sender. */
function reject(
  text: string,
  { key, from, until }: Member,
  reason: string,
  list: RecordList,
): void {
  list.add(until - from, () => ({
    readable: false,
    bytes: Buffer.from(`{${JSON.stringify(key)}:${text.slice(from, until)}}`),
    code: 'RECORD_INVALID',
    reason,
  }))
}

/** `"key": value` as it was sent; of a key that stands twice both, so that the record is refused for it. */
function memberText(text: string, members: readonly Member[], key: string): string {
  const found = members.filter((member) => member.key === key)
  return found.length === 0
    ? `"${key}":null`
    : found.map(({ from, until }) => `"${key}":${text.slice(from, until)}`).join(',')
}
