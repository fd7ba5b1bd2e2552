import { fromUtf8Strict, hex } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import type { EventFields, RecordedEvent } from '../event/event.ts'
import { groupOf, isEventField, type SealedGroup, sealedGroups } from '../event/fields.ts'
import { isValidField } from '../event/valid-field.ts'
import type { Digest } from '../tlog/digest.ts'
import { commitment, leafVersion, type Opening } from './leaf.ts'

/** A leaf as its bytes say it, before anything sealed is opened. */
export interface ParsedLeaf {
  /** Clear fields of the event. */
  readonly clear: EventFields
  /** Commitment (hex) of each sealed group that has values. */
  readonly commitments: Readonly<Partial<Record<SealedGroup, string>>>
  /** Hash (hex) and size of the sealed payload; absent when the event has none. */
  readonly payload: { readonly sha256: string; readonly sizeBytes: number } | undefined
}

/**
 * Reads leaf bytes. Stored bytes are not trusted: unknown versions, keys and types are refused.
 *
 * @throws SealtrailError `LEDGER_CORRUPT`
 */
export function parseLeaf(bytes: Uint8Array): ParsedLeaf {
  const object = parseObject(textOf(bytes), 'leaf')
  const {
    'leaf.v': version,
    'leaf.commitments': commitments,
    'leaf.payload_sha256': sha256,
    'leaf.payload_bytes': sizeBytes,
  } = object
  if (version !== leafVersion) throw corrupt(`leaf version ${JSON.stringify(version)} is not known`)
  return {
    clear: checkFields(clearOf(object), 'leaf'),
    commitments: readCommitments(commitments),
    payload:
      typeof sha256 === 'string' && typeof sizeBytes === 'number'
        ? { sha256, sizeBytes }
        : undefined,
  }
}

const ownKeys: ReadonlySet<string> = new Set([
  'leaf.v',
  'leaf.commitments',
  'leaf.payload_sha256',
  'leaf.payload_bytes',
])

/** What the leaf says of the event: `__proto__` stays what it is, a key that no field has. */
function clearOf(object: Record<string, unknown>): Record<string, unknown> {
  if (Object.hasOwn(object, '__proto__')) throw corrupt('unknown field __proto__ in leaf')
  const clear: Record<string, unknown> = {}
  for (const key of Object.keys(object)) if (!ownKeys.has(key)) clear[key] = object[key]
  return clear
}

/** True when the opening is the one that the leaf commits to. */
export function verifyOpening(digest: Digest, leaf: ParsedLeaf, opening: Opening): boolean {
  const committed = leaf.commitments[opening.group]
  return committed !== undefined && hex(commitment(digest, opening)) === committed
}

/**
 * The event that a leaf and verified openings spell. Groups without an opening (erased, not permitted) are absent.
 *
 * @throws SealtrailError `LEDGER_CORRUPT` when a field stands in a group that may not hold it, or twice.
 */
export function openLeaf(leaf: ParsedLeaf, openings: readonly Opening[]): RecordedEvent {
  const event: Record<string, unknown> = { ...leaf.clear }
  for (const opening of openings) {
    const values: Record<string, unknown> = checkFields(
      parseObject(opening.plaintext, opening.group),
      opening.group,
    )
    for (const key of Object.keys(values)) {
      if (Object.hasOwn(event, key)) throw corrupt(`field ${key} stands twice`)
      if (!mayHold(opening.group, key))
        throw corrupt(`field ${key} stands in group ${opening.group}`)
      event[key] = values[key]
    }
  }
  return asRecordedEvent(event)
}

/** `text` may hold clear lists that did not fit into the leaf; every other group holds its own fields only. */
function mayHold(group: SealedGroup, key: string): boolean {
  const home = groupOf(key)
  return home === group || (group === 'text' && home === 'clear')
}

/** The cast is safe: every part was validated, and the required fields are checked here. */
function asRecordedEvent(event: Record<string, unknown>): RecordedEvent {
  for (const key of ['event.id', 'event.class', 'log.id', 'time.occurred', 'time.recorded']) {
    if (typeof event[key] !== 'string') throw corrupt(`field ${key} is missing`)
  }
  return event as RecordedEvent
}

/**
 * The cast is safe: every key is one of the catalogue and every value is what the schema of its field allows; JSON
 * fields come out of the JSON parser. The values themselves are handed on: a copy would lack keys named `__proto__`,
 * which are committed to like any other.
 */
function checkFields(values: Record<string, unknown>, where: string): EventFields {
  for (const key of Object.keys(values)) {
    if (!isEventField(key)) throw corrupt(`unknown field ${key} in ${where}`)
    if (!isValidField(key, values[key])) throw corrupt(`field ${key} in ${where} is not valid`)
  }
  return values as EventFields
}

const groupNames: ReadonlySet<string> = new Set(sealedGroups)

function readCommitments(value: unknown): Partial<Record<SealedGroup, string>> {
  const result: Partial<Record<SealedGroup, string>> = {}
  if (value === undefined) return result
  if (typeof value !== 'object' || value === null)
    throw corrupt('leaf.commitments is not an object')
  for (const [group, hash] of Object.entries(value)) {
    if (!groupNames.has(group) || typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) {
      throw corrupt(`commitment of ${group} is not valid`)
    }
  }
  for (const group of sealedGroups) {
    const hash: unknown = Reflect.get(value, group)
    if (typeof hash === 'string') result[group] = hash
  }
  return result
}

function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8Strict(bytes)
  } catch (cause) {
    throw new SealtrailError('LEDGER_CORRUPT', 'leaf is not UTF-8', { cause })
  }
}

function parseObject(text: string, where: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new SealtrailError('LEDGER_CORRUPT', `${where} is not JSON`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw corrupt(`${where} is not a JSON object`)
  }
  return value as Record<string, unknown>
}

function corrupt(message: string): SealtrailError {
  return new SealtrailError('LEDGER_CORRUPT', message)
}
