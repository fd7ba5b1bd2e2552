import { redactJsonText } from './redact-json-text.ts'
import { isMarker, markers } from './redaction-marker.ts'
import type { RedactionPass } from './redaction-pass.ts'
import { mayHoldSecret } from './secret-prefilter.ts'
import { type SecretRule, secretRules } from './secret-rules.ts'

/** Longer text is not scanned but replaced as a whole: a request is at most 4 MiB, so this is a bound, not a case. */
export const maxScanLength = 4 * 1024 * 1024 + 64 * 1024
/** JSON inside a string inside JSON ... is opened this deep; below it the text rules apply. */
const maxJsonNesting = 8

/** Replaces every secret, and what the policy of the pass asks for, in a text. JSON text stays JSON. Returns the same string when there is none. */
export function redactText(text: string, path: string, pass: RedactionPass, nesting = 0): string {
  if (text.length > maxScanLength) return pass.replace(path, 'oversize', text.slice(0, 1024))
  const rules = rulesFor(text, pass)
  if (rules.length === 0) return text
  // Text around JSON (a log line, a body that was cut) can hide secrets in escapes as well.
  if (nesting < maxJsonNesting && text.includes('"')) {
    const redacted = redactJsonText(text, path, pass, (inner) =>
      redactText(inner, path, pass, nesting + 1),
    )
    return isJson(redacted) ? redacted : applyRules(rules, redacted, path, pass)
  }
  return applyRules(rules, text, path, pass)
}

/** Rules that may find something in a text. What stands behind an escape is only seen once it is decoded. */
function rulesFor(text: string, pass: RedactionPass): readonly SecretRule[] {
  const personal =
    pass.personalData.length === 0 ||
    text.includes('\\u') ||
    (text.includes('"') && pass.names.personal?.test(text) === true)
      ? pass.personalData
      : pass.personalData.filter((rule) => rule.when.test(text))
  if (!mayHoldSecret(text)) return personal
  return personal.length === 0 ? secretRules : [...secretRules, ...personal]
}

function isJson(text: string): boolean {
  if (!/^\s{0,256}[[{"]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** The text is handled in pieces, so that no rule reads a marker that an earlier rule, or a collector, has written. */
function applyRules(
  rules: readonly SecretRule[],
  text: string,
  path: string,
  pass: RedactionPass,
): string {
  let pieces = text.includes('[redacted:') ? text.split(markers) : [text]
  let changed = false
  for (const rule of rules) {
    if (!rule.when.test(text)) continue
    const next = pieces.flatMap((piece) =>
      isMarker(piece) ? piece : applyRule(rule, piece, path, pass),
    )
    if (next.length !== pieces.length) {
      pieces = next
      changed = true
    }
  }
  return changed ? pieces.join('') : text
}

/** The piece cut into what is kept and markers; a list of one when there was nothing to replace. */
function applyRule(rule: SecretRule, text: string, path: string, pass: RedactionPass): string[] {
  const pattern = new RegExp(rule.pattern)
  const parts: string[] = []
  let copied = 0
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    const span =
      rule.secret === undefined ? { from: 0, until: match[0].length } : rule.secret(match)
    const secret =
      span === undefined ? '' : text.slice(match.index + span.from, match.index + span.until)
    if (span === undefined || secret === '') {
      // Nothing here, but what the match ran over may begin another one.
      pattern.lastIndex = match.index + Math.max(1, firstGroupEnd(match))
      continue
    }
    parts.push(
      text.slice(copied, match.index + span.from),
      pass.replace(path, span.kind ?? rule.kind, secret),
    )
    copied = match.index + span.until
    pattern.lastIndex = Math.max(copied, match.index + 1)
  }
  return parts.length === 0 ? [text] : [...parts, text.slice(copied)]
}

function firstGroupEnd(match: RegExpExecArray): number {
  const group = match[1]
  return group !== undefined && match[0].startsWith(group) ? group.length : 1
}
