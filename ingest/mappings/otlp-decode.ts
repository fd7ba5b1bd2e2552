import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { isJsonObject, type JsonObject } from './mapping.ts'

/** A log record or span of OTLP/JSON with plain attribute values, together with its resource and scope. */
export interface OtlpRecord {
  readonly signal: 'log' | 'span'
  readonly resource: JsonObject
  readonly scopeName: string | undefined
  readonly scopeVersion: string | undefined
  readonly attributes: JsonObject
  /** `eventName`, attribute `event.name`, or name of the span. */
  readonly name: string | undefined
  readonly body: JsonValue | undefined
  /** Decimal text, Unix nanoseconds. Start time of a span. */
  readonly timeUnixNano: string | undefined
  readonly endTimeUnixNano: string | undefined
  readonly observedTimeUnixNano: string | undefined
  /** Lower-case hex; absent when empty or all zero. */
  readonly traceId: string | undefined
  readonly spanId: string | undefined
  readonly parentSpanId: string | undefined
  /** SpanKind by number (2 server, 3 client); 0 when unset. */
  readonly kind: number
  readonly statusIsError: boolean
  readonly statusMessage: string | undefined
}

const maxDepth = 32

/**
 * Decodes one record of OTLP/JSON (opentelemetry-proto 1.x, JSON encoding). Exporters differ, so everything is
 * optional: int64 as bare number or text, `{}` and missing values, `null` bodies, enum names for numbers, ids in
 * upper case.
 */
export function decodeOtlpRecord(
  signal: 'log' | 'span',
  resource: JsonValue | undefined,
  scope: JsonValue | undefined,
  record: JsonObject,
): OtlpRecord {
  const attributes = readAttributes(member(record, 'attributes'))
  const status = member(record, 'status')
  return {
    signal,
    resource: readAttributes(isJsonObject(resource) ? resource.attributes : undefined),
    scopeName: text(isJsonObject(scope) ? scope.name : undefined),
    scopeVersion: text(isJsonObject(scope) ? scope.version : undefined),
    attributes,
    name:
      signal === 'span'
        ? text(member(record, 'name'))
        : (text(member(record, 'eventName')) ?? text(attributes['event.name'])),
    body: readAnyValue(member(record, 'body'), 0),
    timeUnixNano: nanos(member(record, signal === 'span' ? 'startTimeUnixNano' : 'timeUnixNano')),
    endTimeUnixNano: nanos(member(record, 'endTimeUnixNano')),
    observedTimeUnixNano: nanos(member(record, 'observedTimeUnixNano')),
    traceId: hexId(member(record, 'traceId'), 32),
    spanId: hexId(member(record, 'spanId'), 16),
    parentSpanId: hexId(member(record, 'parentSpanId'), 16),
    kind: readKind(member(record, 'kind')),
    statusIsError:
      isJsonObject(status) && (status.code === 2 || status.code === 'STATUS_CODE_ERROR'),
    statusMessage: isJsonObject(status) ? text(status.message) : undefined,
  }
}

/** Proto JSON accepts snake_case names too. */
function member(record: JsonObject, name: string): JsonValue | undefined {
  return record[name] ?? record[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)]
}

/** Attribute list to an object. Attributes without a value are absent; of two with one key the last counts. */
export function readAttributes(list: JsonValue | undefined): JsonObject {
  if (!Array.isArray(list)) return {}
  const attributes: [string, JsonValue][] = []
  for (const entry of list) {
    if (!isJsonObject(entry) || typeof entry.key !== 'string') continue
    const value = readAnyValue(entry.value, 0)
    if (value !== undefined) attributes.push([entry.key, value])
  }
  return Object.fromEntries(attributes)
}

function readAnyValue(value: JsonValue | undefined, depth: number): JsonValue | undefined {
  if (value === null || value === undefined || depth > maxDepth) return undefined
  // Not the encoding, but some senders write plain values.
  if (!isJsonObject(value)) return Array.isArray(value) ? undefined : value
  const {
    stringValue = value.string_value,
    boolValue = value.bool_value,
    intValue = value.int_value,
    doubleValue = value.double_value,
    bytesValue = value.bytes_value,
    arrayValue = value.array_value,
    kvlistValue = value.kvlist_value,
  } = value
  if (typeof stringValue === 'string') return stringValue
  if (typeof boolValue === 'boolean') return boolValue
  if (intValue !== undefined) return readInt(intValue)
  if (doubleValue !== undefined) return readDouble(doubleValue)
  if (typeof bytesValue === 'string') return bytesValue
  if (isJsonObject(arrayValue)) {
    const values = arrayValue.values
    return Array.isArray(values)
      ? values.map((each: JsonValue) => readAnyValue(each, depth + 1) ?? null)
      : []
  }
  if (isJsonObject(kvlistValue)) return readAttributesAt(kvlistValue.values, depth + 1)
  return undefined
}

function readAttributesAt(list: JsonValue | undefined, depth: number): JsonObject {
  if (!Array.isArray(list)) return {}
  return Object.fromEntries(
    list.flatMap((entry: JsonValue): [string, JsonValue][] => {
      if (!isJsonObject(entry) || typeof entry.key !== 'string') return []
      const value = readAnyValue(entry.value, depth)
      return value === undefined ? [] : [[entry.key, value]]
    }),
  )
}

/** int64: a number where it is exact, else its text. */
function readInt(value: JsonValue): JsonValue | undefined {
  if (typeof value === 'number') return value
  if (typeof value !== 'string' || !/^-?\d{1,20}$/.test(value)) return undefined
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

/** Proto JSON writes NaN and the infinities as text. */
function readDouble(value: JsonValue): JsonValue | undefined {
  if (typeof value === 'number') return value
  if (typeof value !== 'string') return undefined
  const number = Number(value)
  return Number.isFinite(number) && value !== '' ? number : value
}

function nanos(value: JsonValue | undefined): string | undefined {
  if (typeof value === 'string') return /^[1-9]\d{0,19}$/.test(value) ? value : undefined
  return typeof value === 'number' && value > 0 && Number.isInteger(value)
    ? BigInt(value).toString()
    : undefined
}

function hexId(value: JsonValue | undefined, length: number): string | undefined {
  if (typeof value !== 'string' || value.length !== length) return undefined
  const id = value.toLowerCase()
  return /^[0-9a-f]+$/.test(id) && !/^0+$/.test(id) ? id : undefined
}

const kinds: Readonly<Record<string, number>> = {
  SPAN_KIND_INTERNAL: 1,
  SPAN_KIND_SERVER: 2,
  SPAN_KIND_CLIENT: 3,
  SPAN_KIND_PRODUCER: 4,
  SPAN_KIND_CONSUMER: 5,
}

function readKind(value: JsonValue | undefined): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' ? (kinds[value] ?? 0) : 0
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
