import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { base64, fromBase64, utf8 } from './bytes.ts'

/**
 * Secrets of sources. `sts_<id>_<secret>` is for Sealtrail's collectors; from it derive by HKDF-SHA-256 the source key
 * `stk_<id>_<key>`, which is what a receiver takes as Bearer, and the chain key of numbered records. A server that
 * leaks its table of hashed keys leaks neither.
 */
const secretPattern = /^sts_([a-z0-9]{4,32})_([A-Za-z0-9_-]{43})$/
const keyPattern = /^stk_([a-z0-9]{4,32})_([A-Za-z0-9_-]{43})$/

export interface SourceSecret {
  readonly id: string
  /** 32 bytes. */
  readonly secret: Uint8Array
}

export function formatSourceSecret({ id, secret }: SourceSecret): string {
  return `sts_${id}_${base64Url(secret)}`
}

/** undefined for anything that {@link formatSourceSecret} would not write. */
export function parseSourceSecret(text: string): SourceSecret | undefined {
  const match = secretPattern.exec(text)
  const [, id, encoded] = match ?? []
  if (id === undefined || encoded === undefined) return undefined
  const secret = fromBase64Url(encoded)
  return secret === undefined ? undefined : { id, secret }
}

/** The Bearer token of a source. */
export function sourceKeyOf({ id, secret }: SourceSecret): string {
  return `stk_${id}_${base64Url(derive(secret, 'sealtrail/source-auth/v1'))}`
}

/** Source id of a well-formed Bearer token; undefined for anything else. */
export function sourceIdOfKey(token: string): string | undefined {
  return keyPattern.exec(token)?.[1]
}

/** Key of the HMAC chain over numbered records, 32 bytes. */
export function chainKeyOf({ secret }: SourceSecret): Uint8Array {
  return derive(secret, 'sealtrail/source-chain/v1')
}

/** Key that encrypts the spool of a collector, 32 bytes. */
export function spoolKeyOf({ secret }: SourceSecret): Uint8Array {
  return derive(secret, 'sealtrail/source-spool/v1')
}

function derive(secret: Uint8Array, info: string): Uint8Array {
  return hkdf(sha256, secret, undefined, utf8(info), 32)
}

function base64Url(bytes: Uint8Array): string {
  return base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

function fromBase64Url(text: string): Uint8Array | undefined {
  try {
    return fromBase64(
      `${text.replaceAll('-', '+').replaceAll('_', '/')}${'='.repeat((4 - (text.length % 4)) % 4)}`,
    )
  } catch {
    return undefined
  }
}
