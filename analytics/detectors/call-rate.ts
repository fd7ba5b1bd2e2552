import { z } from 'zod'
import { timestampFromMs, timestampToMs } from '../../schemas/event/timestamp.ts'
import { Entity } from '../../schemas/finding.ts'
import { RecentMap } from '../recent-map.ts'
import {
  budgetThreshold,
  type Detector,
  type DetectorFactory,
  type FindingDraft,
  type JudgedCall,
} from './detector.ts'
import { nats, quote, round } from './first-scope.ts'
import { upperTail } from './negative-binomial.ts'

const bucketSeconds = 300
const bucketMs = bucketSeconds * 1000
const maxSeries = 20_000
const keptBuckets = 120
/** One alert of a series, then silence for this many buckets (notes of NAB: repeats cost more than they tell). */
const holdOffBuckets = 50
/** Buckets of history before a series is judged: half a day. */
const warmUpBuckets = 144
const minCalls = 10
/** A tick closes a bucket when no call of its series was recorded for this long. */
const quietMs = 60_000
/** Half-life of the baseline: seven days of buckets. */
const decay = 0.5 ** (1 / (7 * 288))

const Series = z.object({
  entity: Entity,
  tool: z.string(),
  firstSeenMs: z.number(),
  bucket: z.number(),
  /** Recorded time of its last call. */
  arrivedMs: z.number(),
  count: z.number(),
  evidence: z.array(z.number()),
  mayAlert: z.boolean(),
  occurredAt: z.string(),
  callsPerDay: z.number(),
  /** Decayed number of buckets, sum and sum of squares of counts. */
  weight: z.number(),
  sum: z.number(),
  squares: z.number(),
  buckets: z.number(),
  silentUntil: z.number(),
  recent: z.array(z.object({ bucket: z.number(), count: z.number() })),
})
type Series = z.infer<typeof Series>

const SavedState = z.object({
  series: z.array(z.tuple([z.string(), Series])),
  open: z.array(z.string()),
})

/**
 * Calls of an entity to a tool in five minutes, against its own baseline: a negative binomial fitted to its decayed
 * history, empty buckets included, shrunk to a weak prior. A bucket is judged when leaf time has passed it.
 */
export const callRate: DetectorFactory = ({ alertsPerDay }) => {
  const open = new Set<string>()
  const series = new RecentMap<Series>(maxSeries, (_series, key) => open.delete(key))
  const detector: Detector = {
    id: 'call-rate@1',
    observe(call) {
      if (!call.teaches) return []
      const tool = `${call.event['mcp.server.name'] ?? '?'}/${call.event['gen_ai.tool.name'] ?? '?'}`
      const key = `${call.entity.kind}/${call.entity.value}|${tool}`
      const bucket = Math.floor(call.occurredMs / bucketMs)
      const each = series.use(key, () => newSeries(call, tool, bucket))
      const drafts = bucket > each.bucket ? close(each, bucket, alertsPerDay) : []
      each.arrivedMs = timestampToMs(call.event['time.recorded'])
      // What is late for its bucket teaches the open one nothing and is left out.
      if (bucket === each.bucket) {
        each.count++
        each.mayAlert &&= call.mayAlert
        each.callsPerDay = call.callsPerDay
        each.occurredAt = call.event['time.occurred']
        if (each.evidence.length < 64) each.evidence.push(call.leafIndex)
        open.add(key)
      }
      return drafts
    },
    advance(nowMs) {
      const bucket = Math.floor(nowMs / bucketMs)
      const drafts: FindingDraft[] = []
      for (const key of open) {
        const each = series.peek(key)
        // A source that delivers with delay is in the middle of an old bucket: wait until it pauses.
        if (each !== undefined && (bucket <= each.bucket || nowMs - each.arrivedMs < quietMs))
          continue
        open.delete(key)
        // Only this bucket: whether the next ones are empty is known when the next call comes.
        if (each !== undefined) drafts.push(...close(each, each.bucket + 1, alertsPerDay))
      }
      return drafts
    },
    save: () => ({
      // Copies: the detector goes on.
      series: series.save((each) => ({
        ...each,
        evidence: [...each.evidence],
        recent: [...each.recent],
      })),
      open: [...open],
    }),
    restore(state) {
      const saved = SavedState.parse(state)
      series.restore(saved.series, (each) => each)
      for (const key of saved.open) open.add(key)
    },
  }
  return detector
}

