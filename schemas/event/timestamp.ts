/**
 * Canonical instants: RFC 3339 in UTC with exactly nine fractional digits, e.g. `2026-11-24T13:20:00.123000000Z`.
 *
 * One form makes timestamps sortable as text, stable under hashing, and exact beyond the 53 bits of a JS number.
 */
export type Timestamp = string

const rfc3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9})\d*)?([Zz]|[+-]\d{2}:\d{2})$/
const canonical = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}Z$/

/** First and last instants that a canonical event may carry; beyond them columnar DateTime64(9) would wrap. */
export const minTimestamp: Timestamp = '1970-01-01T00:00:00.000000000Z'
export const maxTimestamp: Timestamp = '2262-01-01T00:00:00.000000000Z'

export function isTimestamp(value: string): boolean {
  return canonical.test(value) && isDateTime(value)
}

/** Canonical form of an RFC 3339 string with any offset; undefined when it is none or out of range. */
export function normaliseTimestamp(value: string): Timestamp | undefined {
  const match = rfc3339.exec(value)
  if (!match) return undefined
  const [, year, month, day, hour, minute, second, fraction = '', offset = 'Z'] = match
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second === '60' ? '59' : second}`
  const utc = offset === 'Z' || offset === 'z' ? local : shifted(local, offset)
  if (utc === undefined || !isDateTime(utc)) return undefined
  const normal = `${utc}.${fraction.padEnd(9, '0')}Z`
  return normal >= minTimestamp && normal < maxTimestamp ? normal : undefined
}

/** The same instant in UTC. */
function shifted(local: string, offset: string): string | undefined {
  const ms = Date.parse(`${local}${offset}`)
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString().slice(0, 19)
}

/** True when `YYYY-MM-DDThh:mm:ss` names a time of the Gregorian calendar; the shape was checked before. */
function isDateTime(text: string): boolean {
  const day = twoDigits(text, 8)
  return (
    day >= 1 &&
    day <= daysInMonth(twoDigits(text, 0) * 100 + twoDigits(text, 2), twoDigits(text, 5)) &&
    twoDigits(text, 11) < 24 &&
    twoDigits(text, 14) < 60 &&
    twoDigits(text, 17) < 60
  )
}

function twoDigits(text: string, at: number): number {
  return text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 0x30 * 11
}

/** 0 for what is no month. */
function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28
  if (month < 1 || month > 12) return 0
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Canonical form of Unix time in milliseconds (fractions are kept to a microsecond). */
export function timestampFromMs(ms: number): Timestamp {
  const whole = Math.floor(ms)
  // Floating point may round a fraction up to a whole millisecond, which would be a fourth digit.
  const micros = Math.min(999, Math.round((ms - whole) * 1000))
  return `${new Date(whole).toISOString().slice(0, 23)}${String(micros).padStart(3, '0')}000Z`
}

/** Canonical form of Unix time in nanoseconds, given as decimal text (OTLP `timeUnixNano`). */
export function timestampFromUnixNano(nanos: string | bigint): Timestamp | undefined {
  let value: bigint
  try {
    value = BigInt(nanos)
  } catch {
    return undefined
  }
  if (value < 0n || value > 9_214_646_400_000_000_000n) return undefined
  const seconds = Number(value / 1_000_000_000n)
  const fraction = String(value % 1_000_000_000n).padStart(9, '0')
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${fraction}Z`
}

/** Unix milliseconds of a canonical timestamp, with fractions. */
export function timestampToMs(value: Timestamp): number {
  return Date.parse(`${value.slice(0, 23)}Z`) + Number(value.slice(23, 29)) / 1e6
}
