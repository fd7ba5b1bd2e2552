const freeTextCapacity = 32

/**
 * How often values of one kind were seen, and how likely the next one is new: Good-Turing, (values seen once + 0.5) /
 * (observations + 1). A habit that always brings new values expects new values and stays silent by itself.
 *
 * Bounded: past the capacity the rarest old values are forgotten, which only makes novelty likelier.
 */
export class NoveltyCounter {
  private readonly counts = new Map<string, number>()
  private readonly capacity: number
  private observations = 0
  private singletons = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get size(): number {
    return this.observations
  }

  get distinct(): number {
    return this.counts.size
  }

  countOf(value: string): number {
    return this.counts.get(value) ?? 0
  }

  /** Probability that the next observation is a value not seen before. */
  probabilityOfNew(): number {
    return Math.min(1, (this.singletons + 0.5) / (this.observations + 1))
  }

  add(value: string): void {
    const count = this.counts.get(value) ?? 0
    if (count === 0) this.singletons++
    else if (count === 1) this.singletons--
    // Reinserted, so that iteration order is order of last use.
    this.counts.delete(value)
    this.counts.set(value, count + 1)
    this.observations++
    // Where most values are new (free text), the values themselves tell nothing: a few are kept for the chart.
    const free = this.observations >= 64 && this.singletons * 2 > this.observations
    const room = free ? Math.min(freeTextCapacity, this.capacity) : this.capacity
    while (this.counts.size > room) this.forgetOldest()
  }

  /** Most frequent values, ties by name, and the sum of the others. */
  top(limit: number): { values: { label: string; count: number }[]; otherCount: number } {
    const all = [...this.counts]
      .map(([label, count]) => ({ label, count }))
      .sort((a, b) => b.count - a.count || (a.label < b.label ? -1 : 1))
    const values = all.slice(0, limit)
    const shown = values.reduce((sum, { count }) => sum + count, 0)
    return { values, otherCount: Math.max(0, this.observations - shown) }
  }

  private forgetOldest(): void {
    const oldest = this.counts.keys().next()
    if (oldest.done) return
    // A forgotten singleton stays counted as one: the habit of bringing new values is not forgotten.
    this.counts.delete(oldest.value)
  }
}

/** Map that keeps the most recently used entries. */
export class RecentMap<V> {
  private readonly map = new Map<string, V>()
  private readonly capacity: number
  private readonly onEvict: (value: V) => void

  /** @param onEvict told of each entry that is dropped, so that its owner can keep account of what entries hold. */
  constructor(capacity: number, onEvict: (value: V) => void = () => undefined) {
    this.capacity = capacity
    this.onEvict = onEvict
  }

  get size(): number {
    return this.map.size
  }

  peek(key: string): V | undefined {
    return this.map.get(key)
  }

  /** The entry of a key, made when absent; it becomes the most recent one. */
  use(key: string, make: () => V): V {
    const value = this.map.get(key) ?? make()
    this.map.delete(key)
    this.map.set(key, value)
    if (this.map.size > this.capacity) this.evictOldest()
    return value
  }

  /** Drops the entry that was unused for longest; false when there is none but the latest. */
  evictOldest(): boolean {
    if (this.map.size < 2) return false
    const oldest = this.map.entries().next()
    if (oldest.done) return false
    const [key, value] = oldest.value
    this.map.delete(key)
    this.onEvict(value)
    return true
  }

  entries(): IterableIterator<[string, V]> {
    return this.map.entries()
  }
}
