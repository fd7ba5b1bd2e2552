import { SealtrailError } from '../errors.ts'
import { parseLeaf } from '../leaf/open-leaf.ts'
import type { Digest, Ed25519Verify } from './digest.ts'
import { noteVerifier, parseVerifierKey } from './note.ts'
import { verifyTlogProof } from './tlog-proof.ts'

/**
 * A log changes its signing key by a leaf that names the next one. Trees that hold the leaf are signed with the next
 * key; the first of them with the old one too, which so vouches for the leaf. Whoever holds the old key goes from there.
 */
export interface KeyRotation {
  /** Index of the leaf. */
  readonly index: number
  /** C2SP verifier keys, of the same origin. */
  readonly previous: string
  readonly next: string
}

/** Value of `admin.action` of the leaf; `admin.target` is the next verifier key. */
export const keyRotationAction = 'key.rotate'

/** The next verifier key, where a leaf rotates one; undefined for any other leaf, also one that cannot be read. */
export function nextKeyOf(leaf: Uint8Array): string | undefined {
  try {
    const { clear } = parseLeaf(leaf)
    return clear['event.class'] === 'admin' &&
      clear['source.id'] === 'sealtrail' &&
      clear['admin.action'] === keyRotationAction
      ? clear['admin.target']
      : undefined
  } catch {
    return undefined
  }
}

/** A rotation leaf with a tlog-proof under a checkpoint that both keys signed. */
export interface KeyRotationProof {
  readonly leaf: Uint8Array
  /** C2SP tlog-proof@v1. */
  readonly proof: string
}

/**
 * The key that follows a trusted one: the trusted key signed a tree that holds the leaf which names it, and the next
 * key signed the same tree.
 *
 * @throws SealtrailError `PROOF_INVALID`
 */
export function followRotation(
  digest: Digest,
  ed25519: Ed25519Verify,
  trustedKey: string,
  { leaf, proof }: KeyRotationProof,
): string {
  const next = nextKeyOf(leaf)
  if (next === undefined) throw bad('the leaf rotates no key')
  const [from, to] = [parseVerifierKey(digest, trustedKey), parseVerifierKey(digest, next)]
  if (from.name !== to.name) throw bad('the next key is of another log')
  // Nobody could tell whose signature it is.
  if (from.keyId === to.keyId) throw bad('the next key has the id of the one before')
  for (const key of [trustedKey, next])
    verifyTlogProof(digest, proof, leaf, [noteVerifier(digest, ed25519, key)])
  return next
}

function bad(message: string): SealtrailError {
  return new SealtrailError('PROOF_INVALID', `key rotation: ${message}`)
}
