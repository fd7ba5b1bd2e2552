import { concat, hex, utf8 } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import type { RecordedEvent } from '../event/event.ts'
import {
  type EventField,
  type FieldGroup,
  groupOf,
  type SealedGroup,
  sealedGroups,
} from '../event/fields.ts'
import { type Digest, hashBytes } from '../tlog/digest.ts'
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

/** `label 0x00 group 0x00`, and room for 32 bytes that differ from event to event. */
function inputs(label: string): ReadonlyMap<SealedGroup, Uint8Array> {
  return new Map(
    sealedGroups.map((group) => [
      group,
      concat(utf8(`${label}\0${group}\0`), new Uint8Array(hashBytes)),
    ]),
  )
}

/** Written anew for each hash, like those of the tree: allocating them would cost as much as hashing. */
const commitmentInputs = inputs('sealtrail/commitment/v1')
const saltInputs = inputs('sealtrail/salt/v1')

function inputOf(
  inputs: ReadonlyMap<SealedGroup, Uint8Array>,
  group: SealedGroup,
  last: Uint8Array,
): Uint8Array {
  const input = inputs.get(group)
  if (input === undefined) throw new RangeError(`there is no group ${group}`)
  if (last.length !== hashBytes) throw new RangeError(`${last.length} bytes, not ${hashBytes}`)
  input.set(last, input.length - hashBytes)
  return input
}

let scratch = new Uint8Array(64 * 1024)
const encoder = new TextEncoder()

/** Commitment of a group: SHA-256(label 0x00 group 0x00 salt plaintext). */
export function commitment(digest: Digest, opening: Opening): Uint8Array {
  const { group, salt, plaintext } = opening
  const start = inputOf(commitmentInputs, group, salt)
  // A UTF-16 unit takes at most three bytes.
  const room = start.length + 3 * plaintext.length
  if (scratch.length < room) scratch = new Uint8Array(2 * room)
  scratch.set(start)
  const { written } = encoder.encodeInto(plaintext, scratch.subarray(start.length))
  return digest(scratch.subarray(0, start.length + written))
}

/** Salt of a group, derived from the event's 32-byte random seed: SHA-256(label 0x00 group 0x00 seed). */
export function groupSalt(digest: Digest, seed: Uint8Array, group: SealedGroup): Uint8Array {
  return digest(inputOf(saltInputs, group, seed))
}

/** What the leaf says about its sealed payload. */
export interface SealedPayloadReference {
  readonly sha256: Uint8Array
  readonly sizeBytes: number
}

/** The first of the keys of a leaf that are no fields of the event; in canonical order they stand together. */
const firstOwnKey = 'leaf.commitments'

const canonicalGroups = [...sealedGroups].sort()

/** Where the value of a field goes, and its name as JSON writes it, with the colon. */
interface Place {
  readonly key: string
  readonly group: FieldGroup
  readonly name: string
}

interface Layout {
  /** Keys of an event as it has them. */
  readonly keys: readonly string[]
  /** Those that are fields, in canonical order. */
  readonly places: readonly Place[]
}

/** Of the events that were seen last: those of one source have the same keys in the same order. */
const layouts: Layout[] = []
const maxLayouts = 16

