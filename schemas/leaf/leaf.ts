import { concat, hex, utf8 } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import type { RecordedEvent } from '../event/event.ts'
import { eventFields, type FieldGroup, type SealedGroup, sealedGroups } from '../event/fields.ts'
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

/** `label 0x00 group 0x00` of each group. */
function prefixes(label: string): ReadonlyMap<SealedGroup, Uint8Array> {
  return new Map(sealedGroups.map((group) => [group, utf8(`${label}\0${group}\0`)]))
}

const commitmentPrefixes = prefixes('sealtrail/commitment/v1')
const saltPrefixes = prefixes('sealtrail/salt/v1')

/** Commitment of a group: SHA-256(label 0x00 group 0x00 salt plaintext). */
export function commitment(digest: Digest, opening: Opening): Uint8Array {
  return digest(
    concat(prefixOf(commitmentPrefixes, opening.group), opening.salt, utf8(opening.plaintext)),
  )
}

/** Salt of a group, derived from the event's 32-byte random seed: SHA-256(label 0x00 group 0x00 seed). */
export function groupSalt(digest: Digest, seed: Uint8Array, group: SealedGroup): Uint8Array {
  return digest(concat(prefixOf(saltPrefixes, group), seed))
}

function prefixOf(prefixes: ReadonlyMap<SealedGroup, Uint8Array>, group: SealedGroup): Uint8Array {
  const prefix = prefixes.get(group)
  if (prefix === undefined) throw new RangeError(`there is no group ${group}`)
  return prefix
}

/** What the leaf says about its sealed payload. */
export interface SealedPayloadReference {
  readonly sha256: Uint8Array
  readonly sizeBytes: number
}

/** Keys of a leaf that are no fields of the event, in canonical order; all of them come before `log.id`. */
const ownKeys = ['leaf.commitments', 'leaf.payload_bytes', 'leaf.payload_sha256', 'leaf.v'] as const

const groups: ReadonlyMap<string, FieldGroup> = new Map(
  Object.entries(eventFields).map(([key, { group }]) => [key, group]),
)

/** An event on its way into a leaf: first its openings, which are sealed, then the leaf that names what was sealed. */
export class LeafDraft {
  /** One for each sealed group that has values. */
  readonly openings: readonly Opening[]
  private readonly digest: Digest
  /** Clear fields, possibly fewer than the catalogue says: what would burst the leaf is moved into `text`. */
  private readonly leaf: Record<string, JsonValue> = {}

  /** @param seed 32 random bytes, from which the salts derive. */
  constructor(digest: Digest, event: RecordedEvent, seed: Uint8Array) {
    this.digest = digest
    const sealed = new Map<SealedGroup, Record<string, JsonValue>>()
    // In canonical order from the start, so that no object is sorted again when it is written.
    let ownKeysStand = false
    for (const key of Object.keys(event).sort()) {
      const group = groups.get(key)
      const value = event[key as keyof RecordedEvent]
      if (group === undefined || value === undefined) continue
      if (group !== 'clear') {
        put(sealed, group, key, asJson(value))
        continue
      }
      if (!ownKeysStand && key > ownKeys[0]) {
        for (const own of ownKeys) this.leaf[own] = null
        ownKeysStand = true
      }
      this.leaf[key] = asJson(value)
    }
    moveOversizeToText(this.leaf, sealed)
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
    this.openings = openings
  }

  /**
   * Leaf bytes of the event whose sealed payload is the given one.
   *
   * @throws SealtrailError `LEAF_TOO_LARGE` when the clear fields exceed 8 KiB even after moving lists away.
   */
  encode(payload: SealedPayloadReference | undefined): Uint8Array {
    const { leaf } = this
    leaf['leaf.v'] = leafVersion
    if (this.openings.length === 0) delete leaf['leaf.commitments']
    else {
      const commitments: Record<string, JsonValue> = {}
      for (const opening of this.openings) {
        commitments[opening.group] = hex(commitment(this.digest, opening))
      }
      leaf['leaf.commitments'] = commitments
    }
    if (payload === undefined) {
      delete leaf['leaf.payload_bytes']
      delete leaf['leaf.payload_sha256']
    } else {
      leaf['leaf.payload_bytes'] = payload.sizeBytes
      leaf['leaf.payload_sha256'] = hex(payload.sha256)
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
}

/** The cast is safe: fields of an event are JSON by their schemas, and canonicalJson refuses what is not. */
function asJson(value: unknown): JsonValue {
  return value as JsonValue
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
  for (const key of Object.keys(clear)) {
    const value = clear[key]
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
