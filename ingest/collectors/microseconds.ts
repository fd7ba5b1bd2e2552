/**
 * Unix milliseconds cut to whole microseconds, what an event's timestamps hold. A clock that is finer must not round
 * up into the next millisecond.
 */
export function wholeMicroseconds(ms: number): number {
  return Math.floor(ms * 1000) / 1000
}
