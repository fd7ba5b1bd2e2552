import type { NameJudgement } from './name-judgement.ts'
import { redactNamedSecret } from './redact-named-secret.ts'
import type { RedactionPass } from './redaction-pass.ts'
import { anyValueKeys, jwkPrivateMembers, pairNameKeys, pairValueKeys } from './secret-names.ts'

interface Literal {
  readonly from: number
  readonly until: number
  readonly text: string
}

interface Frame {
  readonly isArray: boolean
  /** Kind of secret that every value in here is, because of the name it stands under. */
  readonly inherited: string | undefined
  /** Key that the next value of an object stands under. */
  key: string | undefined
  /** Set when the object says `{"name": "password", ...}` (headers, OTLP attributes): then its value is a secret. */
  named: string | undefined
  /** Set when the literal before, in a list, was a command-line flag whose value is a secret. */
  flag: string | undefined
  /** Set when the object has a `kty`: it is a JSON Web Key. */
  isJwk: boolean
  /** What stands under names that only a JSON Web Key makes private. */
  readonly jwkMembers: Literal[]
  /** Values that stand under `value` of this object, at any depth. */
  readonly values: Literal[]
  /** Same, for the enclosing objects whose `value` this frame is in. */
  readonly outer: readonly Literal[][]
}

const maxDepth = 512
const numberToken = /-?\d[\d.eE+-]*/y

/**
 * Replaces secrets in JSON text and changes nothing else: numbers keep their digits, duplicate keys and white space
 * stay. Each string literal is decoded first, so that no escape sequence can hide a secret. Tolerates text that is not
 * JSON: what does not look like a literal is copied.
 *
 * @param redactString what to do with the characters of a literal that stands under no secret name.
 */
export function redactJsonText(
  text: string,
  path: string,
  pass: RedactionPass,
  redactString: (text: string) => string,
): string {
  const edits = new Map<number, { until: number; text: string }>()
  const { names } = pass
  const frames: Frame[] = [open(undefined, false, names)]
  let at = 0
  while (at < text.length) {
    const frame = frames.at(-1)
    if (frame === undefined) break
    const char = text.charCodeAt(at)
    if (char === 0x22) {
      const until = literalEnd(text, at)
      readLiteral(frame, at, until)
      at = until
    } else if (char === 0x7b || char === 0x5b) {
      frame.flag = undefined
      if (frames.length < maxDepth) frames.push(open(frame, char === 0x5b, names))
      at++
    } else if (char === 0x7d || char === 0x5d) {
      if (frames.length > 1) close(frames.pop())
      at++
    } else if (char === 0x2c) {
      if (!frame.isArray) frame.key = undefined
      at++
    } else if (char === 0x2d || (char >= 0x30 && char <= 0x39)) {
      at = readNumber(frame, at)
    } else at++
  }
  while (frames.length > 0) close(frames.pop())
  return apply(text, edits)

  function readLiteral(frame: Frame, from: number, until: number): void {
    const value = decode(text.slice(from, until))
    if (!frame.isArray && frame.key === undefined && isKey(text, until)) {
      frame.key = value
      const redacted = redactString(value)
      if (redacted !== value) edit(from, until, redacted)
      return
    }
    if (!frame.isArray && frame.key !== undefined) {
      if (pairNameKeys.has(frame.key)) frame.named ??= names.kindOf(value)
      if (frame.key === 'kty') frame.isJwk = names.jsonWebKeys
    }
    const kind = slotKind(frame, names) ?? (value.startsWith('-') ? undefined : frame.flag)
    frame.flag = frame.isArray ? names.flagKindOf(value) : undefined
    const redacted =
      kind === undefined ? redactString(value) : redactNamedSecret(value, kind, path, pass)
    if (redacted !== value) edit(from, until, redacted)
    remember(frame, { from, until, text: redacted })
  }

  function readNumber(frame: Frame, from: number): number {
    numberToken.lastIndex = from
    const token = numberToken.exec(text)?.[0] ?? text.charAt(from)
    const until = from + token.length
    const kind = slotKind(frame, names) ?? frame.flag
    frame.flag = undefined
    if (kind !== undefined) edit(from, until, redactNamedSecret(token, kind, path, pass))
    else {
      // A number can be that of a card, too.
      const redacted = redactString(token)
      if (redacted !== token) edit(from, until, redacted)
      remember(frame, { from, until, text: redacted })
    }
    return until
  }

  function close(frame: Frame | undefined): void {
    if (frame?.named !== undefined) redactAll(frame.values, frame.named)
    if (frame?.isJwk === true) redactAll(frame.jwkMembers, 'private-key')
  }

  function redactAll(literals: readonly Literal[], kind: string): void {
    for (const { from, until, text: value } of literals) {
      const redacted = redactNamedSecret(value, kind, path, pass)
      if (redacted !== value) edit(from, until, redacted)
    }
  }

  function edit(from: number, until: number, replacement: string): void {
    edits.set(from, { until, text: JSON.stringify(replacement) })
  }
}

