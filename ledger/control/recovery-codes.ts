import { tokenDigest } from './token-digest.ts'
import { base32 } from './totp.ts'

const codes = 10

/** Codes that each stand in for the authenticator once: 80 bits, in groups of four that people can copy by hand. */
export function newRecoveryCodes(random: (bytes: number) => Uint8Array): string[] {
  return Array.from({ length: codes }, () => {
    const text = base32(random(10)).toLowerCase()
    return text.match(/.{4}/g)?.join('-') ?? text
  })
}

/** Digest of a recovery code however it was typed; undefined for what cannot be one. */
export function recoveryDigest(typed: string): string | undefined {
  const text = typed.toLowerCase().replaceAll(/[\s-]/g, '')
  return /^[a-z2-7]{16}$/.test(text) ? tokenDigest(text) : undefined
}
