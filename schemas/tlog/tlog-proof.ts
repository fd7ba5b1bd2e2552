import { base64, fromBase64 } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import { openCheckpoint } from './checkpoint.ts'
import { type Digest, hashBytes } from './digest.ts'
import { leafHash, verifyInclusion } from './merkle.ts'
import type { NoteVerifier } from './note.ts'

/** C2SP tlog-proof@v1: an offline proof that a leaf is in a log. */
export interface TlogProof {
  readonly index: number
  /** RFC 6962 audit path. */
  readonly hashes: readonly Uint8Array[]
  /** Signed checkpoint note. */
  readonly checkpoint: string
}

const header = 'c2sp.org/tlog-proof@v1'
const maxHashes = 63

export function formatTlogProof(proof: TlogProof): string {
  const lines = [header, `index ${proof.index}`, ...proof.hashes.map(base64), '']
  return `${lines.join('\n')}\n${proof.checkpoint}`
}

/** Strict parse; an `extra` line is read over: it is not authenticated. @throws SealtrailError `PROOF_INVALID` */
export function parseTlogProof(text: string): TlogProof {
  const split = text.indexOf('\n\n')
  if (split < 0) throw bad('the proof has no checkpoint')
  const lines = text.slice(0, split).split('\n')
  if (lines.shift() !== header) throw bad(`the proof does not begin with ${header}`)
  if (lines[0]?.startsWith('extra ')) lines.shift()
  const index = /^index (0|[1-9]\d*)$/.exec(lines.shift() ?? '')?.[1]
  if (index === undefined || !Number.isSafeInteger(Number(index)))
    throw bad('the proof has no index')
  if (lines.length > maxHashes) throw bad('the proof has too many hashes')
  const hashes = lines.map((line) => {
    let hash: Uint8Array
    try {
      hash = fromBase64(line)
    } catch {
      throw bad('a hash of the proof is not base64')
    }
    if (hash.length !== hashBytes) throw bad('a hash of the proof is not 32 bytes')
    return hash
  })
  return { index: Number(index), hashes, checkpoint: text.slice(split + 2) }
}

/** Verifies that `leaf` stands at the index of the proof. @throws SealtrailError `PROOF_INVALID` saying what fails */
export function verifyTlogProof(
  digest: Digest,
  text: string,
  leaf: Uint8Array,
  verifiers: readonly NoteVerifier[],
): { index: number; size: number; root: Uint8Array } {
  const proof = parseTlogProof(text)
  const { size, root } = openCheckpoint(proof.checkpoint, verifiers)
  const included = verifyInclusion(digest, {
    index: proof.index,
    size,
    leafHash: leafHash(digest, leaf),
    proof: proof.hashes,
    root,
  })
  if (!included) throw bad(`the leaf is not at index ${proof.index} of the tree of size ${size}`)
  return { index: proof.index, size, root }
}

function bad(message: string): SealtrailError {
  return new SealtrailError('PROOF_INVALID', message)
}