function open(parent: Frame | undefined, isArray: boolean, names: NameJudgement): Frame {
  const slot = parent === undefined ? undefined : slotKind(parent, names)
  const outer = parent === undefined ? [] : [...parent.outer]
  // Bounded: more than this many enclosing `value` keys are not followed.
  if (parent?.key !== undefined && pairValueKeys.has(parent.key) && outer.length < 4) {
    outer.push(parent.values)
  }
  return {
    isArray,
    inherited: isArray || (parent?.key !== undefined && slot !== undefined) ? slot : undefined,
    key: undefined,
    named: undefined,
    flag: undefined,
    isJwk: false,
    jwkMembers: [],
    values: [],
    outer,
  }
}

/** Kind of secret that the value at the current position is, by the names around it. */
function slotKind(frame: Frame, names: NameJudgement): string | undefined {
  if (frame.isArray) return frame.inherited
  if (frame.key === undefined) return undefined
  const own = names.kindOf(frame.key)
  if (own !== undefined) return own
  return frame.inherited !== undefined && anyValueKeys.has(frame.key) ? frame.inherited : undefined
}

function remember(frame: Frame, literal: Literal): void {
  if (frame.key !== undefined && pairValueKeys.has(frame.key)) frame.values.push(literal)
  if (frame.key !== undefined && jwkPrivateMembers.has(frame.key)) frame.jwkMembers.push(literal)
  for (const values of frame.outer) values.push(literal)
}

/** Offset after the closing quote of the literal that begins at `from`, or the end of the text. */
function literalEnd(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char === 0x5c) at++
    else if (char === 0x22) return at + 1
  }
  return text.length
}

function isKey(text: string, until: number): boolean {
  for (let at = until; at < text.length; at++) {
    const char = text.charCodeAt(at)
    if (char !== 0x20 && char !== 0x09 && char !== 0x0a && char !== 0x0d) return char === 0x3a
  }
  return false
}

/** The characters of a literal; a broken one (cut, raw control characters) is read leniently. */
function decode(literal: string): string {
  try {
    const value: unknown = JSON.parse(literal)
    if (typeof value === 'string') return value
  } catch {
    // read below
  }
  return literal
    .slice(1)
    .replace(/"$/, '')
    .replace(/\\u([0-9a-fA-F]{4})|\\(.)/gs, (_, hex: string | undefined, char = '') =>
      hex === undefined ? char : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}

function apply(text: string, edits: ReadonlyMap<number, { until: number; text: string }>): string {
  if (edits.size === 0) return text
  const parts: string[] = []
  let copied = 0
  for (const [from, edit] of [...edits].sort(([a], [b]) => a - b)) {
    parts.push(text.slice(copied, from), edit.text)
    copied = edit.until
  }
  parts.push(text.slice(copied))
  return parts.join('')
}
