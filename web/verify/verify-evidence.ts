import type { EventDetail, Evidence } from '../../schemas/api/event-detail.ts'
import type { EventRow } from '../../schemas/api/search.ts'
import { fromBase64, hex, utf8 } from '../../schemas/bytes.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import { openLeaf, parseLeaf, verifyOpening } from '../../schemas/leaf/open-leaf.ts'
import type { Checkpoint } from '../../schemas/tlog/checkpoint.ts'
import type { Digest, Ed25519Verify } from '../../schemas/tlog/digest.ts'
import { leafHash, verifyInclusion } from '../../schemas/tlog/merkle.ts'
import { type Check, guard } from './check.ts'
import { compareCells, describeWrong, type WrongCell } from './compare-cells.ts'
import { checkKey, type Remembered, verifyCheckpoint } from './verify-checkpoint.ts'

/** `verified`: everything shown was re-derived here. `partial`: some groups are withheld. */
export interface Verification {
  readonly state: 'verified' | 'partial' | 'pending' | 'failed'
  readonly checks: readonly Check[]
  /** What the ledger says, from the leaf and the openings that verified. */
  readonly event: RecordedEvent | undefined
  /** Cells that the server shows otherwise. */
  readonly wrongCells: readonly WrongCell[]
}

/** Compares what a screen shows beside rows with the opened leaf and its index. */
export type CompareMore = (event: RecordedEvent, leafIndex: number) => readonly WrongCell[]

