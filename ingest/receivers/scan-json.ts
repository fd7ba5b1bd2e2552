import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { isJsonObject } from '../mappings/mapping.ts'

/** Half-open range of offsets. */
export interface Slice {
  readonly from: number
  readonly until: number
}

export interface Member extends Slice {
  readonly key: string
}

/**
 * Where the elements of a list stand in valid JSON text. Records are kept exactly as they were sent (digits of large
 * numbers, white space, duplicate keys), which a parsed value has lost.
 *
 * @param at offset of `[`, or of white space before it.
 */
export function arrayElements(text: string, at: number): Slice[] {
  const elements: Slice[] = []
  let from = skipBlank(text, skipBlank(text, at) + 1)
  while (from < text.length && text[from] !== ']') {
    const until = valueEnd(text, from)
    elements.push({ from, until })
    from = skipBlank(text, until)
    if (text[from] === ',') from = skipBlank(text, from + 1)
  }
  return elements
}

/** Same for an object: every member, also of duplicate keys. */
export function objectMembers(text: string, at: number): Member[] {
  const members: Member[] = []
  let keyFrom = skipBlank(text, skipBlank(text, at) + 1)
  while (keyFrom < text.length && text[keyFrom] !== '}') {
    const keyUntil = valueEnd(text, keyFrom)
    const key: unknown = JSON.parse(text.slice(keyFrom, keyUntil))
    const from = skipBlank(text, skipBlank(text, keyUntil) + 1)
    const until = valueEnd(text, from)
    if (typeof key === 'string') members.push({ key, from, until })
    keyFrom = skipBlank(text, until)
    if (text[keyFrom] === ',') keyFrom = skipBlank(text, keyFrom + 1)
  }
  return members
}

function skipBlank(text: string, at: number): number {
  let next = at
  while (next < text.length && isBlank(text.charCodeAt(next))) next++
  return next
}

function isBlank(char: number): boolean {
  return char === 0x20 || char === 0x0a || char === 0x0d || char === 0x09
}

function valueEnd(text: string, from: number): number {
  const first = text[from]
  if (first === '"') return stringEnd(text, from)
  if (first !== '{' && first !== '[') {
    let at = from
    while (at < text.length && !',]}'.includes(text.charAt(at)) && !isBlank(text.charCodeAt(at)))
      at++
    return at
  }
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x22) at = stringEnd(text, at) - 1
    else if (char === 0x7b || char === 0x5b) depth++
    else if (char === 0x7d || char === 0x5d) {
      depth--
      if (depth === 0) return at + 1
    }
  }
  return text.length
}

/** Quotes are looked for by the engine, which compares many characters at once; escaped ones are passed over. */
function stringEnd(text: string, from: number): number {
  for (let at = text.indexOf('"', from + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let backslash = at - 1
    while (text.charCodeAt(backslash) === 0x5c) backslash--
    if ((at - backslash) % 2 === 1) return at + 1
  }
  return text.length
}

/** What one pass over valid JSON text finds. */
export interface JsonShape {
  /** Deepest nesting of objects and lists. */
  readonly depth: number
  /** Members of all objects, those of a duplicate key one by one. */
  readonly members: number
  /** True when a number has an exponent or so many characters that a double may keep only a part of it. */
  readonly hasUnusualNumber: boolean
}

/** Fewer characters than this, and no exponent: a double keeps all of the number. */
const unusualNumberChars = 16

export function jsonShape(text: string): JsonShape {
  let depth = 0
  let deepest = 0
  let members = 0
  let numberFrom = -1
  let hasUnusualNumber = false
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char >= 0x30 && char <= 0x39) {
      if (numberFrom < 0) numberFrom = at
      else if (at - numberFrom >= unusualNumberChars - 1) hasUnusualNumber = true
      continue
    }
    if (numberFrom >= 0) {
      if (char === 0x2e) continue
      if (char === 0x45 || char === 0x65) hasUnusualNumber = true
      numberFrom = -1
    }
    if (char === 0x22) at = stringEnd(text, at) - 1
    else if (char === 0x3a) members++
    else if (char === 0x7b || char === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (char === 0x7d || char === 0x5d) depth--
  }
  return { depth: deepest, members, hasUnusualNumber }
}

