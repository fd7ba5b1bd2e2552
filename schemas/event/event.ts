import { z } from 'zod'
import { type EventField, eventFieldNames, eventFields, type FieldSpec } from './fields.ts'

type Catalogue = typeof eventFields
type Shape = { [K in EventField]: z.ZodOptional<Catalogue[K]['schema']> }

/** The catalogue as a zod shape. The cast is safe: it maps each key of the catalogue to that key's own schema. */
function shapeOf(keys: readonly EventField[]): Shape {
  return Object.fromEntries(
    keys.map((key) => {
      const spec: FieldSpec = eventFields[key]
      return [key, spec.schema.optional().describe(spec.doc)]
    }),
  ) as Shape
}

/** Any set of canonical fields. Unknown keys are refused. */
export const EventFields = z.strictObject(shapeOf(eventFieldNames))
export type EventFields = z.infer<typeof EventFields>

/** An event as a receiver hands it on: redacted, mapped or kept raw, not yet in a log. */
export type ObservedEvent = EventFields & {
  'event.class': NonNullable<EventFields['event.class']>
  'record.disposition': NonNullable<EventFields['record.disposition']>
  'source.id': string
  'time.occurred': string
  'time.observed': string
}

/** An event in a log. These fields are never absent. */
export type RecordedEvent = EventFields & {
  'event.id': string
  'event.class': NonNullable<EventFields['event.class']>
  'log.id': string
  'time.occurred': string
  'time.recorded': string
}

const sourceFieldNames = eventFieldNames.filter((key) => eventFields[key].setBy === 'source')

/**
 * The native wire format: what `POST /v1/events` accepts, one object an event. `event.class` is required; fields that
 * Sealtrail assigns are refused. `time.*` accept any RFC 3339 offset and are normalised before validation.
 */
export const SourceEvent = z
  .strictObject(shapeOf(sourceFieldNames))
  .required({ 'event.class': true })
export type SourceEvent = z.infer<typeof SourceEvent>
