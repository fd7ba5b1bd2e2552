import type { SourceRow } from '../../schemas/api/sources.ts'

/** A rate in the unit that people would say it in. */
export function formatRate(perMinute: number): string {
  if (perMinute === 0) return '0'
  if (perMinute >= 600) return `${Math.round(perMinute / 60).toLocaleString('en')}/s`
  if (perMinute >= 1) return `${Number(perMinute.toPrecision(2)).toLocaleString('en')}/min`
  return `${Number((perMinute * 60).toPrecision(2)).toLocaleString('en')}/h`
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number(value.toPrecision(3)).toLocaleString('en')} ${units[unit]}`
}

/** The part of its quota that a source uses most of, 0 to 1 and beyond; undefined where nothing came since the start. */
export function quotaUse({
  sinceStart,
  quota,
}: Pick<SourceRow, 'sinceStart' | 'quota'>): number | undefined {
  if (sinceStart === null) return undefined
  return Math.max(
    sinceStart.eventsPerSecond / quota.eventsPerSecond,
    sinceStart.bytesPerSecond / quota.bytesPerSecond,
    quota.rejectedBytesPerDay === 0 ? 0 : sinceStart.rejectedBytesToday / quota.rejectedBytesPerDay,
  )
}
