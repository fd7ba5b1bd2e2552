import type { EventFields } from '../../schemas/event/event.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { defaultRedactionPolicy, type RedactionPolicy } from '../../schemas/redaction-policy.ts'
import { looksLikeKeyMaterial } from './entropy.ts'
import { freeFields } from './free-fields.ts'
import { type NameJudgement, namesOf, noNames } from './name-judgement.ts'
import { compilePathRules } from './path-rules.ts'
import { personalDataRules } from './personal-data-rules.ts'
import { redactNamedSecret } from './redact-named-secret.ts'
import { maxScanLength, redactText } from './redact-text.ts'
import { isMarker } from './redaction-marker.ts'
import {
  createRedactionPass,
  credentialsOnly,
  type PassPolicy,
  pointerSegment,
  type Redaction,
  type RedactionPass,
} from './redaction-pass.ts'
import { anyValueKeys, jwkPrivateMembers, pairNameKeys, pairValueKeys } from './secret-names.ts'
import { mayHoldSecret } from './secret-prefilter.ts'

export interface RedactorOptions {
  /** HMAC token of a secret, see `createRedactionToken`. Absent before the log's token key is known. */
  readonly token?: ((kind: string, secret: string) => string) | undefined
  /** Default: {@link defaultRedactionPolicy}. */
  readonly policy?: RedactionPolicy | undefined
}

export interface RedactedText {
  readonly text: string
  readonly redactions: readonly Redaction[]
}

/** Replaces secrets, and what the policy names, by `[redacted:<kind>:<token>]`. Pure; keeps no state between calls. */
export interface Redactor {
  /**
   * The event with every secret replaced, in all string fields and inside all JSON fields, with the manifest in
   * `redactions` and `redaction.count`. The same object when there was nothing to replace.
   *
   * Personal data is looked for in what a source says freely: arguments, results, texts and the raw record. The fields
   * of identity are what they are: a path rule of the policy hashes or drops them.
   */
  redactEvent<E extends EventFields>(event: E): E
  /** What {@link redactEvent} would replace or hint at, with the event as it would be. */
  inspectEvent<E extends EventFields>(event: E): { event: E; redactions: readonly Redaction[] }
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
  'source.certificate',
  'time.occurred',
  'time.observed',
  'time.recorded',
])

export function createRedactor(options: RedactorOptions = {}): Redactor {
  const policy = passPolicy(options.policy ?? defaultRedactionPolicy)
  const newPass = () => createRedactionPass(options.token, policy)
  return {
    redactEvent: (event) => redactEvent(event, newPass()),
    inspectEvent(event) {
      const pass = newPass()
      const redacted = redactEvent(event, pass)
      return { event: redacted, redactions: manifestOf(pass.redactions) }
    },
    redactText(text) {
      const pass = newPass()
      return { text: redactText(text, '', pass), redactions: pass.redactions }
    },
  }
}

function passPolicy(policy: RedactionPolicy): PassPolicy {
  return {
    names: namesOf(policy.personalData),
    personalData: personalDataRules.filter(({ kind }) => policy.personalData.includes(kind)),
    paths: compilePathRules(policy.paths),
    entropyHints: policy.entropyHints,
  }
}

