import type { Evidence } from '../../schemas/api/event-detail.ts'
import type { EventRow } from '../../schemas/api/search.ts'
import { equal, fromBase64, hex } from '../../schemas/bytes.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import { isEventField } from '../../schemas/event/fields.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { openLeaf, parseLeaf, verifyOpening } from '../../schemas/leaf/open-leaf.ts'
import { openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import type { Digest, Ed25519Verify } from '../../schemas/tlog/digest.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../schemas/tlog/merkle.ts'
import { noteVerifier } from '../../schemas/tlog/note.ts'

export interface Check {
  readonly id: 'openings' | 'cells' | 'inclusion' | 'checkpoint' | 'consistency' | 'key'
  readonly label: string
  readonly state: 'passed' | 'failed' | 'pending'
  readonly detail: string
}

/** `verified`: everything shown was re-derived here. `partial`: some groups are withheld. */
export interface Verification {
  readonly state: 'verified' | 'partial' | 'pending' | 'failed'
  readonly checks: readonly Check[]
  /** What the ledger says, from the leaf and the openings that verified. */
  readonly event: RecordedEvent | undefined
}

/** What this browser remembers of a log: its key from first sight, and the newest checkpoint it saw. */
export interface Remembered {
  readonly verifierKey: string
  readonly size: number
  /** hex */
  readonly root: string
}

export interface VerifyInput {
  readonly evidence: Evidence
  readonly row: EventRow
  readonly remembered: Remembered | undefined
  /** RFC 6962 proof between the remembered size and the one of the evidence; base64. */
  readonly consistency: readonly string[] | undefined
  readonly digest: Digest
  readonly ed25519: Ed25519Verify
}

/**
 * Re-derives what is shown from stored bytes: openings against commitments, each displayed cell against the opened
 * leaf, the leaf against the tree, the tree against a signed checkpoint, and that against the last one seen here.
 * Everything in the input may be forged.
 */
export function verifyEvidence(input: VerifyInput): Verification {
  const { evidence } = input
  const checks: Check[] = []
  const opened = guard(() => openEvidence(input))
  if (opened instanceof Error) {
    checks.push({
      id: 'openings',
      label: 'Openings match their commitments',
      state: 'failed',
      detail: opened.message,
    })
    return { state: 'failed', checks, event: undefined }
  }
  const { event, leaf } = opened
  checks.push({
    id: 'openings',
    label: 'Openings match their commitments',
    state: 'passed',
    detail: `${evidence.openings.length} sealed groups opened, leaf of ${leaf.length} bytes, SHA-256 ${hex(leafHash(input.digest, leaf)).slice(0, 16)}…`,
  })
  checks.push(compareCells(input.row, event, evidence))
  checks.push(checkKey(input))
  if (evidence.inclusion === null) {
    checks.push({
      id: 'inclusion',
      label: 'Included under a signed checkpoint',
      state: 'pending',
      detail:
        'durable, and not under a signed checkpoint yet; checkpoints are signed once a second',
    })
  } else {
    const checkpoint = guard(() =>
      openCheckpoint(evidence.inclusion?.checkpoint ?? '', [
        noteVerifier(input.digest, input.ed25519, pinnedKey(input)),
      ]),
    )
    if (checkpoint instanceof Error) {
      checks.push({
        id: 'checkpoint',
        label: 'Checkpoint is signed by the pinned key',
        state: 'failed',
        detail: checkpoint.message,
      })
    } else {
      checks.push({
        id: 'checkpoint',
        label: 'Checkpoint is signed by the pinned key',
        state: 'passed',
        detail: `${checkpoint.origin}, ${checkpoint.size} leaves, root ${hex(checkpoint.root).slice(0, 16)}…`,
      })
      const included =
        checkpoint.size === evidence.inclusion.treeSize &&
        guard(() =>
          verifyInclusion(input.digest, {
            index: evidence.leafIndex,
            size: checkpoint.size,
            leafHash: leafHash(input.digest, leaf),
            proof: evidence.inclusion?.hashes.map(fromBase64) ?? [],
            root: checkpoint.root,
          }),
        ) === true
      checks.push({
        id: 'inclusion',
        label: 'Included under a signed checkpoint',
        state: included ? 'passed' : 'failed',
        detail: `leaf ${evidence.leafIndex} of ${evidence.inclusion.treeSize}, ${evidence.inclusion.hashes.length} hashes`,
      })
      checks.push(checkConsistency(input, checkpoint.size, checkpoint.root))
    }
  }
  return { state: stateOf(checks, evidence), checks, event }
}

function openEvidence({ evidence, digest }: VerifyInput): {
  event: RecordedEvent
  leaf: Uint8Array
} {
  const leaf = fromBase64(evidence.leaf)
  const parsed = parseLeaf(leaf)
  const openings = evidence.openings.map(({ group, salt, plaintext }) => ({
    group,
    salt: fromBase64(salt),
    plaintext,
  }))
  const shown = new Set<string>()
  for (const opening of openings) {
    if (!verifyOpening(digest, parsed, opening))
      throw new Error(`group ${opening.group} is not what the leaf commits to`)
    shown.add(opening.group)
  }
  const withheld = new Set<string>(evidence.withheld.map(({ group }) => group))
  for (const group of Object.keys(parsed.commitments)) {
    if (!shown.has(group) && !withheld.has(group))
      throw new Error(`group ${group} is committed to and neither shown nor withheld`)
  }
  return { event: openLeaf(parsed, openings), leaf }
}

/** Each cell that the list showed must be what the ledger says. Cut texts must be its beginning. */
function compareCells(row: EventRow, event: RecordedEvent, evidence: Evidence): Check {
  const label = 'Every displayed cell is what the ledger says'
  const withheld = evidence.withheld.length > 0
  let compared = 0
  for (const [field, shown] of Object.entries(row.event)) {
    if (shown === undefined || !isEventField(field)) continue
    const stored = event[field]
    if (stored === undefined) {
      // Erased or withheld groups leave the projection with less, never with more.
      return {
        id: 'cells',
        label,
        state: 'failed',
        detail: `${field} is shown${withheld ? ', and its group is withheld' : ', and the ledger has no such field'}`,
      }
    }
    compared++
    if (!sameCell(shown as JsonValue, stored as JsonValue, row.cut.includes(field))) {
      return {
        id: 'cells',
        label,
        state: 'failed',
        detail: `${field} differs between the columnar store and the ledger`,
      }
    }
  }
  if (row.leafIndex !== evidence.leafIndex || row.logId !== evidence.logId) {
    return { id: 'cells', label, state: 'failed', detail: 'the row is about another leaf' }
  }
  return { id: 'cells', label, state: 'passed', detail: `${compared} cells compared` }
}

function sameCell(shown: JsonValue, stored: JsonValue, cut: boolean): boolean {
  const whole =
    typeof stored === 'string' && typeof shown === 'string' ? stored : canonicalJson(stored)
  if (cut) return typeof shown === 'string' && shown.length > 0 && whole.startsWith(shown)
  return typeof shown === 'string' && typeof stored === 'string'
    ? shown === stored
    : canonicalJson(shown) === canonicalJson(stored)
}

function pinnedKey({ remembered, evidence }: VerifyInput): string {
  return remembered?.verifierKey ?? evidence.verifierKey
}

function checkKey({ remembered, evidence }: VerifyInput): Check {
  const label = 'The log has the key that this browser pinned'
  if (remembered === undefined) {
    return {
      id: 'key',
      label,
      state: 'passed',
      detail:
        'first sight: the key is pinned now; compare its fingerprint with one you got elsewhere',
    }
  }
  return remembered.verifierKey === evidence.verifierKey
    ? { id: 'key', label, state: 'passed', detail: evidence.verifierKey }
    : {
        id: 'key',
        label,
        state: 'failed',
        detail: `the server now names another key: ${evidence.verifierKey}`,
      }
}

function checkConsistency(input: VerifyInput, size: number, root: Uint8Array): Check {
  const label = 'Continues the last checkpoint seen here'
  const { remembered } = input
  if (remembered === undefined)
    return {
      id: 'consistency',
      label,
      state: 'passed',
      detail: 'first checkpoint seen in this browser',
    }
  const grew = size >= remembered.size
  const rootSeen = Uint8Array.from(remembered.root.match(/../g) ?? [], (byte) =>
    Number.parseInt(byte, 16),
  )
  const consistent =
    size === remembered.size
      ? equal(root, rootSeen)
      : input.consistency !== undefined &&
        guard(() =>
          verifyConsistency(input.digest, {
            oldSize: grew ? remembered.size : size,
            oldRoot: grew ? rootSeen : root,
            newSize: grew ? size : remembered.size,
            newRoot: grew ? root : rootSeen,
            proof: input.consistency?.map(fromBase64) ?? [],
          }),
        ) === true
  return {
    id: 'consistency',
    label,
    state: consistent ? 'passed' : 'failed',
    detail: consistent
      ? `size ${remembered.size} seen before, ${size} now`
      : `size ${remembered.size} was seen here before and does not lead to size ${size}: the log was rolled back or forked`,
  }
}

function stateOf(checks: readonly Check[], evidence: Evidence): Verification['state'] {
  if (checks.some(({ state }) => state === 'failed')) return 'failed'
  if (checks.some(({ state }) => state === 'pending')) return 'pending'
  return evidence.withheld.length > 0 ? 'partial' : 'verified'
}

function guard<T>(work: () => T): T | Error {
  try {
    return work()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
