/** A view's time: a preset that ends now, or two instants. `t=24h` or `t=2026-11-22T04:50Z..2026-11-22T05:40Z`. */
export const presets = ['15m', '1h', '6h', '24h', '7d', '30d'] as const

export interface TimeRange {
  /** RFC 3339. */
  readonly from: string
  readonly until: string
}

const unitMs = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Range of a text in the address bar; the last day for anything that is none. */
export function parseTimeRange(text: string, nowMs: number): TimeRange {
  const absolute = /^(\S+)\.\.(\S+)$/.exec(text)
  if (absolute !== null) {
    const from = Date.parse(absolute[1] ?? '')
    const until = Date.parse(absolute[2] ?? '')
    if (!Number.isNaN(from) && !Number.isNaN(until) && from < until) return rangeOf(from, until)
  }
  const relative = /^(\d{1,4})([mhd])$/.exec(text)
  const unit = relative?.[2]
  const lengthMs =
    relative !== null && (unit === 'm' || unit === 'h' || unit === 'd')
      ? Number(relative[1]) * unitMs[unit]
      : unitMs.d
  // Sources run a little ahead: what was stamped in the next minute is part of now.
  return rangeOf(nowMs - lengthMs, nowMs + 60_000)
}

export function formatTimeRange(range: TimeRange): string {
  return `${range.from}..${range.until}`
}

function rangeOf(fromMs: number, untilMs: number): TimeRange {
  return { from: new Date(fromMs).toISOString(), until: new Date(untilMs).toISOString() }
}
