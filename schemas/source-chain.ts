import { hex, utf8 } from './bytes.ts'
import { canonicalJson, type JsonValue } from './leaf/canonical-json.ts'
import type { Digest } from './tlog/digest.ts'

export type Hmac = (key: Uint8Array, data: Uint8Array) => Uint8Array

/** SHA-256 (hex) over the RFC 8785 form of a record as its collector sent it. */
export function sentDigest(digest: Digest, record: JsonValue): string {
  return hex(digest(utf8(canonicalJson(record))))
}

/**
 * `source.prev` of the record that follows: HMAC-SHA-256(chain key, sent digest as hex text). The digest lets a
 * receiver without the chain key hand on what the sequencer needs to check the chain.
 */
export function chainValue(hmac: Hmac, chainKey: Uint8Array, digestHex: string): string {
  return hex(hmac(chainKey, utf8(digestHex)))
}

/** `source.prev` of the first record of an epoch. */
export const chainStart = '0'.repeat(64)
