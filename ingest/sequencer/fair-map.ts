/**
 * Map of bounded size, insertion-ordered within each source. When it is full, the oldest entry of a source that has at
 * least its share goes: one source that sends much makes itself forgotten, and no other.
 */
export class FairMap<V> {
  private readonly bySource = new Map<string, Map<string, V>>()
  private readonly capacity: number
  private size = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get(sourceId: string, key: string): V | undefined {
    return this.bySource.get(sourceId)?.get(key)
  }

  values(sourceId: string): V[] {
    return [...(this.bySource.get(sourceId)?.values() ?? [])]
  }

  set(sourceId: string, key: string, value: V): void {
    const own = this.bySource.get(sourceId) ?? new Map<string, V>()
    this.bySource.set(sourceId, own)
    if (!own.delete(key)) this.size++
    own.set(key, value)
    if (this.size > this.capacity) this.forgetOne(own)
  }

  delete(sourceId: string, key: string): void {
    if (this.bySource.get(sourceId)?.delete(key) === true) this.size--
  }

  *all(): Generator<V, void> {
    for (const own of this.bySource.values()) yield* own.values()
  }

  private forgetOne(own: Map<string, V>): void {
    const share = this.capacity / this.bySource.size
    let from = own
    if (own.size <= share) {
      // Then another one has more than its share, as all together have too many.
      for (const each of this.bySource.values()) if (each.size > from.size) from = each
    }
    const oldest = from.keys().next()
    if (oldest.done) return
    from.delete(oldest.value)
    this.size--
  }
}
