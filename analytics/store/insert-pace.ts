/** A row is visible at most this long after its commit, plus the insert, while the store is quick. */
export const lingerMs = 200
/** Under load rows gather for longer: a part costs the engine the same whatever it holds. */
const maxLingerMs = 2000
/** At most an eighth of the time is spent in inserts until rows gather for the longest time. */
const insertShare = 8

/**
 * When the next insert into a table is due. Each insert makes a part, which costs a hundred and more columns their
 * headers and a merge later: 250 rows at a time cost five times the CPU of 8,000. So inserts are never closer together
 * than {@link lingerMs}, nor than eight times what the last one took.
 */
export class InsertPace {
  /** Monotonic milliseconds. */
  private readonly clock: () => number
  private startedAtMs = Number.NEGATIVE_INFINITY
  private pauseMs = lingerMs

  constructor(clock: () => number) {
    this.clock = clock
  }

  /** Runs one insert and learns from how long it took. */
  async measure<T>(insert: () => Promise<T>): Promise<T> {
    this.startedAtMs = this.clock()
    try {
      return await insert()
    } finally {
      const tookMs = this.clock() - this.startedAtMs
      this.pauseMs = Math.min(maxLingerMs, Math.max(lingerMs, insertShare * tookMs))
    }
  }

  /** Milliseconds until the next insert is due; 0 or less when it is. */
  dueInMs(): number {
    return this.startedAtMs + this.pauseMs - this.clock()
  }
}
