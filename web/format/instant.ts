/** Instants are shown in UTC, and say so once a screen. */
export function formatInstant(timestamp: string | undefined): string {
  return timestamp === undefined ? '' : `${timestamp.slice(0, 10)} ${timestamp.slice(11, 23)}`
}

/** A duration in the unit that people would say it in. */
export function formatDuration(ms: number | undefined): string {
  if (ms === undefined) return ''
  if (ms >= 3_600_000) return `${(ms / 3_600_000).toFixed(1)} h`
  if (ms >= 60_000) return `${(ms / 60_000).toFixed(1)} min`
  if (ms < 1) return `${ms.toFixed(2)} ms`
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`
}

/** A tail probability in words that people use. */
export function formatProbability(p: number): string {
  return p <= 0 ? 'below 1 in a trillion' : `about 1 in ${Math.round(1 / p).toLocaleString('en')}`
}
