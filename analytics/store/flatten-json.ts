/** Leaves of a JSON value beyond this many are not listed; the value itself is kept whole. */
export const maxFlattened = 512
/** Longer texts are listed up to here. */
export const maxFlattenedChars = 4096

/** Parallel lists: `paths[i]` leads to `values[i]`. */
export interface Flattened {
  readonly paths: string[]
  readonly values: string[]
}

/**
 * Scalars of a JSON value with their dotted paths, in the order of sorted keys (the ledger keeps no
 * other): what `args.path:value` finds without parsing
 * JSON in a query. Items of a list stand under the path of the list. Strings as they are, other scalars as JSON text.
 */
export function flattenJson(value: unknown): Flattened {
  const found: Flattened = { paths: [], values: [] }
  walk(value, '', found)
  return found
}

function walk(value: unknown, path: string, found: Flattened): void {
  if (found.paths.length >= maxFlattened || value === undefined) return
  if (typeof value !== 'object' || value === null) {
    const text = typeof value === 'string' ? value : String(value)
    found.paths.push(path)
    found.values.push(cutText(text, maxFlattenedChars))
    return
  }
  if (Array.isArray(value)) {
    for (const item of value) walk(item, path, found)
    return
  }
  for (const [key, item] of Object.entries(value).sort(byKey)) {
    walk(item, path === '' ? key : `${path}.${key}`, found)
  }
}

/** Orders entries by key, as canonical JSON does. */
export function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** The beginning of a text, never half a surrogate pair. */
export function cutText(text: string, chars: number): string {
  if (text.length <= chars) return text
  const last = text.charCodeAt(chars - 1)
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? chars - 1 : chars)
}
