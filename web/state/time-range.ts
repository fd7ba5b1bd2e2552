/** A view's time: a preset that ends now, or two instants. `t=24h` or `t=2026-11-22T04:50Z..2026-11-22T05:40Z`. */
export const presets = ['15m', '1h', '6h', '24h', '7d', '30d', '90d'] as const

export interface TimeRange {
  /** RFC 3339. */
  readonly from: string
  readonly until: string
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const unitNames = { m: 'minutes', h: 'hours', d: 'days' } as const

/** Range of a text in the address bar; the last day for anything that is none. */
export function parseTimeRange(text: string, nowMs: number): TimeRange {
  const absolute = absoluteOf(text)
  if (absolute !== undefined) return rangeOf(absolute.fromMs, absolute.untilMs)
  const relative = relativeOf(text)
  const lengthMs = relative === undefined ? unitMs.d : relative.count * unitMs[relative.unit]
  // Sources run a little ahead: what was stamped in the next minute is part of now.
  return rangeOf(nowMs - lengthMs, nowMs + 60_000)
}

/** A minute before and after a canonical timestamp: what happened around it. */
export function aroundInstant(timestamp: string): TimeRange {
  const atMs = Date.parse(`${timestamp.slice(0, 23)}Z`)
  return rangeOf(atMs - unitMs.m, atMs + unitMs.m)
}

export function formatTimeRange(range: TimeRange): string {
  return `${shortInstant(range.from)}..${shortInstant(range.until)}`
}

/** For a button: "Last 24 hours", "11-24 13:10 – 13:15 UTC". */
export function describeTimeRange(text: string): string {
  const absolute = absoluteOf(text)
  if (absolute !== undefined) {
    const { from, until } = rangeOf(absolute.fromMs, absolute.untilMs)
    const sameDay = from.slice(0, 10) === until.slice(0, 10)
    return `${dayAndClock(from)} – ${sameDay ? clock(until) : dayAndClock(until)} UTC`
  }
  const { count, unit } = relativeOf(text) ?? { count: 24, unit: 'h' as const }
  const name = unitNames[unit]
  return count === 1 ? `Last ${name.slice(0, -1)}` : `Last ${count} ${name}`
}

function absoluteOf(text: string): { fromMs: number; untilMs: number } | undefined {
  const match = /^(\S+?)\.\.(\S+)$/.exec(text)
  const fromMs = Date.parse(match?.[1] ?? '')
  const untilMs = Date.parse(match?.[2] ?? '')
  return fromMs < untilMs ? { fromMs, untilMs } : undefined
}

function relativeOf(text: string): { count: number; unit: keyof typeof unitMs } | undefined {
  const match = /^(\d{1,4})([mhd])$/.exec(text)
  const unit = match?.[2]
  if (unit !== 'm' && unit !== 'h' && unit !== 'd') return undefined
  return { count: Number(match?.[1]), unit }
}

/** `2026-11-22T04:50Z`: seconds and milliseconds only where they are not zero. */
function shortInstant(instant: string): string {
  return new Date(instant).toISOString().replace(/(?::00)?\.000Z$/, 'Z')
}

function dayAndClock(instant: string): string {
  return `${instant.slice(5, 10)} ${clock(instant)}`
}

function clock(instant: string): string {
  return instant.slice(17, 19) === '00' ? instant.slice(11, 16) : instant.slice(11, 19)
}

function rangeOf(fromMs: number, untilMs: number): TimeRange {
  return { from: new Date(fromMs).toISOString(), until: new Date(untilMs).toISOString() }
}
