import { RecentMap } from '../recent-map.ts'

interface Attempts {
  failures: number
  lastAtMs: number
}

const freeFailures = 5
const maxDelayMs = 60_000
const forgetAfterMs = 15 * 60_000
const maxKeys = 50_000

/** A try that was let through; {@link succeeded} when it was no guess. */
export interface LoginTry {
  /** Takes the try back for the address, and forgets what the account failed before. */
  succeeded(): void
}

/**
 * Slows guessing, by account and by address: after five failures the wait doubles from one second to a minute. A try
 * counts as failed from its beginning, so that many at once gain nothing. Bounded in memory.
 */
export class LoginThrottle {
  private readonly attempts = new RecentMap<Attempts>(maxKeys)
  private readonly clock: () => number

  constructor(clock: () => number) {
    this.clock = clock
  }

  /**
   * Lets a try through, or tells how many milliseconds to wait before the next one.
   *
   * @param origin what is tried and from which address
   * @param account name that is tried; absent where there is none (the one-time link)
   */
  begin(origin: string, account?: string): LoginTry | number {
    const byOrigin = `origin:${origin}`
    const byAccount = account === undefined ? undefined : `account:${account.toLowerCase()}`
    const keys = byAccount === undefined ? [byOrigin] : [byOrigin, byAccount]
    const waitMs = Math.max(...keys.map((key) => this.waitMs(key)))
    if (waitMs > 0) return waitMs
    for (const key of keys) this.count(key)
    return {
      succeeded: () => {
        const attempt = this.attempts.peek(byOrigin)
        if (attempt !== undefined) attempt.failures--
        if (byAccount !== undefined) this.attempts.delete(byAccount)
      },
    }
  }

  private waitMs(key: string): number {
    const attempt = this.attempts.peek(key)
    if (attempt === undefined || attempt.failures < freeFailures) return 0
    const delay = Math.min(1000 * 2 ** (attempt.failures - freeFailures), maxDelayMs)
    return attempt.lastAtMs + delay - this.clock()
  }

  private count(key: string): void {
    const now = this.clock()
    const attempt = this.attempts.use(key, () => ({ failures: 0, lastAtMs: now }))
    if (now - attempt.lastAtMs > forgetAfterMs) attempt.failures = 0
    attempt.failures++
    attempt.lastAtMs = now
  }
}