/** Members of all objects of a value: fewer than in the text that it was parsed from when a key stood twice in one. */
export function countMembers(value: JsonValue): number {
  if (typeof value !== 'object' || value === null) return 0
  let members = 0
  if (Array.isArray(value)) {
    for (const item of value) members += countMembers(item)
    return members
  }
  if (!isJsonObject(value)) return 0
  for (const key of Object.keys(value)) members += 1 + countMembers(value[key] ?? null)
  return members
}

/** True when valid JSON text holds an integer beyond 2^53, which a parsed value shows wrong (RFC 7493 section 2.2). */
export function hasUnsafeInteger(text: string): boolean {
  return /\d{16}/.test(text) && someNumber(text, isUnsafeInteger)
}

/** True when valid JSON text may hold a number of which a double keeps only a part: digits, or all of it. */
export function hasInexactNumber(text: string): boolean {
  return /\d[\d.]{15}|\d[eE][+-]?\d/.test(text) && someNumber(text, isInexact)
}

function isUnsafeInteger(number: string): boolean {
  return /^-?\d{16,}$/.test(number) && !Number.isSafeInteger(Number(number))
}

function isInexact(number: string): boolean {
  const value = Number(number)
  if (String(value) === number) return false
  const [mantissa = ''] = number.split(/[eE]/)
  // A double keeps 15 decimal digits, whichever they are.
  const digits = mantissa.replace(/[-.]/g, '').replace(/^0+/, '')
  return digits.length > 15 || !Number.isFinite(value) || (value === 0 && digits !== '')
}

/** Whether one of the numbers of valid JSON text, as they are written, has a property. */
function someNumber(text: string, has: (number: string) => boolean): boolean {
  const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x22) at = stringEnd(text, at) - 1
    else if (char === 0x2d || (char >= 0x30 && char <= 0x39)) {
      number.lastIndex = at
      const written = number.exec(text)?.[0] ?? ''
      if (has(written)) return true
      at += Math.max(1, written.length) - 1
    }
  }
  return false
}

/**
 * Offset of the first character at which text stops being JSON (RFC 8259). JSON.parse names a place only sometimes,
 * and quotes content when it does not.
 */
export function jsonErrorOffset(text: string): number {
  const token = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[[\]{},:]/y
  const stack: ('object' | 'list')[] = []
  /** What may come next: a value, a key, or what follows a value. */
  let state: 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'after' = 'value'
  let at = skipBlank(text, 0)
  while (at < text.length) {
    token.lastIndex = at
    const found = text[at] === '"' ? stringToken(text, at) : token.exec(text)?.[0]
    if (found === undefined) return at
    const next = step(found)
    if (next === undefined) return at
    state = next
    at = skipBlank(text, at + found.length)
  }
  return text.length

  function step(found: string): typeof state | undefined {
    switch (found[0]) {
      case '{':
        if (state !== 'value' && state !== 'value-or-end') return undefined
        stack.push('object')
        return 'key-or-end'
      case '[':
        if (state !== 'value' && state !== 'value-or-end') return undefined
        stack.push('list')
        return 'value-or-end'
      case '}':
        if (stack.at(-1) !== 'object' || (state !== 'after' && state !== 'key-or-end')) {
          return undefined
        }
        stack.pop()
        return 'after'
      case ']':
        if (stack.at(-1) !== 'list' || (state !== 'after' && state !== 'value-or-end')) {
          return undefined
        }
        stack.pop()
        return 'after'
      case ',':
        if (state !== 'after' || stack.length === 0) return undefined
        return stack.at(-1) === 'object' ? 'key' : 'value'
      case ':':
        return state === 'colon' ? 'value' : undefined
      case '"':
        if (state === 'key' || state === 'key-or-end') return 'colon'
        return state === 'value' || state === 'value-or-end' ? 'after' : undefined
      default:
        return state === 'value' || state === 'value-or-end' ? 'after' : undefined
    }
  }
}

/** A string literal that is closed and has no bare control character. */
function stringToken(text: string, from: number): string | undefined {
  const until = stringEnd(text, from)
  if (until - from < 2 || text[until - 1] !== '"') return undefined
  for (let at = from; at < until; at++) if (text.charCodeAt(at) < 0x20) return undefined
  const literal = text.slice(from, until)
  return literal.includes('\\') && !isJsonString(literal) ? undefined : literal
}

function isJsonString(literal: string): boolean {
  try {
    return typeof JSON.parse(literal) === 'string'
  } catch {
    return false
  }
}

/** Line, from 1, of an offset. */
export function lineOf(text: string, offset: number): number {
  let line = 1
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++
  return line
}
