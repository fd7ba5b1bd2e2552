import { internalClasses } from '../../schemas/event/class.ts'
import { SourceEvent } from '../../schemas/event/event.ts'
import { type EventField, eventFields, isEventField } from '../../schemas/event/fields.ts'
import { maxTimestamp, minTimestamp, normaliseTimestamp } from '../../schemas/event/timestamp.ts'
import { isValidField } from '../../schemas/event/valid-field.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import {
  type FieldDraft,
  isJsonObject,
  type JsonObject,
  type MappedEvent,
  type Mapping,
  type MappingRefusal,
} from './mapping.ts'

const timeFields = [
  'time.occurred',
  'time.observed',
  'auth.token.expires_at',
  'approval.time',
] as const satisfies readonly EventField[]

/** Records in the canonical wire format. Strict: what is not valid is refused with field and reason. */
export const native: Mapping = {
  id: 'native@1',
  recognise: ({ value, otlp }) =>
    otlp === undefined && isJsonObject(value) && Object.hasOwn(value, 'event.class'),
  map({ value }) {
    if (!isJsonObject(value)) return { field: undefined, reason: 'must be an object' }
    return validate(value)
  },
}

function validate(value: JsonObject): readonly MappedEvent[] | MappingRefusal {
  const candidate: Record<string, JsonValue> = { 'source.format': 'native', ...value }
  const notes: string[] = []
  let whole = true
  for (const field of timeFields) {
    const given = candidate[field]
    if (given === undefined) continue
    const time = typeof given === 'string' ? readTime(given) : undefined
    if (time === undefined) return { field, reason: 'must be an RFC 3339 time' }
    if (time === minTimestamp) notes.push(`${field}:clamped`)
    candidate[field] = time
    // The offset that the source wrote stands in no field.
    if (!/z$/i.test(String(given))) whole = false
  }
  const refusal = refusalOf(candidate)
  if (refusal !== undefined) return refusal
  const fields: FieldDraft = candidate
  return [{ fields, notes, checked: true, ...(whole ? { whole } : {}) }]
}

/** Quick where the event is valid; the schema is asked only for what is wrong with it. */
function refusalOf(candidate: JsonObject): MappingRefusal | undefined {
  const { 'event.class': eventClass } = candidate
  for (const key of Object.keys(candidate)) {
    if (isEventField(key) && eventFields[key].setBy === 'source') {
      if (isValidField(key, candidate[key])) continue
    }
    const parsed = SourceEvent.safeParse(withoutJson(candidate))
    if (!parsed.success) return describe(parsed.error.issues[0])
  }
  return typeof eventClass === 'string' && internalClasses.has(eventClass)
    ? { field: 'event.class', reason: 'is written by Sealtrail only' }
    : undefined
}

/**
 * JSON fields come from a JSON parser already, so the schema has nothing to find in them, and walking 128 KiB of
 * arguments node by node is what would cost most.
 */
function withoutJson(candidate: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(candidate).map(([key, value]): [string, JsonValue] =>
      isEventField(key) && eventFields[key].type === 'json' ? [key, null] : [key, value],
    ),
  )
}

/** Any offset; instants outside of what an event can hold are moved to the nearest one. */
function readTime(text: string): string | undefined {
  const time = normaliseTimestamp(text)
  if (time !== undefined) return time
  const ms = /^\d{4}-\d{2}-\d{2}[Tt ]/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(ms)) return undefined
  return ms < 0 ? minTimestamp : lastTimestamp
}

const lastTimestamp = `${Number(maxTimestamp.slice(0, 4)) - 1}-12-31T23:59:59.000000000Z`

interface Issue {
  readonly code?: string
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly keys?: readonly string[]
}

/** Field and rule. Messages of zod name types, bounds and allowed values, never the value itself. */
function describe(issue: Issue | undefined): MappingRefusal {
  if (issue === undefined) return { field: undefined, reason: 'is not a valid event' }
  if (issue.code === 'unrecognized_keys') {
    const field = issue.keys?.[0]
    return {
      field,
      reason:
        field !== undefined && isEventField(field)
          ? 'is assigned by Sealtrail and refused from senders'
          : 'is no field of the event schema',
    }
  }
  const [first, ...rest] = issue.path.map(String)
  return {
    field: first === undefined ? undefined : [first, ...rest].join('/'),
    reason: issue.message,
  }
}
