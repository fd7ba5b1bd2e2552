import { createHmac } from 'node:crypto'
import type { Keyring } from '../../ledger/keyring.ts'
import { sealPayload } from '../../ledger/payloads/sealed-payload.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { subjectOf } from '../../ledger/subject.ts'
import type { EventFields, RecordedEvent } from '../../schemas/event/event.ts'
import type { EventField } from '../../schemas/event/fields.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'
import { type CanonicalTexts, LeafDraft } from '../../schemas/leaf/leaf.ts'

export interface SealedEvent {
  readonly event: RecordedEvent
  readonly leaf: Uint8Array
  readonly payload: Uint8Array | undefined
}

/** Fresh random bytes out of a pool: one system call for hundreds of events. */
export type RandomPool = (bytes: number) => Uint8Array

export function pooledRandom(random: (bytes: number) => Uint8Array): RandomPool {
  let pool: Uint8Array = new Uint8Array(0)
  let used = 0
  return (bytes) => {
    if (used + bytes > pool.length) {
      pool = random(Math.max(16_384, bytes))
      used = 0
    }
    used += bytes
    return pool.subarray(used - bytes, used)
  }
}

/**
 * Makes leaf and sealed payload of an event.
 *
 * @param texts of {@link derivedFields}
 * @throws SealtrailError `LEAF_TOO_LARGE`, `CANONICAL_JSON_INVALID`, `KEY_DESTROYED`
 */
export function sealEvent(
  event: RecordedEvent,
  keyring: Keyring,
  random: RandomPool,
  texts?: CanonicalTexts,
): SealedEvent {
  const logId = event['log.id']
  const seed = random(32)
  const draft = new LeafDraft(sha256, event, seed, texts)
  const { openings } = draft
  if (openings.length === 0) return { event, leaf: draft.encode(undefined), payload: undefined }
  const key = keyring.sealingKey(logId, subjectOf(event), event['time.recorded'].slice(0, 10))
  const payload = sealPayload({ key, seed, nonce: random(12), openings })
  const leaf = draft.encode({ sha256: sha256(payload), sizeBytes: payload.length })
  return { event, leaf, payload }
}

export interface DerivedFields {
  readonly fields: Partial<RecordedEvent>
  /** Canonical JSON of arguments and result: what was hashed is also what is sealed. */
  readonly texts: CanonicalTexts
}

const hashedFields = [
  ['gen_ai.tool.call.arguments', 'arguments.hash'],
  ['gen_ai.tool.call.result', 'result.hash'],
] as const

/**
 * Fields that are derived when an event enters the log.
 *
 * @throws SealtrailError `CANONICAL_JSON_INVALID`
 */
export function derivedFields(event: EventFields, tokenKey: Uint8Array): DerivedFields {
  const fields: Partial<RecordedEvent> = {}
  const texts = new Map<EventField, string>()
  for (const [field, hashField] of hashedFields) {
    const value = event[field]
    if (value === undefined) continue
    const text = canonicalJson(value)
    texts.set(field, text)
    fields[hashField] = createHmac('sha256', tokenKey).update(text).digest('hex')
  }
  const granted = event['auth.scopes.granted']
  const required = event['auth.scopes.required']
  if (granted !== undefined && required !== undefined) {
    fields['auth.scopes.missing'] = required.filter((scope) => !granted.includes(scope))
    fields['auth.scopes.excess'] = granted.filter((scope) => !required.includes(scope))
  }
  return { fields, texts }
}
