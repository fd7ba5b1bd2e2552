import { createHmac } from 'node:crypto'

/**
 * Time-based one-time passwords, RFC 6238 over RFC 4226: HMAC-SHA-1, six digits, steps of 30 seconds. These are the
 * parameters that every authenticator app understands; many ignore others.
 */
const stepMs = 30_000
const digits = 6

/** Bytes of a secret: the length of the HMAC's output, as RFC 4226 section 4 recommends. */
export const totpSecretBytes = 20

/** Steps that a clock may be off, to either side (RFC 6238 section 5.2). */
const skewSteps = 1

export function totpStepAt(nowMs: number): number {
  return Math.floor(nowMs / stepMs)
}

/** The code of a step, with leading zeros. */
export function totpCode(secret: Uint8Array, step: number, length = digits): string {
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(step))
  const mac = createHmac('sha1', secret).update(counter).digest()
  // Dynamic truncation, RFC 4226 section 5.3.
  const offset = (mac[mac.length - 1] ?? 0) & 0x0f
  const binary = mac.readUInt32BE(offset) & 0x7fff_ffff
  return String(binary % 10 ** length).padStart(length, '0')
}

/** The step that a code belongs to, near the present one; undefined for a code that is none. */
export function totpStepOf(secret: Uint8Array, code: string, nowMs: number): number | undefined {
  const present = totpStepAt(nowMs)
  let found: number | undefined
  // All of them, so that the time says nothing about which one it was.
  for (let step = present - skewSteps; step <= present + skewSteps; step++) {
    if (totpCode(secret, step) === code) found = step
  }
  return found
}

/** `otpauth://` address that authenticator apps read from a QR code (Google Authenticator's key URI format). */
export function totpUri(issuer: string, account: string, secret: Uint8Array): string {
  const label = `${encodeURIComponent(issuer)}:${encodeURIComponent(account)}`
  return `otpauth://totp/${label}?secret=${base32(secret)}&issuer=${encodeURIComponent(issuer)}&algorithm=SHA1&digits=${digits}&period=${stepMs / 1000}`
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'

/** RFC 4648 section 6, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = ''
  let value = 0
  let bits = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    bits += 8
    for (; bits >= 5; bits -= 5) text += alphabet[(value >>> (bits - 5)) & 31]
    value &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + alphabet[(value << (5 - bits)) & 31]
}
