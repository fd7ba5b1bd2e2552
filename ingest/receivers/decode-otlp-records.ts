import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { isJsonObject } from '../mappings/mapping.ts'
import { decodeOtlpRecord } from '../mappings/otlp-decode.ts'
import type { ReceivedRecord } from './received-record.ts'
import { arrayElements, firstCharacter, type Member, objectMembers } from './scan-json.ts'

const layouts = {
  log: { resources: 'resourceLogs', scopes: 'scopeLogs', records: 'logRecords', one: 'logRecord' },
  span: { resources: 'resourceSpans', scopes: 'scopeSpans', records: 'spans', one: 'span' },
} as const

/** True for a body or record that is an OTLP export request of logs or traces. */
export function isOtlpExport(value: JsonValue): boolean {
  return isJsonObject(value) && ('resourceLogs' in value || 'resourceSpans' in value)
}

/**
 * Records of an OTLP/JSON export request (valid JSON text). Each is kept as `{"resource", "scope", "logRecord"|"span"}`
 * with the bytes that were sent.
 */
export function decodeOtlpRecords(text: string): ReceivedRecord[] {
  if (firstCharacter(text) !== '{') return []
  const members = objectMembers(text, 0)
  return [...recordsOf(text, members, 'log'), ...recordsOf(text, members, 'span')]
}

function recordsOf(
  text: string,
  members: readonly Member[],
  signal: 'log' | 'span',
): ReceivedRecord[] {
  const layout = layouts[signal]
  return listsOf(text, members, layout.resources).flatMap((resourceMembers) => {
    const resource = sliceOf(text, resourceMembers, 'resource')
    return listsOf(text, resourceMembers, layout.scopes).flatMap((scopeMembers) => {
      const scope = sliceOf(text, scopeMembers, 'scope')
      return slicesOf(text, scopeMembers, layout.records).map((record) =>
        readRecord(signal, layout.one, resource, scope, record),
      )
    })
  })
}

function readRecord(
  signal: 'log' | 'span',
  name: string,
  resource: string,
  scope: string,
  record: string,
): ReceivedRecord {
  const text = `{"resource":${resource},"scope":${scope},"${name}":${record}}`
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
function listsOf(text: string, members: readonly Member[], key: string): Member[][] {
  return members
    .filter((member) => member.key === key && text[member.from] === '[')
    .flatMap((member) => arrayElements(text, member.from))
    .filter((element) => text[element.from] === '{')
    .map((element) => objectMembers(text, element.from))
}

function slicesOf(text: string, members: readonly Member[], key: string): string[] {
  return members
    .filter((member) => member.key === key && text[member.from] === '[')
    .flatMap((member) => arrayElements(text, member.from))
    .map((element) => text.slice(element.from, element.until))
}

function sliceOf(text: string, members: readonly Member[], key: string): string {
  const member = members.find((each) => each.key === key)
  return member === undefined ? 'null' : text.slice(member.from, member.until)
}
