import { createHmac } from 'node:crypto'
import type { Keyring } from '../../ledger/keyring.ts'
import { sealPayload } from '../../ledger/payloads/sealed-payload.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { utf8 } from '../../schemas/bytes.ts'
import type { ObservedEvent, RecordedEvent } from '../../schemas/event/event.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { LeafDraft } from '../../schemas/leaf/leaf.ts'

export interface SealedEvent {
  readonly event: RecordedEvent
  readonly leaf: Uint8Array
  readonly payload: Uint8Array | undefined
}

/** Fresh random bytes out of a pool: one system call for hundreds of events. */
export type RandomPool = (bytes: number) => Uint8Array

/**
 * Makes leaf and sealed payload of an event.
 *
 * @throws SealtrailError `LEAF_TOO_LARGE`, `CANONICAL_JSON_INVALID`, `KEY_DESTROYED`
 */
export function sealEvent(event: RecordedEvent, keyring: Keyring, random: RandomPool): SealedEvent {
  const logId = event['log.id']
  const seed = random(32)
  const draft = new LeafDraft(sha256, event, seed)
  const { openings } = draft
  if (openings.length === 0) return { event, leaf: draft.encode(undefined), payload: undefined }
  const key = keyring.sealingKey(logId, subjectOf(event), event['time.recorded'].slice(0, 10))
  const payload = sealPayload({ key, seed, nonce: random(12), openings })
  const leaf = draft.encode({ sha256: sha256(payload), sizeBytes: payload.length })
  return { event, leaf, payload }
}

/** Whose data an event is: (issuer, sub), else the e-mail address, else the source. */
export function subjectOf(event: RecordedEvent): string {
  const id = event['user.id']
  if (id !== undefined) return JSON.stringify(['sub', event['user.issuer'] ?? '', id])
  const email = event['user.email']
  if (email !== undefined) return JSON.stringify(['email', email.toLowerCase()])
  return JSON.stringify(['source', event['source.id'] ?? 'sealtrail'])
}

/** Fields that are derived when an event enters the log. */
export function derivedFields(event: ObservedEvent, tokenKey: Uint8Array): Partial<RecordedEvent> {
  const derived: Partial<RecordedEvent> = {}
  const args = event['gen_ai.tool.call.arguments']
  if (args !== undefined) derived['arguments.hash'] = valueHash(tokenKey, args)
  const result = event['gen_ai.tool.call.result']
  if (result !== undefined) derived['result.hash'] = valueHash(tokenKey, result)
  const granted = event['auth.scopes.granted']
  const required = event['auth.scopes.required']
  if (granted !== undefined && required !== undefined) {
    derived['auth.scopes.missing'] = required.filter((scope) => !granted.includes(scope))
    derived['auth.scopes.excess'] = granted.filter((scope) => !required.includes(scope))
  }
  return derived
}

function valueHash(key: Uint8Array, value: JsonValue): string {
  return createHmac('sha256', key)
    .update(utf8(canonicalJson(value)))
    .digest('hex')
}