function redactEvent<E extends EventFields>(event: E, pass: RedactionPass): E {
  const changed: Record<string, unknown> = {}
  const identityPass: RedactionPass = seeksOnlySecrets(pass)
    ? pass
    : { ...pass, ...credentialsOnly, paths: pass.paths }
  for (const field of Object.keys(event)) {
    const value: unknown = event[field as keyof E]
    if (value === undefined || notScanned.has(field)) continue
    // A bare number is content of a sender only where any JSON may stand.
    if (typeof value === 'number' && pass.paths === undefined && !freeFields.has(field)) continue
    if (isClean(value, undefined, pass)) continue
    const fieldPass = freeFields.has(field) ? pass : identityPass
    const redacted = redactField(value, field, fieldPass)
    if (redacted !== value) changed[field] = redacted
  }
  if (pass.redactions.length === 0) return event
  dropRaw(event, changed, pass)
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

function redactField(value: unknown, field: string, pass: RedactionPass): unknown {
  const path = `/${pointerSegment(field)}`
  const redacted = redactValue(value, path, undefined, pass, 0)
  if (field !== 'raw.record' || pass.paths?.intoRaw !== true || typeof redacted !== 'string') {
    return redacted
  }
  const record = parsed(redacted)
  if (record === undefined) return redacted
  const inside = redactValue(record, path, undefined, pass, 0)
  return inside === record ? redacted : JSON.stringify(inside)
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** What a path rule took out of a field stands in the raw record as well, under whatever name the source has for it. */
function dropRaw(event: EventFields, changed: Record<string, unknown>, pass: RedactionPass): void {
  const raw = event['raw.record']
  const isTaken = pass.redactions.some(({ action }) => action === 'hashed' || action === 'dropped')
  if (!isTaken || typeof raw !== 'string' || isMarker(raw)) return
  const now = changed['raw.record'] ?? raw
  if (typeof now === 'string' && isMarker(now)) return
  // Rules into the raw record decide where they can point at something: not in text that is no JSON, or was cut.
  if (pass.paths?.intoRaw === true && parsed(raw) !== undefined) return
  changed['raw.record'] = pass.hash('/raw.record', raw)
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
  const replaced = redactions.filter(({ action }) => action !== 'hint')
  const raw = replaced.filter(({ path }) => path === '/raw.record').length
  return Math.max(raw, replaced.length - raw)
}

function manifestOf(redactions: readonly Redaction[]): Redaction[] {
  const seen = new Map(redactions.map((entry) => [`${entry.path} ${entry.rule}`, entry]))
  return [...seen.values()]
}

/** True where no policy asks for more than credentials. */
function seeksOnlySecrets(pass: RedactionPass): boolean {
  return pass.personalData.length === 0 && pass.paths === undefined && !pass.entropyHints
}

/** Most strings are: no path is built for them. */
function isClean(value: unknown, named: string | undefined, pass: RedactionPass): boolean {
  return (
    named === undefined &&
    typeof value === 'string' &&
    value.length <= maxScanLength &&
    seeksOnlySecrets(pass) &&
    !mayHoldSecret(value)
  )
}

function redactValue(
  value: unknown,
  path: string,
  named: string | undefined,
  pass: RedactionPass,
  depth: number,
): unknown {
  const action = pass.paths?.actionAt(path)
  if (action === 'keep') {
    return redactUnruled(value, path, undefined, kept(pass), depth)
  }
  if (action !== undefined) return taken(value, action, path, pass)
  return redactUnruled(value, path, named, pass, depth)
}

/** Below a path that is kept, only what is a credential by its own form is replaced. */
function kept(pass: RedactionPass): RedactionPass {
  return { ...pass, ...credentialsOnly, names: noNames }
}

function taken(
  value: unknown,
  action: 'hash' | 'drop',
  path: string,
  pass: RedactionPass,
): unknown {
  if (value === null || (typeof value === 'string' && isMarker(value))) return value
  if (action === 'drop') return pass.drop(path)
  return pass.hash(path, typeof value === 'string' ? value : textOf(value))
}

/** The cast is safe: fields of an event hold JSON values. What has no canonical form is hashed as it is written. */
function textOf(value: unknown): string {
  try {
    return canonicalJson(value as JsonValue)
  } catch {
    return JSON.stringify(value)
  }
}

function redactUnruled(
  value: unknown,
  path: string,
  named: string | undefined,
  pass: RedactionPass,
  depth: number,
): unknown {
  if (typeof value === 'string') {
    if (named !== undefined) return redactNamedSecret(value, named, path, pass)
    const redacted = redactText(value, path, pass)
    if (pass.entropyHints && looksLikeKeyMaterial(redacted)) pass.hint(path)
    return redacted
  }
  if (typeof value === 'number') return redactNumber(value, path, named, pass)
  if (typeof value !== 'object' || value === null) return value
  if (depth > maxDepth) return pass.replace(path, 'too-deep', '')
  return Array.isArray(value)
    ? redactArray(value, path, named, pass, depth)
    : redactObject(value, path, named, pass, depth)
}

/** A number can be that of a card; what is no digit run is never personal data. */
function redactNumber(
  value: number,
  path: string,
  named: string | undefined,
  pass: RedactionPass,
): unknown {
  if (named !== undefined) return redactNamedSecret(String(value), named, path, pass)
  if (pass.personalData.length === 0 || !Number.isSafeInteger(value) || value < 1e8) return value
  const text = String(value)
  const redacted = redactText(text, path, pass)
  return redacted === text ? value : redacted
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
    const kind = named ?? argumentKind(array[index - 1], element, pass.names)
    if (isClean(element, kind, pass)) continue
    const redacted = redactValue(element, `${path}/${index}`, kind, pass, depth + 1)
    if (redacted === element) continue
    copy ??= [...array]
    copy[index] = redacted
  }
  return copy ?? array
}

/** `["--password", "..."]`: what stands after a flag is its value, unless it is a flag as well. */
function argumentKind(before: unknown, element: unknown, names: NameJudgement): string | undefined {
  if (typeof before !== 'string' || !before.startsWith('-')) return undefined
  return typeof element === 'string' && element.startsWith('-')
    ? undefined
    : names.flagKindOf(before)
}

function redactObject(
  object: object,
  path: string,
  named: string | undefined,
  pass: RedactionPass,
  depth: number,
): object {
  const { names } = pass
  const pair = pairKind(object, names)
  const isJwk = names.jsonWebKeys && 'kty' in object && typeof object.kty === 'string'
  let changed: [string, unknown][] | undefined
  const keys = Object.keys(object)
  for (const [at, key] of keys.entries()) {
    const value: unknown = Reflect.get(object, key)
    const kind =
      isJwk && jwkPrivateMembers.has(key)
        ? 'private-key'
        : (names.kindOf(key) ?? inheritedKind(key, named, pair))
    const redactedKey = redactText(key, path, pass)
    const redacted = isClean(value, kind, pass)
      ? value
      : redactValue(value, `${path}/${pointerSegment(redactedKey)}`, kind, pass, depth + 1)
    if (changed === undefined && (redacted !== value || redactedKey !== key)) {
      changed = keys.slice(0, at).map((earlier) => [earlier, Reflect.get(object, earlier)])
    }
    changed?.push([redactedKey, redacted])
  }
  return changed === undefined ? object : withKeysApart(changed)
}

/** Markers without a token are alike: what stood under different names stays apart, so that none is lost. */
function withKeysApart(entries: readonly (readonly [string, unknown])[]): object {
  const apart = new Map<string, unknown>()
  const numbers = new Map<string, number>()
  for (const [key, value] of entries) {
    let own = key
    for (let number = numbers.get(key) ?? 2; apart.has(own); number++) {
      own = `${key}#${number}`
      numbers.set(key, number + 1)
    }
    apart.set(own, value)
  }
  return Object.fromEntries(apart)
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
function pairKind(object: object, names: NameJudgement): string | undefined {
  for (const key of pairNameKeys) {
    const name: unknown = Object.hasOwn(object, key) ? Reflect.get(object, key) : undefined
    const kind = typeof name === 'string' ? names.kindOf(name) : undefined
    if (kind !== undefined) return kind
  }
  return undefined
}
