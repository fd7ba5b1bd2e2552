import { createHash } from 'node:crypto'
import { knownMappings } from '../../ingest/mappings/known-mappings.ts'
import { decodeJsonBody } from '../../ingest/receivers/decode-json-records.ts'
import { receiveRecords } from '../../ingest/receivers/receive.ts'
import { createRedactor } from '../../ingest/redaction/redactor.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'

/** Events of a JSON body, through decoding, mapping and fitting as in a receiver. */
export function mapBody(body: unknown): readonly ObservedEvent[] {
  return receiveRecords(decodeJsonBody(Buffer.from(JSON.stringify(body))).records, {
    sourceId: 's1',
    format: 'json',
    nowMs: Date.parse('2026-11-24T13:20:00Z'),
    redactor: createRedactor(),
    mappings: knownMappings((bytes) => createHash('sha256').update(bytes).digest()),
    digest: (bytes) => createHash('sha256').update(bytes).digest(),
  }).events
}

/** First event of a body. */
export function mapOne(body: unknown): ObservedEvent {
  const [event] = mapBody(body)
  if (event === undefined) throw new Error('the body made no event')
  return event
}

type Value = string | number | boolean | object | null | undefined

function anyValue(value: Value): unknown {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'number') return { intValue: String(value) }
  return typeof value === 'boolean' ? { boolValue: value } : value
}

const attributes = (values: Readonly<Record<string, Value>>) =>
  Object.entries(values).map(([key, value]) => ({ key, value: anyValue(value) }))

export function otlpLog(
  values: Readonly<Record<string, Value>>,
  more: { scope?: string; body?: string; resource?: Readonly<Record<string, Value>> } = {},
) {
  return {
    resourceLogs: [
      {
        resource: { attributes: attributes({ 'service.name': 'svc', ...more.resource }) },
        scopeLogs: [
          {
            scope: { name: more.scope ?? '' },
            logRecords: [
              {
                timeUnixNano: '1795346702134000000',
                body: more.body === undefined ? null : { stringValue: more.body },
                attributes: attributes(values),
              },
            ],
          },
        ],
      },
    ],
  }
}

export function otlpSpan(values: Readonly<Record<string, Value>>, span: object = {}) {
  return {
    resourceSpans: [
      {
        resource: { attributes: attributes({ 'service.name': 'svc' }) },
        scopeSpans: [
          {
            scope: { name: 'x' },
            spans: [
              {
                traceId: '7A09C96904D2A1418D041BE743D6D794',
                spanId: '109e1da9de57c79a',
                parentSpanId: '0000000000000000',
                name: 'a span',
                startTimeUnixNano: '1785600000000000000',
                endTimeUnixNano: '1785600000240500000',
                attributes: attributes(values),
                ...span,
              },
            ],
          },
        ],
      },
    ],
  }
}
