interface Attempts {
  failures: number
  lastAtMs: number
}

const freeFailures = 5
const maxDelayMs = 60_000
const forgetAfterMs = 15 * 60_000
const maxKeys = 50_000

/**
 * Slows guessing, by account and by address: after five failures the wait doubles from one second to a minute. A
 * success forgets the account's failures. Bounded in memory.
 */
export class LoginThrottle {
  private readonly attempts = new Map<string, Attempts>()
  private readonly clock: () => number

  constructor(clock: () => number) {
    this.clock = clock
  }

  /** Milliseconds to wait before the next try of any of these keys; 0 when it may be made now. */
  waitMs(keys: readonly string[]): number {
    let wait = 0
    for (const key of keys) {
      const attempt = this.attempts.get(key)
      if (attempt === undefined || attempt.failures < freeFailures) continue
      const delay = Math.min(1000 * 2 ** (attempt.failures - freeFailures), maxDelayMs)
      wait = Math.max(wait, attempt.lastAtMs + delay - this.clock())
    }
    return wait
  }

  failed(keys: readonly string[]): void {
    const now = this.clock()
    if (this.attempts.size > maxKeys) this.forgetOld(now)
    for (const key of keys) {
      const attempt = this.attempts.get(key)
      if (attempt === undefined || now - attempt.lastAtMs > forgetAfterMs) {
        this.attempts.set(key, { failures: 1, lastAtMs: now })
      } else {
        attempt.failures++
        attempt.lastAtMs = now
      }
    }
  }

  succeeded(account: string): void {
    this.attempts.delete(account)
  }

  private forgetOld(now: number): void {
    for (const [key, attempt] of this.attempts) {
      if (now - attempt.lastAtMs > forgetAfterMs) this.attempts.delete(key)
    }
  }
}
