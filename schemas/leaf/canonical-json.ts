import { SealtrailError } from '../errors.ts'

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

/** Deeper values are refused: the recursion of every reader stays bounded. */
export const maxJsonDepth = 64

/**
 * RFC 8785 JSON Canonicalization Scheme: keys sorted by UTF-16 code units, ECMAScript number and string forms.
 *
 * @throws SealtrailError `CANONICAL_JSON_INVALID` for lone surrogates, numbers that JSON cannot hold, values that are
 *   no JSON, and nesting beyond {@link maxJsonDepth}.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value !== 'object') return write(value, 0)
  const ordered = inOrder(value, 0)
  if (ordered !== undefined) {
    const text = JSON.stringify(ordered)
    // JSON.stringify writes lone surrogates as escapes, and what is well-formed never: the rest settles which it was.
    if (!text.includes('\\ud')) return text
  }
  return write(value, 0)
}

/**
 * The same value with the keys of every object in canonical order, for JSON.stringify, which writes numbers and strings
 * as RFC 8785 does and is several times faster than writing them one by one. The value itself where it is in order
 * already; undefined when no object of JavaScript has that order: integer keys always come first, and `__proto__` is
 * no key that can be set.
 */
function inOrder(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value)) throw refused(`the number ${value}`)
      return value
    case 'object':
      if (value === null) return null
      if (depth >= maxJsonDepth) throw refused(`nesting beyond ${maxJsonDepth}`)
      return Array.isArray(value) ? arrayInOrder(value, depth) : objectInOrder(value, depth)
    default:
      throw refused(`a value of type ${typeof value}`)
  }
}

function arrayInOrder(items: readonly unknown[], depth: number): unknown {
  let copy: unknown[] | undefined
  for (let i = 0; i < items.length; i++) {
    const item = inOrder(items[i], depth + 1)
    if (item === undefined) return undefined
    if (item === items[i]) continue
    copy ??= [...items]
    copy[i] = item
  }
  return copy ?? items
}

function objectInOrder(object: object, depth: number): unknown {
  if (!isPlain(object)) throw refused('an object of a class')
  const keys = Object.keys(object)
  let sorted = true
  for (let i = 1; i < keys.length && sorted; i++) sorted = (keys[i - 1] ?? '') < (keys[i] ?? '')
  if (!sorted) {
    if (keys.some((key) => key === '__proto__' || isDigit(key.charCodeAt(0)))) return undefined
    keys.sort()
  }
  let copy: Record<string, unknown> | undefined = sorted ? undefined : {}
  for (const key of keys) {
    const item = inOrder(object[key], depth + 1)
    if (item === undefined) return undefined
    if (copy === undefined && item !== object[key]) {
      if (keys.includes('__proto__')) return undefined
      copy = { ...object }
    }
    if (copy !== undefined) copy[key] = item
  }
  return copy ?? object
}

function isDigit(char: number): boolean {
  return char >= 0x30 && char <= 0x39
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return writeString(value)
    case 'number':
      if (!Number.isFinite(value)) throw refused(`the number ${value}`)
      return JSON.stringify(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth >= maxJsonDepth) throw refused(`nesting beyond ${maxJsonDepth}`)
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth)
    default:
      throw refused(`a value of type ${typeof value}`)
  }
}

function writeString(text: string): string {
  const written = JSON.stringify(text)
  // Lone surrogates are escaped, and what is well-formed never begins so; a backslash before `ud` is one too.
  if (written.includes('\\ud') && !text.isWellFormed()) throw refused('a lone surrogate')
  return written
}

function writeArray(items: readonly unknown[], depth: number): string {
  let text = '['
  for (let i = 0; i < items.length; i++) {
    if (i > 0) text += ','
    text += write(items[i], depth + 1)
  }
  return `${text}]`
}

function writeObject(object: object, depth: number): string {
  if (!isPlain(object)) throw refused('an object of a class')
  let text = '{'
  for (const key of Object.keys(object).sort()) {
    if (text.length > 1) text += ','
    text += `${writeString(key)}:${write(object[key], depth + 1)}`
  }
  return `${text}}`
}

function isPlain(object: object): object is Record<string, unknown> {
  const prototype: unknown = Object.getPrototypeOf(object)
  return prototype === Object.prototype || prototype === null
}

function refused(what: string): SealtrailError {
  return new SealtrailError('CANONICAL_JSON_INVALID', `${what} has no canonical JSON form`)
}

/**
 * First key that stands twice in one object of a valid JSON text; undefined when there is none. Parsers disagree on
 * which of the two counts, so an attacker could show one value to a tool and another to the record.
 */
export function findDuplicateKey(text: string): string | undefined {
  const scopes: (Set<string> | undefined)[] = []
  let expectKey = false
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
        scopes.push(new Set())
        expectKey = true
        break
      case '[':
        scopes.push(undefined)
        expectKey = false
        break
      case '}':
      case ']':
        scopes.pop()
        expectKey = false
        break
      case ',':
        expectKey = scopes.at(-1) !== undefined
        break
      case '"': {
        const from = at
        at = endOfString(text, at)
        const keys = scopes.at(-1)
        if (!expectKey || keys === undefined) break
        const literal = text.slice(from, at + 1)
        const key: unknown = literal.includes('\\') ? JSON.parse(literal) : literal.slice(1, -1)
        if (typeof key === 'string') {
          if (keys.has(key)) return key
          keys.add(key)
        }
        expectKey = false
        break
      }
    }
  }
  return undefined
}

/** Offset of the closing quote of the string literal that opens at `at`. */
function endOfString(text: string, at: number): number {
  let end = at + 1
  while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
  return end
}
