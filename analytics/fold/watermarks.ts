import { RecentMap } from '../recent-map.ts'

/** A record that is this much older than the newest of its source is late: it teaches and does not alert. */
export const latenessMs = 15 * 60_000

/** Newest occurred time of each source, by the source's own clock. */
export class Watermarks {
  private readonly newest = new RecentMap<{ ms: number }>(10_000)

  save(): [string, number][] {
    return this.newest.save(({ ms }) => ms)
  }

  restore(saved: readonly (readonly [string, number])[]): void {
    this.newest.restore(saved, (ms) => ({ ms }))
  }

  /** Takes a record over and says whether it is late. */
  isLate(sourceId: string, occurredMs: number): boolean {
    const mark = this.newest.use(sourceId, () => ({ ms: occurredMs }))
    if (occurredMs > mark.ms) mark.ms = occurredMs
    return mark.ms - occurredMs > latenessMs
  }
}
