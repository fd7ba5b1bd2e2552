/**
 * SHA-256, synchronous. Passed in: node:crypto in core, @noble/hashes in the browser. It does not keep `data`, whose
 * bytes may be written over as soon as it returns.
 */
export type Digest = (data: Uint8Array) => Uint8Array

/** Ed25519 verification (RFC 8032), passed in like the digest. */
export type Ed25519Verify = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean

export const hashBytes = 32
