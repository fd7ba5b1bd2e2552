import {
  findDuplicateKey,
  type JsonValue,
  maxJsonDepth,
} from '../../schemas/leaf/canonical-json.ts'

/** Text of a string or number; undefined for anything else and for the empty string. */
export function readText(value: JsonValue | undefined): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value
  return typeof value === 'number' ? String(value) : undefined
}

/** Number of a number or of its decimal text. */
export function readNumber(value: JsonValue | undefined): number | undefined {
  if (typeof value === 'number') return value
  if (
    typeof value !== 'string' ||
    !/^-?\d{1,18}(?:\.\d{1,18})?(?:[eE][+-]?\d{1,2})?$/.test(value)
  ) {
    return undefined
  }
  return Number(value)
}

/** Count: a number or its text, at least zero, whole. */
export function readCount(value: JsonValue | undefined): number | undefined {
  const number = readNumber(value)
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}

/** `true`, `"true"`, `1`: sources do not agree on the type. */
export function readBoolean(value: JsonValue | undefined): boolean | undefined {
  if (typeof value === 'boolean') return value
  if (value === 'true' || value === 'True' || value === 1 || value === '1') return true
  if (value === 'false' || value === 'False' || value === 0 || value === '0') return false
  return undefined
}

/**
 * Duration in milliseconds. A bare number is in `unit`; text may name its own: `10ms`, `1.204s`, `35µs`, `900ns`.
 */
export function readDurationMs(
  value: JsonValue | undefined,
  unit: 'ns' | 'ms' | 's' = 'ms',
): number | undefined {
  const bare = readNumber(value)
  if (bare !== undefined) return nonNegative(bare * (msPer[unit] ?? Number.NaN))
  if (typeof value !== 'string') return undefined
  const [, digits, suffix] = /^(\d{1,15}(?:\.\d{1,12})?) ?(ns|us|µs|μs|ms|s|m)$/.exec(value) ?? []
  if (digits === undefined || suffix === undefined) return undefined
  return nonNegative(Number(digits) * (msPer[suffix] ?? Number.NaN))
}

const msPer: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
}

function nonNegative(ms: number): number | undefined {
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined
}

/** Scopes as OAuth writes them (RFC 6749 section 3.3: separated by spaces) or as a list. */
export function readScopes(value: JsonValue | undefined): readonly string[] | undefined {
  if (typeof value === 'string') return value.split(/ +/).filter((scope) => scope !== '')
  return Array.isArray(value) && value.every((scope) => typeof scope === 'string')
    ? value
    : undefined
}

/** A JSON value that a source wrote as text; text that is no JSON object or list stays text. */
export function readJsonText(value: JsonValue | undefined): JsonValue | undefined {
  if (typeof value !== 'string') return value === null ? undefined : value
  if (value === '') return undefined
  if (!/^\s{0,64}[[{]/.test(value)) return value
  return parseJson(value) ?? value
}

/**
 * Value of JSON text that stood inside of a record. Undefined when it is none, is nested too deep for an event, or has
 * a duplicate key, of which a tool may have read the other one.
 */
export function parseJson(text: string): JsonValue | undefined {
  try {
    const parsed: JsonValue = JSON.parse(text)
    if (depthOf(parsed) >= maxJsonDepth - 4 || findDuplicateKey(text) !== undefined)
      return undefined
    return mayLackCanonicalForm(text) ? canonicalised(parsed) : parsed
  } catch {
    return undefined
  }
}

/** Cheap test: false when the value of this JSON text surely has a canonical form (see {@link canonicalised}). */
export function mayLackCanonicalForm(text: string): boolean {
  if (/\\u[dD][89a-fA-F]|\d[eE]\+?\d{3}/.test(text)) return true
  // The largest double has 309 digits; an exponent of two digits moves the point by 99 at most.
  return /\d{16}/.test(text) && /\d{200}/.test(text)
}

/**
 * The value as it can stand in an event: lone surrogates, which have no UTF-8, become U+FFFD, and numbers beyond the
 * range of a double, which JSON would write as `null`, become the text `Infinity` or `-Infinity`. The same value when
 * there is nothing to change.
 */
export function canonicalised(value: JsonValue): JsonValue {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const items = value.map(canonicalised)
    return items.every((item, i) => item === value[i]) ? value : items
  }
  const entries = Object.entries(value)
  const changed = entries.map(([key, each]): [string, JsonValue] => [
    key.toWellFormed(),
    canonicalised(each),
  ])
  return changed.every(([key, each], i) => key === entries[i]?.[0] && each === entries[i]?.[1])
    ? value
    : Object.fromEntries(changed)
}

/** Nesting of a value; stops counting when it is past what an event may hold. */
export function depthOf(value: JsonValue, limit = maxJsonDepth + 1): number {
  if (typeof value !== 'object' || value === null || limit <= 0) return 0
  let deepest = 0
  for (const child of Object.values(value)) {
    if (typeof child === 'object') deepest = Math.max(deepest, depthOf(child, limit - 1))
  }
  return deepest + 1
}

const placeholder =
  /^(?:anonymous|unknown|none|null|undefined|n\/a|nobody|redacted|-+|\*+(?:REDACTED)?\*+|<[^>]{0,64}>|\[REDACTED\]|[a-z]{0,8}_?[0-]{8,})$/i

/** Who a source names, or undefined with a note where it names a stand-in (`anonymous`, `***REDACTED***`, `-`, `<USERNAME>`). */
export function readIdentity(
  field: string,
  value: JsonValue | undefined,
  notes: string[],
): string | undefined {
  const text = readText(value)
  if (text === undefined) return undefined
  if (!placeholder.test(text)) return text
  notes.push(`${field}:${/redact|\*|</i.test(text) ? 'redacted_by_source' : 'placeholder'}`)
  return undefined
}
