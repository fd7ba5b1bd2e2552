import { z } from 'zod'
import { EventFields } from '../event/event.ts'

/** Canonical timestamps; half-open. */
const range = { from: z.string(), until: z.string() }

/**
 * `calls` are joined MCP calls; `events` are all observations of every class, among them what is unmapped, rejected,
 * administrative or a gap.
 */
export const View = z.enum(['calls', 'events'])
export type View = z.infer<typeof View>

/** `GET /api/v1/events`. Newest first; `cursor` continues below the last row. */
export const SearchRequest = z.strictObject({
  q: z.string().max(4096).default(''),
  ...range,
  view: View.default('calls'),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
  cursor: z.string().max(128).optional(),
})
export type SearchRequest = z.infer<typeof SearchRequest>

/** One row of a result. `event` holds the columns of the list; long texts are cut to 512 characters and marked. */
export const EventRow = z.strictObject({
  logId: z.string(),
  leafIndex: z.int().nonnegative(),
  eventId: z.string(),
  event: EventFields,
  /** Fields whose text was cut for the list. */
  cut: z.array(z.string()),
  /** Ids of findings that name this event as evidence. */
  findings: z.array(z.string()),
})
export type EventRow = z.infer<typeof EventRow>

export const SearchReply = z.strictObject({
  rows: z.array(EventRow),
  next: z.string().nullable(),
  /** All rows that match in the range, not only these. */
  total: z.int().nonnegative(),
  elapsedMs: z.number(),
  rowsRead: z.int().nonnegative(),
  /** The parsed query in plain English. */
  explained: z.string(),
})
export type SearchReply = z.infer<typeof SearchReply>

/** `GET /api/v1/histogram`: 60 to 150 buckets over the whole range, stacked by outcome (or class for events). */
export const HistogramRequest = z.strictObject({
  q: z.string().max(4096).default(''),
  ...range,
  view: View.default('calls'),
})
export type HistogramRequest = z.infer<typeof HistogramRequest>
export const HistogramReply = z.strictObject({
  bucketSeconds: z.int().positive(),
  /** Series keys in stacking order. */
  series: z.array(z.string()),
  buckets: z.array(
    z.strictObject({ at: z.string(), counts: z.record(z.string(), z.int().nonnegative()) }),
  ),
})
export type HistogramReply = z.infer<typeof HistogramReply>

/** `GET /api/v1/facets`: most frequent values of a field within the query, at most 50. */
export const FacetRequest = z.strictObject({
  field: z.string().max(128),
  q: z.string().max(4096).default(''),
  ...range,
  view: View.default('calls'),
  /** Only values that contain this text, for completion. */
  contains: z.string().max(128).optional(),
})
export type FacetRequest = z.infer<typeof FacetRequest>
export const FacetReply = z.strictObject({
  field: z.string(),
  values: z.array(z.strictObject({ value: z.string(), count: z.int().nonnegative() })),
  /** True when counts are from a sample. */
  sampled: z.boolean(),
})
export type FacetReply = z.infer<typeof FacetReply>
