import type { EventField } from '../../schemas/event/fields.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import type { OtlpRecord } from './otlp-decode.ts'

export type JsonObject = { readonly [key: string]: JsonValue }

/** One record as a receiver has decoded it, before anything is known about its meaning. */
export interface DecodedRecord {
  readonly value: JsonValue
  /** Set for a log record or span that came in an OTLP request, with its resource and scope. */
  readonly otlp?: OtlpRecord | undefined
}

/** Canonical fields as read from a source: not yet checked, cut or redacted. `undefined`, `null` and `''` are absent. */
export type FieldDraft = { [K in EventField]?: unknown }

export interface MappedEvent {
  readonly fields: FieldDraft
  /** What the mapping changed or left out, e.g. `user.id:placeholder`. */
  readonly notes: readonly string[]
  /** Set when every value of the record stands in `fields`: without notes, the raw record would say it all again. */
  readonly whole?: true
  /** Set when every value in `fields` is what the schema of its field allows. */
  readonly checked?: true
}

/** A record that looks like the mapping's own and is not valid: it is kept as rejected. */
export interface MappingRefusal {
  readonly field: string | undefined
  /** Names the rule that was broken, never the value. */
  readonly reason: string
}

/**
 * Reads the records of one kind of source. Recognised record by record, by their signature, never by the endpoint:
 * streams are mixed.
 */
export interface Mapping {
  /** id@version; stands in `mapping.id` of every event it made. */
  readonly id: string
  recognise(record: DecodedRecord): boolean
  /** No event: the record is recognised and reports nothing that has a canonical class; it is kept unmapped. */
  map(record: DecodedRecord): readonly MappedEvent[] | MappingRefusal
}

export function isRefusal(
  result: readonly MappedEvent[] | MappingRefusal,
): result is MappingRefusal {
  return 'reason' in result
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
