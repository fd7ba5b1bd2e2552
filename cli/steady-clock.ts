import { uptime } from 'node:os'
import { SealtrailError } from '../schemas/errors.ts'

export interface ClockReadings {
  /** Wall clock, Unix milliseconds. */
  readonly wall: () => number
  /** Monotonic, milliseconds; may stand still while the machine sleeps. */
  readonly monotonic: () => number
  /** Since boot, milliseconds, sleep included. Dearer to read. */
  readonly sinceBoot: () => number
}

export const machineClocks: ClockReadings = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  sinceBoot: () => uptime() * 1000,
}

const hourMs = 3_600_000
const maxStepMs = hourMs
const maxIdleMs = 366 * 24 * hourMs

/**
 * The wall clock as long as it moves with the time that passes. A step of more than an hour, either way, is not
 * followed: time goes on by what passed since, until the clock is back, or until a restart, which takes it as it is.
 *
 * Recorded times never go back, and keys are destroyed by time: a clock that was set ten years ahead for a moment
 * would otherwise hold every later record at that time.
 */
export class SteadyClock {
  private readonly clocks: ClockReadings
  private wallMs: number
  private monotonicMs: number
  private sinceBootMs: number
  private step = 0

  constructor(clocks: ClockReadings) {
    this.clocks = clocks
    this.wallMs = clocks.wall()
    this.monotonicMs = clocks.monotonic()
    this.sinceBootMs = clocks.sinceBoot()
  }

  /** Unix milliseconds. */
  readonly now = (): number => {
    const wall = this.clocks.wall()
    const monotonic = this.clocks.monotonic()
    const expected = this.wallMs + (monotonic - this.monotonicMs)
    if (Math.abs(wall - expected) <= maxStepMs) return this.follow(wall, monotonic)
    // A machine that slept: its clock is right, and the monotonic one stood still.
    const afterSleep = this.wallMs + (this.clocks.sinceBoot() - this.sinceBootMs)
    if (Math.abs(wall - afterSleep) <= maxStepMs) return this.follow(wall, monotonic)
    this.step = wall - expected
    return Math.round(expected)
  }

  /** Milliseconds by which the clock of the machine is ahead of {@link now} (behind, where negative); 0 while followed. */
  get refusedStepMs(): number {
    return this.step
  }

  private follow(wall: number, monotonic: number): number {
    this.step = 0
    // Not at every reading: a clock that drifts is followed for as long as it drifts slowly.
    if (monotonic - this.monotonicMs > 60_000) {
      this.wallMs = wall
      this.monotonicMs = monotonic
      this.sinceBootMs = this.clocks.sinceBoot()
    }
    return wall
  }
}

/**
 * Compares the clock at the start with the newest record.
 *
 * @param newestMs recorded time of the newest leaf, Unix milliseconds; 0 where there is none
 * @returns a sentence where the clock is behind it, else undefined
 * @throws SealtrailError `CLOCK_IMPLAUSIBLE` where it is more than a year ahead
 */
export function compareWithNewest(
  nowMs: number,
  newestMs: number,
  accepted: boolean,
): string | undefined {
  if (newestMs === 0) return undefined
  const [now, newest] = [nowMs, newestMs].map((ms) => new Date(ms).toISOString())
  if (nowMs - newestMs > maxIdleMs && !accepted) {
    throw new SealtrailError(
      'CLOCK_IMPLAUSIBLE',
      `the clock says ${now}, and the newest record is of ${newest}`,
      {
        hint: 'Set the clock. If the directory lay idle for more than a year, start once with --accept-clock.',
      },
    )
  }
  if (newestMs - nowMs <= maxStepMs) return undefined
  return `the clock says ${now}, and the newest record is of ${newest}: until the clock has passed it, every record gets that time`
}

/** `+3652 days`, `-26 hours`. */
export function describeStep(stepMs: number): string {
  const hours = Math.round(stepMs / hourMs)
  const sign = stepMs < 0 ? '' : '+'
  return Math.abs(hours) < 72 ? `${sign}${hours} hours` : `${sign}${Math.round(hours / 24)} days`
}