function layoutOf(keys: readonly string[]): Layout {
  for (let at = 0; at < layouts.length; at++) {
    const layout = layouts[at]
    if (layout === undefined || !sameKeys(layout.keys, keys)) continue
    if (at > 0) layouts.unshift(...layouts.splice(at, 1))
    return layout
  }
  const places = [...keys].sort().flatMap((key): Place[] => {
    const group = groupOf(key)
    return group === undefined ? [] : [{ key, group, name: `${JSON.stringify(key)}:` }]
  })
  const layout = { keys: [...keys], places }
  layouts.unshift(layout)
  if (layouts.length > maxLayouts) layouts.pop()
  return layout
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** A member of an object as canonical JSON: its key, and the text `"key":value`. */
interface Member {
  readonly key: string
  readonly text: string
  /** True for a list or an object. */
  readonly isNested: boolean
}

/** Canonical JSON of values that somebody has written already, by field: not written twice. */
export type CanonicalTexts = ReadonlyMap<EventField, string>
const noTexts: CanonicalTexts = new Map()

/** An event on its way into a leaf: first its openings, which are sealed, then the leaf that names what was sealed. */
export class LeafDraft {
  /** One for each sealed group that has values. */
  readonly openings: readonly Opening[]
  private readonly digest: Digest
  /** Clear fields in canonical order, possibly fewer than the catalogue says: what would burst the leaf is moved into `text`. */
  private readonly clear: Member[] = []

  /**
   * @param seed 32 random bytes, from which the salts derive.
   * @param texts canonical JSON of fields, where it is known already
   */
  constructor(digest: Digest, event: RecordedEvent, seed: Uint8Array, texts = noTexts) {
    this.digest = digest
    const sealed = new Map<SealedGroup, Member[]>()
    const written: ReadonlyMap<string, string> = texts
    for (const { key, group, name } of layoutOf(Object.keys(event)).places) {
      const value = event[key as keyof RecordedEvent]
      if (value === undefined) continue
      const member: Member = {
        key,
        text: name + (written.get(key) ?? canonicalJson(asJson(value))),
        isNested: typeof value === 'object' && value !== null,
      }
      if (group === 'clear') this.clear.push(member)
      else put(sealed, group, member)
    }
    moveOversizeToText(this.clear, sealed)
    const openings: Opening[] = []
    for (const group of sealedGroups) {
      const members = sealed.get(group)
      if (members === undefined) continue
      openings.push({
        group,
        salt: groupSalt(digest, seed, group),
        plaintext: `{${textOf(members)}}`,
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
    const own = this.ownMembers(payload)
    let text = ''
    let ownStand = false
    for (const { key, text: member } of this.clear) {
      if (!ownStand && key > firstOwnKey) {
        text += text === '' ? own : `,${own}`
        ownStand = true
      }
      text += text === '' ? member : `,${member}`
    }
    if (!ownStand) text += text === '' ? own : `,${own}`
    const bytes = utf8(`{${text}}`)
    if (bytes.length > maxLeafBytes) {
      throw new SealtrailError(
        'LEAF_TOO_LARGE',
        `leaf of ${bytes.length} bytes exceeds ${maxLeafBytes}`,
      )
    }
    return bytes
  }

  private ownMembers(payload: SealedPayloadReference | undefined): string {
    const version = `"leaf.v":${leafVersion}`
    const sealed =
      payload === undefined
        ? version
        : `"leaf.payload_bytes":${payload.sizeBytes},"leaf.payload_sha256":"${hex(payload.sha256)}",${version}`
    if (this.openings.length === 0) return sealed
    let commitments = ''
    for (const group of canonicalGroups) {
      const opening = this.openings.find((each) => each.group === group)
      if (opening === undefined) continue
      const value = `"${group}":"${hex(commitment(this.digest, opening))}"`
      commitments += commitments === '' ? value : `,${value}`
    }
    return `"${firstOwnKey}":{${commitments}},${sealed}`
  }
}

/** The cast is safe: fields of an event are JSON by their schemas, and canonicalJson refuses what is not. */
function asJson(value: unknown): JsonValue {
  return value as JsonValue
}

function textOf(members: readonly Member[]): string {
  let text = ''
  for (const member of members) text += text === '' ? member.text : `,${member.text}`
  return text
}

function put(sealed: Map<SealedGroup, Member[]>, group: SealedGroup, member: Member): void {
  const members = sealed.get(group)
  if (members === undefined) sealed.set(group, [member])
  else members.push(member)
}

/** Room for commitments and payload hash beside the clear fields. */
const clearBudgetBytes = maxLeafBytes - 1024

/**
 * Attackers choose how long clear lists are. What does not fit moves, largest first, into the sealed group `text`:
 * still committed to, still shown, never lost.
 */
function moveOversizeToText(clear: Member[], sealed: Map<SealedGroup, Member[]>): void {
  // Cheap bound first: a UTF-16 unit takes at most three bytes.
  let units = 0
  for (const { text } of clear) units += text.length + 1
  if (units * 3 <= clearBudgetBytes) return
  let size = clear.reduce((sum, { text }) => sum + utf8(text).length + 1, 0)
  if (size <= clearBudgetBytes) return
  const bySize = clear
    .filter(({ isNested }) => isNested)
    .map((member) => ({ member, bytes: utf8(member.text).length + 1 }))
    .sort((a, b) => b.bytes - a.bytes || (a.member.key < b.member.key ? -1 : 1))
  for (const { member, bytes } of bySize) {
    if (size <= clearBudgetBytes) break
    put(sealed, 'text', member)
    clear.splice(clear.indexOf(member), 1)
    size -= bytes
  }
  sealed.get('text')?.sort((a, b) => (a.key < b.key ? -1 : 1))
}
