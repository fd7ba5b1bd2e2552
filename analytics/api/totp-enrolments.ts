import { RecentMap } from '../recent-map.ts'

const lifetimeMs = 10 * 60_000
const maxWaiting = 1000

/** Secrets of authenticators that have not shown a code yet: in memory alone, one a person, for ten minutes. */
export class TotpEnrolments {
  private readonly waiting = new RecentMap<{ secret: Uint8Array; untilMs: number }>(maxWaiting)
  private readonly clock: () => number

  constructor(clock: () => number) {
    this.clock = clock
  }

  begin(userId: string, secret: Uint8Array): void {
    this.waiting.delete(userId)
    this.waiting.use(userId, () => ({ secret, untilMs: this.clock() + lifetimeMs }))
  }

  secretOf(userId: string): Uint8Array | undefined {
    const entry = this.waiting.peek(userId)
    return entry === undefined || entry.untilMs <= this.clock() ? undefined : entry.secret
  }

  end(userId: string): void {
    this.waiting.delete(userId)
  }
}
