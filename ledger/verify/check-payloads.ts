import type { RecordedEvent } from '../../schemas/event/event.ts'
import { type ParsedLeaf, parseLeaf } from '../../schemas/leaf/open-leaf.ts'
import { type ErasureLeaf, fromErasureEvent } from '../erasure-leaf.ts'
import { openParsed } from '../ledger-reader.ts'
import { rootKeyIdOf } from '../payloads/sealed-payload.ts'

/** A key, or why there is none; `unknown` where nobody has a keyring: then nothing is opened. */
export type KeyState = Uint8Array | 'destroyed' | 'lost' | 'unknown'

/** Leaves of one segment with their payloads. */
export interface PayloadBatch {
  readonly logId: string
  readonly fromIndex: number
  readonly leaves: readonly Uint8Array[]
  readonly payloads: readonly (Uint8Array | undefined)[]
  readonly keyOf: (keyId: string) => KeyState
}

/** A leaf that records an erasure. */
export interface RecordedErasure {
  readonly leafIndex: number
  /** Canonical timestamp. */
  readonly recordedAt: string
  readonly erasure: ErasureLeaf
}

/** What was found before the first problem. */
export interface PayloadFindings {
  /** Payloads that are whole. */
  readonly payloads: number
  /** Payloads that are the ones their leaves name, and whose key was destroyed, by root key id. */
  readonly closed: ReadonlyMap<string, number>
  /** Leaves that name a payload which is not there. */
  readonly missing: readonly number[]
  readonly erasures: readonly RecordedErasure[]
  readonly problem: string | undefined
}

/** Who checks payloads: this thread, or others. */
export interface PayloadChecker {
  check(batch: PayloadBatch): Promise<PayloadFindings>
}

/** Each payload against its leaf, and what it holds against the commitments. Stops at the first problem and names it. */
export function checkPayloads(batch: PayloadBatch): PayloadFindings {
  let payloads = 0
  const closed = new Map<string, number>()
  const missing: number[] = []
  const erasures: RecordedErasure[] = []
  for (const [offset, leaf] of batch.leaves.entries()) {
    const leafIndex = batch.fromIndex + offset
    const found = checkPayload(batch, leafIndex, leaf, batch.payloads[offset])
    if (found.kind === 'problem')
      return { payloads, closed, missing, erasures, problem: found.text }
    if (found.kind === 'opened' || found.kind === 'unopened') payloads++
    if (found.kind === 'closed') closed.set(found.rootKeyId, (closed.get(found.rootKeyId) ?? 0) + 1)
    if (found.kind === 'missing') missing.push(leafIndex)
    const erasure = found.kind === 'opened' ? fromErasureEvent(found.event) : undefined
    if (found.kind === 'opened' && erasure !== undefined)
      erasures.push({ leafIndex, recordedAt: found.event['time.recorded'], erasure })
  }
  return { payloads, closed, missing, erasures, problem: undefined }
}

type CheckedPayload =
  | { readonly kind: 'none' | 'unopened' | 'missing' }
  | { readonly kind: 'opened'; readonly event: RecordedEvent }
  | { readonly kind: 'closed'; readonly rootKeyId: string }
  | { readonly kind: 'problem'; readonly text: string }

function checkPayload(
  { logId, keyOf }: PayloadBatch,
  index: number,
  leaf: Uint8Array,
  payload: Uint8Array | undefined,
): CheckedPayload {
  const wrong = (what: string): CheckedPayload => ({
    kind: 'problem',
    text: `log ${logId}, payload of leaf ${index}: ${what}`,
  })
  let parsed: ParsedLeaf
  try {
    parsed = parseLeaf(leaf)
  } catch (error) {
    return { kind: 'problem', text: `log ${logId}, leaf ${index}: ${messageOf(error)}` }
  }
  if (parsed.payload === undefined) {
    return payload === undefined ? { kind: 'none' } : wrong('there is one, and the leaf names none')
  }
  if (payload === undefined) return { kind: 'missing' }
  const states: KeyState[] = []
  try {
    const { opened, event } = openParsed(parsed, payload, (keyId) => {
      const state = keyOf(keyId)
      states.push(state)
      return typeof state === 'string' ? undefined : state
    })
    if (states.includes('lost'))
      return wrong('its key is not in the keyring, and was not destroyed there')
    if (opened === 'full') return { kind: 'opened', event }
    // A key that is not there does not hide an altered ciphertext: its hash was checked before.
    return states.includes('unknown')
      ? { kind: 'unopened' }
      : { kind: 'closed', rootKeyId: rootKeyIdOf(payload) }
  } catch (error) {
    return wrong(messageOf(error))
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
