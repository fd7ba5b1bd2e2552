import { concat, hex, utf8 } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import type { RecordedEvent } from '../event/event.ts'
import {
  type EventField,
  eventFields,
  isEventField,
  type SealedGroup,
  sealedGroups,
} from '../event/fields.ts'
import type { Digest } from '../tlog/digest.ts'
import { canonicalJson, type JsonValue } from './canonical-json.ts'

/**
 * Leaf v1: RFC 8785 canonical JSON, at most 8 KiB. It holds the clear fields of the event under their own names, and
 *
 * - `leaf.v`: 1
 * - `leaf.commitments`: {group: hex SHA-256} for each sealed group that has a value
 * - `leaf.payload_sha256`, `leaf.payload_bytes`: hash and size of the sealed payload (ciphertext), when there is one
 *
 * The union of the clear fields and all opened groups is the event: nothing is in two places, so a reader who
 * verified leaf and openings has verified every field. Verifiers hash the stored bytes and never re-canonicalise.
 */
export const leafVersion = 1
export const maxLeafBytes = 8192

/** What proves one sealed group: its values and the salt of its commitment. */
export interface Opening {
  readonly group: SealedGroup
  /** 32 bytes. */
  readonly salt: Uint8Array
  /** RFC 8785 form of {field: value} of the group. These bytes are committed to. */
  readonly plaintext: string
}

const commitmentLabel = utf8('sealtrail/commitment/v1')
const saltLabel = utf8('sealtrail/salt/v1')
const zero = new Uint8Array(1)

/** Commitment of a group: SHA-256(label 0x00 group 0x00 salt plaintext). */
export function commitment(digest: Digest, opening: Opening): Uint8Array {
  return digest(
    concat(commitmentLabel, zero, utf8(opening.group), zero, opening.salt, utf8(opening.plaintext)),
  )
}

/** Salt of a group, derived from the event's 32-byte random seed: SHA-256(label 0x00 group 0x00 seed). */
export function groupSalt(digest: Digest, seed: Uint8Array, group: SealedGroup): Uint8Array {
  return digest(concat(saltLabel, zero, utf8(group), zero, seed))
}

export interface LeafParts {
  /** Clear fields, possibly fewer than the catalogue says: what would burst the leaf is moved into `text`. */
  readonly clear: Record<string, JsonValue>
  readonly openings: readonly Opening[]
}

/** Splits an event into its clear fields and the openings of its sealed groups. Pure; `seed` is 32 random bytes. */
export function splitEvent(digest: Digest, event: RecordedEvent, seed: Uint8Array): LeafParts {
  const clear: Record<string, JsonValue> = {}
  const sealed = new Map<SealedGroup, Record<string, JsonValue>>()
  for (const [key, value] of fieldsOf(event)) {
    const group = eventFields[key].group
    if (group === 'clear') clear[key] = value
    else put(sealed, group, key, value)
  }
  moveOversizeToText(clear, sealed)
  const openings: Opening[] = []
  for (const group of sealedGroups) {
    const values = sealed.get(group)
    if (values === undefined) continue
    openings.push({
      group,
      salt: groupSalt(digest, seed, group),
      plaintext: canonicalJson(values),
    })
  }
  return { clear, openings }
}

/** Fields of an event that are present, as JSON. */
function* fieldsOf(event: RecordedEvent): Iterable<[EventField, JsonValue]> {
  for (const key in event) {
    if (!isEventField(key)) continue
    const value = event[key]
    if (value !== undefined) yield [key, value as JsonValue]
  }
}

function put(
  sealed: Map<SealedGroup, Record<string, JsonValue>>,
  group: SealedGroup,
  key: string,
  value: JsonValue,
): void {
  const values = sealed.get(group)
  if (values === undefined) sealed.set(group, { [key]: value })
  else values[key] = value
}

/** Room for commitments and payload hash beside the clear fields. */
const clearBudgetBytes = maxLeafBytes - 1024

/**
 * Attackers choose how long clear lists are. What does not fit moves, largest first, into the sealed group `text`:
 * still committed to, still shown, never lost.
 */
function moveOversizeToText(
  clear: Record<string, JsonValue>,
  sealed: Map<SealedGroup, Record<string, JsonValue>>,
): void {
  // Cheap bound first: a UTF-16 unit takes at most six bytes, as an escape.
  if (boundUnits(clear) * 6 <= clearBudgetBytes) return
  let size = roughBytes(clear)
  if (size <= clearBudgetBytes) return
  const bySize = Object.entries(clear)
    .filter(([, value]) => typeof value === 'object' && value !== null)
    .map(([key, value]) => ({ key, value, bytes: roughBytes(value) }))
    .sort((a, b) => b.bytes - a.bytes || (a.key < b.key ? -1 : 1))
  for (const { key, value, bytes } of bySize) {
    if (size <= clearBudgetBytes) return
    put(sealed, 'text', key, value)
    delete clear[key]
    size -= bytes
  }
}

/** UTF-16 units of a value as JSON, estimated without writing it: names, strings, lists of strings, and the rest. */
function boundUnits(clear: Record<string, JsonValue>): number {
  let units = 2
  for (const [key, value] of Object.entries(clear)) {
    units += key.length + 4
    if (typeof value === 'string') units += value.length
    else if (typeof value === 'object' && value !== null) units += JSON.stringify(value).length
    else units += 24
  }
  return units
}

function roughBytes(value: JsonValue): number {
  return utf8(JSON.stringify(value)).length
}

/**
 * Leaf bytes of an event whose sealed payload has the given hash.
 *
 * @throws SealtrailError `LEAF_TOO_LARGE` when the clear fields exceed 8 KiB even after moving lists away.
 */
export function encodeLeaf(
  digest: Digest,
  parts: LeafParts,
  payload: { sha256: Uint8Array; sizeBytes: number } | undefined,
): Uint8Array {
  const leaf: Record<string, JsonValue> = { ...parts.clear, 'leaf.v': leafVersion }
  if (parts.openings.length > 0) {
    const commitments: Record<string, JsonValue> = {}
    for (const opening of parts.openings) {
      commitments[opening.group] = hex(commitment(digest, opening))
    }
    leaf['leaf.commitments'] = commitments
  }
  if (payload !== undefined) {
    leaf['leaf.payload_sha256'] = hex(payload.sha256)
    leaf['leaf.payload_bytes'] = payload.sizeBytes
  }
  const bytes = utf8(canonicalJson(leaf))
  if (bytes.length > maxLeafBytes) {
    throw new SealtrailError(
      'LEAF_TOO_LARGE',
      `leaf of ${bytes.length} bytes exceeds ${maxLeafBytes}`,
    )
  }
  return bytes
}
