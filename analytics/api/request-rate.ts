import { RecentMap } from '../recent-map.ts'

interface Bucket {
  tokens: number
  atMs: number
}

const maxKeys = 20_000

/**
 * Token bucket a caller: so many requests at once, and so many a second after that. Bounded in memory; whoever was
 * forgotten begins with a full bucket.
 */
export class RequestRate {
  private readonly buckets = new RecentMap<Bucket>(maxKeys)
  private readonly clock: () => number
  private readonly burst: number
  private readonly perSecond: number

  constructor(clock: () => number, burst = 300, perSecond = 30) {
    this.clock = clock
    this.burst = burst
    this.perSecond = perSecond
  }

  /** Takes one request. @returns 0, or how many milliseconds to wait before the next one is taken */
  take(caller: string): number {
    const now = this.clock()
    const bucket = this.buckets.use(caller, () => ({ tokens: this.burst, atMs: now }))
    const elapsedMs = Math.max(0, now - bucket.atMs)
    bucket.tokens = Math.min(this.burst, bucket.tokens + (elapsedMs / 1000) * this.perSecond)
    bucket.atMs = now
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / this.perSecond) * 1000)
    bucket.tokens--
    return 0
  }
}
