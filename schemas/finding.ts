import { z } from 'zod'

/** A value of an entity: what a baseline is kept for. */
export const Entity = z.strictObject({
  kind: z.enum(['user', 'client', 'agent', 'server', 'tool', 'workflow', 'source', 'argument']),
  value: z.string().max(512),
})
export type Entity = z.infer<typeof Entity>

export const Severity = z.enum(['low', 'medium', 'high', 'critical'])
export type Severity = z.infer<typeof Severity>

/**
 * What the baseline looked like, as data for a chart. `share`: how often each known value was seen, the observed one
 * marked. `series`: counts a bucket with the expected band.
 */
export const Baseline = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('share'),
    /** At most 12, most frequent first; `other` sums the rest. */
    values: z
      .array(z.strictObject({ label: z.string().max(512), count: z.int().nonnegative() }))
      .max(12),
    otherCount: z.int().nonnegative(),
    observed: z.string().max(512),
    /** Occurrences of the observed value among the peers (0 when new to them too). */
    peerCount: z.int().nonnegative(),
  }),
  z.strictObject({
    kind: z.literal('series'),
    bucketSeconds: z.int().positive(),
    points: z
      .array(
        z.strictObject({
          /** Canonical timestamp of the bucket's start. */
          at: z.string(),
          count: z.number().nonnegative(),
          low: z.number().nonnegative(),
          high: z.number().nonnegative(),
        }),
      )
      .max(300),
  }),
])
export type Baseline = z.infer<typeof Baseline>

/** One part of the score, in nats; they add up. */
export const Contribution = z.strictObject({
  feature: z.string().max(128),
  observed: z.string().max(512),
  expected: z.string().max(512),
  nats: z.number(),
})
export type Contribution = z.infer<typeof Contribution>

/** Why a detector fired, as data: everything a person needs to check the sentence. */
export const Explanation = z.strictObject({
  entity: Entity,
  /** What was compared: a scope, an argument path, a rate. */
  subject: z.string().max(512),
  observed: z.string().max(512),
  expected: z.string().max(512),
  /** Baseline window and how many samples stood in it. */
  window: z.strictObject({ from: z.string(), until: z.string(), samples: z.int().nonnegative() }),
  /** Tail probability below which the detector fires. */
  threshold: z.number(),
  contributions: z.array(Contribution).max(16),
  baseline: Baseline,
  /** What would have made it not fire. */
  counterfactual: z.string().max(1024),
})
export type Explanation = z.infer<typeof Explanation>

/** What a detector reports. It becomes a leaf of class `finding`; see `finding.*` in schemas/event/fields.ts. */
export const Finding = z
  .strictObject({
    /** hex SHA-256 over (detector id@version, log id, evidence indexes); appending it twice stores it once. */
    id: z.string(),
    logId: z.string(),
    /** `id@version`, e.g. `first-scope@1`. */
    detector: z.string(),
    severity: Severity,
    /** Calibrated tail probability, rounded to 6 significant digits. */
    p: z.number(),
    /** Leaf indexes, ascending; the first is the event that fired. At most 64. */
    evidence: z.array(z.number()).readonly(),
    /** Occurred time of the event that fired. */
    occurredAt: z.string(),
    sentence: z.string(),
    explanation: Explanation,
  })
  .readonly()
export type Finding = z.infer<typeof Finding>