export interface VerifyInput {
  /** The event that the person opened, whatever the server then sent. */
  readonly eventId: string
  readonly evidence: Evidence
  /** Rows on the screen that claim to be this leaf; the first is the one that came with the evidence. */
  readonly rows: readonly EventRow[]
  /** A row that shows a call of several observations. One leaf cannot vouch for what the others brought. */
  readonly callRow?: EventRow | undefined
  readonly compareMore?: CompareMore
  readonly definition?: EventDetail['definition']
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
  const label = 'Sealed values match their commitments'
  const opened = guard(() => openEvidence(input))
  if (opened instanceof Error) {
    const check: Check = { id: 'openings', label, state: 'failed', detail: opened.message }
    const rest = [checkKey(evidence.verifierKey, input.remembered), ...published(input).checks]
    return { state: 'failed', checks: [check, ...rest], event: undefined, wrongCells: [] }
  }
  const { event, leaf } = opened
  const withheld = evidence.withheld.map(
    ({ group, reason }) => `${group} ${reason.replace('_', ' ')}`,
  )
  const cells = checkCells(input, event)
  const checks: Check[] = [
    checkLeaf(input, event, leaf),
    {
      id: 'openings',
      label,
      state: 'passed',
      detail: `${evidence.openings.length} groups opened and hashed with their salts${withheld.length === 0 ? '' : `; withheld: ${withheld.join(', ')}`}`,
    },
    cells.check,
    ...checkDefinition(input, event),
    checkKey(evidence.verifierKey, input.remembered),
    ...published(input).checks,
  ]
  return { state: stateOf(checks, evidence), checks, event, wrongCells: cells.wrong }
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

/** The bytes must be of the event that was opened, not of some other valid one. */
function checkLeaf(
  { eventId, evidence, digest }: VerifyInput,
  event: RecordedEvent,
  leaf: Uint8Array,
): Check {
  const isThis = event['event.id'] === eventId && event['log.id'] === evidence.logId
  return {
    id: 'leaf',
    label: 'Stored bytes are of this event',
    state: isThis ? 'passed' : 'failed',
    detail: isThis
      ? `leaf of ${leaf.length} bytes, RFC 6962 hash ${hex(leafHash(digest, leaf))}`
      : `the leaf is of event ${event['event.id']} in log ${event['log.id']}`,
  }
}

function checkCells(
  { evidence, rows, callRow, compareMore }: VerifyInput,
  event: RecordedEvent,
): { check: Check; wrong: readonly WrongCell[] } {
  const label = 'Every displayed cell is what the ledger says'
  const misplaced = rows.find(
    (row) => row.leafIndex !== evidence.leafIndex || row.logId !== evidence.logId,
  )
  if (misplaced !== undefined) {
    const detail = `the row claims leaf ${misplaced.leafIndex} of ${misplaced.logId}, the evidence is of leaf ${evidence.leafIndex} of ${evidence.logId}`
    return { check: { id: 'cells', label, state: 'failed', detail }, wrong: [] }
  }
  const results = rows.map((row) => compareCells(row, event))
  const wrong = new Map(
    [
      ...results.flatMap((result) => result.wrong),
      ...(compareMore?.(event, evidence.leafIndex) ?? []),
    ].map((cell) => [cell.field, cell]),
  )
  const compared = results.reduce((sum, result) => sum + result.compared, 0)
  if (wrong.size > 0) {
    const detail = describeWrong([...wrong.values()])
    return { check: { id: 'cells', label, state: 'failed', detail }, wrong: [...wrong.values()] }
  }
  const call = callRow === undefined ? undefined : compareCells(callRow, event)
  const fromElsewhere = call?.wrong ?? []
  if (fromElsewhere.length > 0) {
    const detail = `in the list, ${describeWrong(fromElsewhere)}; another observation of the call brought it, or it is not on the record`
    return { check: { id: 'cells', label, state: 'limited', detail }, wrong: fromElsewhere }
  }
  const detail = `${compared + (call?.compared ?? 0)} cells compared, all equal`
  return { check: { id: 'cells', label, state: 'passed', detail }, wrong: [] }
}

/** The definition that is shown must have the hash under which the leaf records the call. */
function checkDefinition({ definition, digest }: VerifyInput, event: RecordedEvent): Check[] {
  if (definition === undefined || definition === null) return []
  const label = 'Tool definition is the one in force'
  const computed = hex(digest(utf8(definition.json)))
  const wanted = event['tool.definition_hash']
  if (wanted === undefined) {
    const detail = 'a definition is shown, and the leaf names none'
    return [{ id: 'definition', label, state: 'failed', detail }]
  }
  const same = computed === wanted
  return [
    {
      id: 'definition',
      label,
      state: same ? 'passed' : 'failed',
      detail: same
        ? `SHA-256 ${computed}, as recorded with the call`
        : `SHA-256 ${computed}, recorded is ${wanted}`,
    },
  ]
}

function published(input: VerifyInput): { checks: readonly Check[] } {
  const label = 'Included under a signed checkpoint'
  const { evidence } = input
  if (evidence.inclusion === null) {
    const detail =
      'durable, and not under a signed checkpoint yet; checkpoints are signed once a second'
    return { checks: [{ id: 'inclusion', label, state: 'pending', detail }] }
  }
  const { checks, checkpoint } = verifyCheckpoint({
    ...input,
    verifierKey: evidence.verifierKey,
    note: evidence.inclusion.checkpoint,
  })
  const included = checkpoint !== undefined && guard(() => isIncluded(input, checkpoint)) === true
  return {
    checks: [
      {
        id: 'inclusion',
        label,
        state: included ? 'passed' : 'failed',
        detail: included
          ? `leaf ${evidence.leafIndex} of ${evidence.inclusion.treeSize}: ${evidence.inclusion.hashes.length} sibling hashes lead to the signed root`
          : `leaf ${evidence.leafIndex} of ${evidence.inclusion.treeSize}: these bytes do not lead to a signed root`,
      },
      ...checks,
    ],
  }
}

function isIncluded({ evidence, digest }: VerifyInput, checkpoint: Checkpoint): boolean {
  const { inclusion } = evidence
  if (inclusion === null || checkpoint.size !== inclusion.treeSize) return false
  return verifyInclusion(digest, {
    index: evidence.leafIndex,
    size: checkpoint.size,
    leafHash: leafHash(digest, fromBase64(evidence.leaf)),
    proof: inclusion.hashes.map(fromBase64),
    root: checkpoint.root,
  })
}

function stateOf(checks: readonly Check[], evidence: Evidence): Verification['state'] {
  if (checks.some(({ state }) => state === 'failed')) return 'failed'
  if (checks.some(({ state }) => state === 'pending')) return 'pending'
  const limited = checks.some(({ state }) => state === 'limited')
  return limited || evidence.withheld.length > 0 ? 'partial' : 'verified'
}
