import { createHash, timingSafeEqual } from 'node:crypto'
import { fromHex } from '../../schemas/bytes.ts'

/** SHA-256 (hex) of a token of high entropy: what is kept instead of it. */
export function tokenDigest(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

/** Compares in a time that says nothing about where two digests differ. */
export function sameDigest(a: string, b: string): boolean {
  return timingSafeEqual(fromHex(a), fromHex(b))
}
