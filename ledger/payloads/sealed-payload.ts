import { createCipheriv, createDecipheriv } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { fromUtf8Strict } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { sealedGroups } from '../../schemas/event/fields.ts'
import { groupSalt, type Opening } from '../../schemas/leaf/leaf.ts'
import type { SealingKey } from '../keyring.ts'
import { sha256 } from '../sha256.ts'

/**
 * Sealed payload v1: one AES-256-GCM ciphertext an event.
 *
 * ```
 * 0x01, uint8 length of the key id, key id (ASCII)    authenticated as additional data
 * nonce, 12 bytes
 * ciphertext || tag of: flag (0 plain, 1 raw deflate), then (deflated) seed, 32 bytes, and for each group
 *   uint8 group number, uint32 big-endian length, UTF-8 canonical JSON of the group
 * ```
 *
 * Compression stands before encryption. The salts of the commitments derive from the seed, so they die with the key.
 */
const version = 1
const nonceBytes = 12
const tagBytes = 16
const seedBytes = 32
const deflateAboveBytes = 1024
const maxInflatedBytes = 8 * 1024 * 1024

export interface SealRequest {
  readonly key: SealingKey
  /** 32 fresh random bytes. */
  readonly seed: Uint8Array
  /** 12 fresh random bytes. */
  readonly nonce: Uint8Array
  readonly openings: readonly Opening[]
}

export function sealPayload(request: SealRequest): Uint8Array {
  const plain = encodePlain(request)
  const { keyId, key } = request.key
  const headerBytes = 2 + keyId.length
  const bodyAt = headerBytes + nonceBytes
  const sealed = Buffer.allocUnsafe(bodyAt + plain.length + tagBytes)
  sealed[0] = version
  sealed[1] = keyId.length
  sealed.write(keyId, 2, 'latin1')
  sealed.set(request.nonce, headerBytes)
  const cipher = createCipheriv('aes-256-gcm', key, request.nonce)
  cipher.setAAD(sealed.subarray(0, headerBytes))
  sealed.set(cipher.update(plain), bodyAt)
  cipher.final()
  sealed.set(cipher.getAuthTag(), bodyAt + plain.length)
  return sealed
}

/**
 * Openings of a sealed payload; `destroyed` when its key is gone.
 *
 * @throws SealtrailError `PAYLOAD_MISSING` when the bytes do not authenticate or do not decode.
 */
export function openPayload(
  bytes: Uint8Array,
  keyOf: (keyId: string) => Uint8Array | undefined,
): Opening[] | 'destroyed' {
  const keyIdBytes = bytes[1] ?? 0
  const headerBytes = 2 + keyIdBytes
  const bodyAt = headerBytes + nonceBytes
  if (bytes[0] !== version || bytes.length < bodyAt + 1 + tagBytes) throw damaged('is malformed')
  const header = bytes.subarray(0, headerBytes)
  const key = keyOf(keyIdOf(bytes))
  if (key === undefined) return 'destroyed'
  let plain: Buffer
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(headerBytes, bodyAt))
    decipher.setAAD(header)
    decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes))
    // GCM gives all of the text at once; the end only says whether it authenticates.
    plain = decipher.update(bytes.subarray(bodyAt, bytes.length - tagBytes))
    decipher.final()
  } catch (cause) {
    throw damaged('does not authenticate', cause)
  }
  const body = plain.subarray(1)
  return decodeBody(plain[0] === 1 ? inflated(body) : body)
}

/** Id of the key of a sealed payload, as its bytes say it; they may be anything. */
export function keyIdOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(2, 2 + (bytes[1] ?? 0))).toString('latin1')
}

/** Id of the root key of the subject that a payload is sealed for, as its header says; empty for what is no payload. */
export function rootKeyIdOf(bytes: Uint8Array): string {
  const keyId = keyIdOf(bytes)
  return keyId.slice(0, Math.max(0, keyId.indexOf('.')))
}

function inflated(body: Buffer): Buffer {
  try {
    return inflateRawSync(body, { maxOutputLength: maxInflatedBytes })
  } catch (cause) {
    throw damaged('does not unpack', cause)
  }
}

/** Flag and body in one piece, so that it is encrypted by one call. */
function encodePlain(request: SealRequest): Buffer {
  let length = 1 + seedBytes
  for (const { plaintext } of request.openings) length += 5 + Buffer.byteLength(plaintext)
  const plain = Buffer.allocUnsafe(length)
  plain[0] = 0
  plain.set(request.seed, 1)
  let at = 1 + seedBytes
  for (const { group, plaintext } of request.openings) {
    const written = plain.write(plaintext, at + 5)
    plain.writeUInt8(sealedGroups.indexOf(group), at)
    plain.writeUInt32BE(written, at + 1)
    at += 5 + written
  }
  return length > deflateAboveBytes ? deflated(plain) : plain
}

function deflated(plain: Buffer): Buffer {
  const body = deflateRawSync(plain.subarray(1), { level: 1 })
  return body.length < plain.length - 1 ? Buffer.concat([Uint8Array.of(1), body]) : plain
}

function decodeBody(body: Buffer): Opening[] {
  const seed = body.subarray(0, seedBytes)
  const openings: Opening[] = []
  let at = seedBytes
  while (at < body.length) {
    if (at + 5 > body.length) throw damaged('ends early')
    const group = sealedGroups[body.readUInt8(at)]
    const until = at + 5 + body.readUInt32BE(at + 1)
    if (group === undefined || until > body.length) throw damaged('is malformed')
    openings.push({
      group,
      salt: groupSalt(sha256, seed, group),
      plaintext: textOf(body.subarray(at + 5, until)),
    })
    at = until
  }
  return openings
}

function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8Strict(bytes)
  } catch (cause) {
    throw damaged('holds a group that is not UTF-8', cause)
  }
}

function damaged(what: string, cause?: unknown): SealtrailError {
  return new SealtrailError('PAYLOAD_MISSING', `a sealed payload ${what}`, { cause })
}
