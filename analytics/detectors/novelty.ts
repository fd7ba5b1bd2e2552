import { z } from 'zod'
import { RecentMap } from '../recent-map.ts'

const freeTextCapacity = 32

/** Observations, values seen once, and times by value, the value unused for longest first. */
export const NoveltyState = z.tuple([
  z.number(),
  z.number(),
  z.array(z.tuple([z.string(), z.number()])),
])
export type NoveltyState = z.infer<typeof NoveltyState>

/**
 * How often values of one kind were seen, and how likely the next one is new: Good-Turing, (values seen once + 0.5) /
 * (observations + 1). A habit that always brings new values expects new values and stays silent by itself.
 *
 * Bounded: past the capacity the values unused for longest are forgotten, which only makes novelty likelier.
 */
export class NoveltyCounter {
  private readonly counts: RecentMap<{ times: number }>
  private readonly capacity: number
  private observations = 0
  private singletons = 0

  /** @param onForget told of each value that is forgotten. */
  constructor(capacity: number, onForget: (value: string) => void = () => undefined) {
    this.capacity = capacity
    // A forgotten singleton stays counted as one: the habit of bringing new values is not forgotten.
    this.counts = new RecentMap(Number.POSITIVE_INFINITY, (_count, value) => onForget(value))
  }

  /** What was counted, as JSON. */
  save(): NoveltyState {
    return [this.observations, this.singletons, this.counts.save(({ times }) => times)]
  }

  /** Takes over what was saved, into an empty counter. */
  restore([observations, singletons, counts]: NoveltyState): this {
    this.observations = observations
    this.singletons = singletons
    this.counts.restore(counts, (times) => ({ times }))
    return this
  }

  get size(): number {
    return this.observations
  }

  get distinct(): number {
    return this.counts.size
  }

  countOf(value: string): number {
    return this.counts.peek(value)?.times ?? 0
  }

  /** Values that are remembered. */
  *values(): IterableIterator<string> {
    for (const [value] of this.counts.entries()) yield value
  }

  /** Probability that the next observation is a value not seen before. */
  probabilityOfNew(): number {
    return Math.min(1, (this.singletons + 0.5) / (this.observations + 1))
  }

  add(value: string): void {
    const count = this.counts.use(value, () => ({ times: 0 }))
    if (count.times === 0) this.singletons++
    else if (count.times === 1) this.singletons--
    count.times++
    this.observations++
    // Where most values are new (free text), the values themselves tell nothing: a few are kept for the chart.
    const free = this.observations >= 64 && this.singletons * 2 > this.observations
    const room = free ? Math.min(freeTextCapacity, this.capacity) : this.capacity
    while (this.counts.size > room && this.counts.evictOldest()) {}
  }

  /** Most frequent values, ties by name, and the sum of the others. */
  top(limit: number): { values: { label: string; count: number }[]; otherCount: number } {
    const all = [...this.counts.entries()]
      .map(([label, { times }]) => ({ label, count: times }))
      .sort((a, b) => b.count - a.count || (a.label < b.label ? -1 : 1))
    const values = all.slice(0, limit)
    const shown = values.reduce((sum, { count }) => sum + count, 0)
    return { values, otherCount: Math.max(0, this.observations - shown) }
  }
}