function newSeries(call: JudgedCall, tool: string, bucket: number): Series {
  return {
    entity: call.entity,
    tool,
    firstSeenMs: call.occurredMs,
    bucket,
    arrivedMs: call.occurredMs,
    count: 0,
    evidence: [],
    mayAlert: true,
    occurredAt: call.event['time.occurred'],
    callsPerDay: call.callsPerDay,
    weight: 0,
    sum: 0,
    squares: 0,
    buckets: 0,
    silentUntil: 0,
    recent: [],
  }
}

/** Judges the open bucket, learns it and the empty ones after it, and opens `next`. */
function close(series: Series, next: number, alertsPerDay: number): FindingDraft[] {
  const drafts = series.count > 0 ? judge(series, alertsPerDay) : []
  if (series.count > 0) {
    learn(series, series.count, 1)
    series.recent.push({ bucket: series.bucket, count: series.count })
    if (series.recent.length > keptBuckets) series.recent.shift()
  }
  // A bucket that a tick opened is empty as long as no call came.
  const empty = Math.max(0, next - series.bucket - (series.count > 0 ? 1 : 0))
  if (empty > 0) learn(series, 0, Math.min(empty, 30 * 288))
  series.bucket = next
  series.count = 0
  series.evidence = []
  series.mayAlert = true
  return drafts
}

function learn(series: Series, count: number, times: number): void {
  const kept = decay ** times
  series.weight = series.weight * kept + (1 - kept) / (1 - decay)
  series.sum = series.sum * kept + count * times
  series.squares = series.squares * kept + count ** 2 * times
  series.buckets += times
}

function judge(series: Series, alertsPerDay: number): FindingDraft[] {
  const { count, bucket } = series
  if (
    !series.mayAlert ||
    count < minCalls ||
    series.buckets < warmUpBuckets ||
    bucket < series.silentUntil
  )
    return []
  const { mean, variance } = fitBaseline(series)
  const p = round(upperTail(count, mean, variance))
  const threshold = budgetThreshold(alertsPerDay, 3, Math.max(288, series.callsPerDay))
  // The fit says how unlikely; three times the worst seen says it is worth a look.
  const worst = Math.max(0, ...series.recent.map((each) => each.count))
  if (p >= threshold || count < 3 * worst) return []
  series.silentUntil = bucket + holdOffBuckets
  const high = highBand(mean, variance, threshold)
  const startMs = bucket * bucketMs
  return [
    {
      entity: series.entity,
      subject: `calls of ${series.tool} in 5 minutes`,
      observed: String(count),
      expected: `0 to ${high}`,
      p,
      threshold: round(threshold),
      windowFromMs: series.firstSeenMs,
      windowUntilMs: startMs + bucketMs,
      samples: Math.round(series.buckets),
      contributions: [
        {
          feature: 'calls in 5 minutes',
          observed: String(count),
          expected: `${mean.toPrecision(3)} on average, ${worst} at most lately`,
          nats: nats(p),
        },
      ],
      baseline: { kind: 'series', bucketSeconds, points: points(series, high) },
      counterfactual: `It would not have fired at ${high} calls or fewer in 5 minutes.`,
      sentence: `${series.entity.kind} ${quote(series.entity.value)} called ${quote(series.tool)} ${count} times in 5 minutes; ${worst} was the most in its recent active periods, and ${mean.toPrecision(2)} is its average.`,
      evidence: series.evidence,
      occurredAt: series.occurredAt,
      holdOffKey: `${series.entity.kind}/${series.entity.value}/${series.tool}`,
    },
  ]
}

/** Mean and variance a bucket, shrunk to a prior of one call in two buckets worth of weight. */
function fitBaseline(series: Series): { mean: number; variance: number } {
  const weight = series.weight + 2
  const mean = (series.sum + 0.1) / weight
  const variance = Math.max(mean, (series.squares + 0.1) / weight - mean ** 2)
  return { mean, variance }
}

/** Largest count that is still expected. */
function highBand(mean: number, variance: number, threshold: number): number {
  let low = Math.floor(mean)
  let high = low + 1
  while (high < 1e6 && upperTail(high + 1, mean, variance) >= threshold) high *= 2
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (upperTail(middle + 1, mean, variance) >= threshold) low = middle
    else high = middle
  }
  return high
}

function points(series: Series, high: number) {
  const counts = new Map(series.recent.map((each) => [each.bucket, each.count]))
  counts.set(series.bucket, series.count)
  const first = Math.max(series.bucket - keptBuckets + 1, Math.floor(series.firstSeenMs / bucketMs))
  const result: { at: string; count: number; low: number; high: number }[] = []
  for (let bucket = first; bucket <= series.bucket; bucket++) {
    result.push({
      at: timestampFromMs(bucket * bucketMs),
      count: counts.get(bucket) ?? 0,
      low: 0,
      high,
    })
  }
  return result
}
