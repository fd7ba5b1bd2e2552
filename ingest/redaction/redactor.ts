import type { EventFields } from '../../schemas/event/event.ts'
import { redactNamedSecret } from './redact-named-secret.ts'
import { redactText } from './redact-text.ts'
import {
  createRedactionPass,
  pointerSegment,
  type Redaction,
  type RedactionPass,
} from './redaction-pass.ts'
import {
  anyValueKeys,
  jwkPrivateMembers,
  pairNameKeys,
  pairValueKeys,
  secretFlagKind,
  secretNameKind,
} from './secret-names.ts'

export interface RedactorOptions {
  /** HMAC token of a secret, see `createRedactionToken`. Absent before the log's token key is known. */
  readonly token?: ((kind: string, secret: string) => string) | undefined
}

export interface RedactedText {
  readonly text: string
  readonly redactions: readonly Redaction[]
}

/** Replaces secrets by `[redacted:<kind>:<token>]`. Pure; keeps no state between calls. */
export interface Redactor {
  /**
   * The event with every secret replaced, in all string fields and inside all JSON fields, with the manifest in
   * `redactions` and `redaction.count`. The same object when there was nothing to replace.
   */
  redactEvent<E extends EventFields>(event: E): E
  /** Same for one text that belongs to no event, e.g. the bytes of a request that could not be decoded. */
  redactText(text: string): RedactedText
}

/** Entries of the manifest that an event carries; `redaction.count` counts all. */
const maxManifest = 128
const maxDepth = 512

/** Fields that hold no content of a sender, or that this pass itself writes. */
const notScanned: ReadonlySet<string> = new Set([
  'event.class',
  'record.disposition',
  'record.notes',
  'redactions',
  'source.id',
  'time.occurred',
  'time.observed',
  'time.recorded',
])

export function createRedactor(options: RedactorOptions = {}): Redactor {
  return {
    redactEvent: (event) => redactEvent(event, createRedactionPass(options.token)),
    redactText(text) {
      const pass = createRedactionPass(options.token)
      return { text: redactText(text, '', pass), redactions: pass.redactions }
    },
  }
}

function redactEvent<E extends EventFields>(event: E, pass: RedactionPass): E {
  const changed: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(event)) {
    if (value === undefined || typeof value === 'number' || notScanned.has(field)) continue
    const redacted = redactValue(value, `/${pointerSegment(field)}`, undefined, pass, 0)
    if (redacted !== value) changed[field] = redacted
  }
  if (pass.redactions.length === 0) return event
  if ('gen_ai.tool.call.arguments' in changed) {
    changed['arguments.capture'] = afterRedaction(event['arguments.capture'])
  }
  if ('gen_ai.tool.call.result' in changed) {
    changed['result.capture'] = afterRedaction(event['result.capture'])
  }
  const earlier = Array.isArray(event.redactions) ? event.redactions : []
  changed.redactions = [...earlier, ...manifestOf(pass.redactions)].slice(0, maxManifest)
  changed['redaction.count'] = (event['redaction.count'] ?? 0) + countOf(pass.redactions)
  return withFields(event, changed)
}

/** The cast is safe: only strings and JSON values are replaced, each by a value of the same type. */
function withFields<E extends EventFields>(event: E, changed: Record<string, unknown>): E {
  return { ...event, ...changed } as E
}

function afterRedaction<C extends EventFields['arguments.capture']>(capture: C): C | 'redacted' {
  return capture === 'truncated' ? capture : 'redacted'
}

/** The same secret stands in the raw record and in the field mapped from it: it is counted once. */
function countOf(redactions: readonly Redaction[]): number {
  const raw = redactions.filter(({ path }) => path === '/raw.record').length
  return Math.max(raw, redactions.length - raw)
}

function manifestOf(redactions: readonly Redaction[]): Redaction[] {
  const seen = new Map(redactions.map((entry) => [`${entry.path} ${entry.rule}`, entry]))
  return [...seen.values()]
}

function redactValue(
  value: unknown,
  path: string,
  named: string | undefined,
  pass: RedactionPass,
  depth: number,
): unknown {
  if (typeof value === 'string') {
    return named === undefined
      ? redactText(value, path, pass)
      : redactNamedSecret(value, named, path, pass)
  }
  if (typeof value === 'number' && named !== undefined) {
    return redactNamedSecret(String(value), named, path, pass)
  }
  if (typeof value !== 'object' || value === null) return value
  if (depth > maxDepth) return pass.replace(path, 'too-deep', '')
  return Array.isArray(value)
    ? redactArray(value, path, named, pass, depth)
    : redactObject(value, path, named, pass, depth)
}

function redactArray(
  array: readonly unknown[],
  path: string,
  named: string | undefined,
  pass: RedactionPass,
  depth: number,
): readonly unknown[] {
  let copy: unknown[] | undefined
  for (let index = 0; index < array.length; index++) {
    const element = array[index]
    const kind = named ?? argumentKind(array[index - 1], element)
    const redacted = redactValue(element, `${path}/${index}`, kind, pass, depth + 1)
    if (redacted === element) continue
    copy ??= [...array]
    copy[index] = redacted
  }
  return copy ?? array
}

/** `["--password", "..."]`: what stands after a flag is its value, unless it is a flag as well. */
function argumentKind(before: unknown, element: unknown): string | undefined {
  if (typeof before !== 'string' || !before.startsWith('-')) return undefined
  return typeof element === 'string' && element.startsWith('-') ? undefined : secretFlagKind(before)
}

function redactObject(
  object: object,
  path: string,
  named: string | undefined,
  pass: RedactionPass,
  depth: number,
): object {
  const pair = pairKind(object)
  const isJwk = 'kty' in object && typeof object.kty === 'string'
  let changed = false
  const entries = Object.entries(object).map(([key, value]): [string, unknown] => {
    const kind =
      isJwk && jwkPrivateMembers.has(key)
        ? 'private-key'
        : (secretNameKind(key) ?? inheritedKind(key, named, pair))
    const redactedKey = redactText(key, path, pass)
    const redacted = redactValue(
      value,
      `${path}/${pointerSegment(redactedKey)}`,
      kind,
      pass,
      depth + 1,
    )
    if (redacted !== value || redactedKey !== key) changed = true
    return [redactedKey, redacted]
  })
  return changed ? Object.fromEntries(entries) : object
}

function inheritedKind(
  key: string,
  named: string | undefined,
  pair: string | undefined,
): string | undefined {
  if (pair !== undefined && pairValueKeys.has(key)) return pair
  return named !== undefined && anyValueKeys.has(key) ? named : undefined
}

/** `{"name": "authorization", "value": "..."}`, as header lists and OTLP attributes are written. */
function pairKind(object: object): string | undefined {
  for (const key of pairNameKeys) {
    const name: unknown = Object.hasOwn(object, key) ? Reflect.get(object, key) : undefined
    const kind = typeof name === 'string' ? secretNameKind(name) : undefined
    if (kind !== undefined) return kind
  }
  return undefined
}
