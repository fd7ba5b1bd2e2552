import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import type { Digest, Ed25519Verify } from '../../schemas/tlog/digest.ts'

/** SHA-256 in plain JavaScript: synchronous, and there without a secure context, where WebCrypto is missing. */
export const sha256: Digest = (data) => nobleSha256(data)

/** Ed25519 by RFC 8032, strict about encodings (no ZIP-215 leniency). */
export const verifyEd25519: Ed25519Verify = (publicKey, message, signature) => {
  if (publicKey.length !== 32 || signature.length !== 64) return false
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false })
  } catch {
    return false
  }
}
