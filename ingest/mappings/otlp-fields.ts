import { timestampFromUnixNano } from '../../schemas/event/timestamp.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import type { FieldDraft, JsonObject } from './mapping.ts'
import type { OtlpRecord } from './otlp-decode.ts'
import { readText } from './read-value.ts'

/** Fields that every OTLP record gives, whatever it reports. Also used for records that stay unmapped. */
export function otlpBaseFields(record: OtlpRecord): FieldDraft {
  return {
    'time.occurred': nanosToTimestamp(record.timeUnixNano ?? record.observedTimeUnixNano),
    'source.format': record.signal === 'log' ? 'otlp_logs' : 'otlp_traces',
    'source.product': readText(record.resource['service.name']),
    trace_id: record.traceId,
    span_id: record.spanId,
    parent_span_id: record.parentSpanId,
  }
}

function nanosToTimestamp(nanos: string | undefined): string | undefined {
  return nanos === undefined ? undefined : timestampFromUnixNano(nanos)
}

/**
 * What of a record has no canonical field: its attributes but those read, resource attributes under `resource.`, and
 * the body of a log record under `body`.
 */
export function leftoverAttributes(
  record: OtlpRecord,
  read: ReadonlySet<string>,
): JsonObject | undefined {
  const rest: [string, JsonValue][] = Object.entries(record.attributes).filter(
    ([key]) => !read.has(key),
  )
  for (const [key, value] of Object.entries(record.resource)) {
    if (key !== 'service.name') rest.push([`resource.${key}`, value])
  }
  if (record.body !== undefined) rest.push(['body', record.body])
  return rest.length === 0 ? undefined : Object.fromEntries(rest)
}
