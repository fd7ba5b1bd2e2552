interface Entry<V> {
  readonly key: string
  readonly value: V
  older: Entry<V> | undefined
  newer: Entry<V> | undefined
}

/**
 * Map that keeps the most recently used entries. Every operation takes the same short time, however many there are: the
 * first key of a `Map` from whose front much was deleted is found by going over all that was deleted.
 */
export class RecentMap<V> {
  private readonly map = new Map<string, Entry<V>>()
  private readonly capacity: number
  private readonly onEvict: (value: V, key: string) => void
  private oldest: Entry<V> | undefined
  private newest: Entry<V> | undefined

  /** @param onEvict told of each entry that is dropped, so that its owner can keep account of what entries hold. */
  constructor(capacity: number, onEvict: (value: V, key: string) => void = () => undefined) {
    this.capacity = capacity
    this.onEvict = onEvict
  }

  get size(): number {
    return this.map.size
  }

  peek(key: string): V | undefined {
    return this.map.get(key)?.value
  }

  /** The entry of a key, made when absent; it becomes the most recent one. */
  use(key: string, make: () => V): V {
    const known = this.map.get(key)
    if (known !== undefined) {
      if (known !== this.newest) {
        this.unlink(known)
        this.link(known)
      }
      return known.value
    }
    const entry: Entry<V> = { key, value: make(), older: undefined, newer: undefined }
    this.map.set(key, entry)
    this.link(entry)
    if (this.map.size > this.capacity) this.evictOldest()
    return entry.value
  }

  delete(key: string): void {
    const entry = this.map.get(key)
    if (entry === undefined) return
    this.map.delete(key)
    this.unlink(entry)
  }

  /** Drops the entry that was unused for longest; false when there is none but the latest. */
  evictOldest(): boolean {
    const entry = this.oldest
    if (entry === undefined || entry === this.newest) return false
    this.delete(entry.key)
    this.onEvict(entry.value, entry.key)
    return true
  }

  *entries(): IterableIterator<[string, V]> {
    for (let entry = this.oldest; entry !== undefined; entry = entry.newer) {
      yield [entry.key, entry.value]
    }
  }

  /** Every entry in the order of use, the oldest first: what {@link restore} takes. */
  save<T>(stateOf: (value: V) => T): [string, T][] {
    return Array.from(this.entries(), ([key, value]) => [key, stateOf(value)])
  }

  /** Puts entries into an empty map, in the order of use. */
  restore<T>(saved: readonly (readonly [string, T])[], make: (state: T) => V): void {
    for (const [key, state] of saved) this.use(key, () => make(state))
  }

  private link(entry: Entry<V>): void {
    entry.older = this.newest
    entry.newer = undefined
    if (this.newest === undefined) this.oldest = entry
    else this.newest.newer = entry
    this.newest = entry
  }

  private unlink(entry: Entry<V>): void {
    if (entry.older === undefined) this.oldest = entry.newer
    else entry.older.newer = entry.newer
    if (entry.newer === undefined) this.newest = entry.older
    else entry.newer.older = entry.older
  }
}
