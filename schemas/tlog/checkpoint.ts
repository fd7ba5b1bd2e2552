import { base64, fromBase64 } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import { hashBytes } from './digest.ts'
import { type NoteVerifier, openNote, parseNote } from './note.ts'

/** C2SP tlog-checkpoint: what a log claims to be at a size. */
export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
}

/** Note text: origin, size, base64 root, each on its line. No extension lines. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  return `${checkpoint.origin}\n${checkpoint.size}\n${base64(checkpoint.root)}\n`
}

/** @throws SealtrailError `PROOF_INVALID` */
export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root, ...rest] = text.split('\n')
  if (origin === undefined || origin === '' || size === undefined || root === undefined) {
    throw bad('the checkpoint is not origin, size and root')
  }
  // Extension lines are allowed by the specification; we write none and carry no meaning in them.
  if (rest.at(-1) !== '' || rest.slice(0, -1).includes('')) throw bad('the checkpoint ends wrongly')
  if (!/^(?:0|[1-9]\d*)$/.test(size) || !Number.isSafeInteger(Number(size))) {
    throw bad('the size of the checkpoint is no number')
  }
  let hash: Uint8Array
  try {
    hash = fromBase64(root)
  } catch {
    throw bad('the root of the checkpoint is not base64')
  }
  if (hash.length !== hashBytes) throw bad('the root of the checkpoint is not 32 bytes')
  return { origin, size: Number(size), root: hash }
}

/** A verified checkpoint: its origin is the name of a key that signed it. @throws SealtrailError `PROOF_INVALID` */
export function openCheckpoint(note: string, verifiers: readonly NoteVerifier[]): Checkpoint {
  const { text, signedBy } = openNote(note, verifiers)
  const checkpoint = parseCheckpoint(text)
  if (!signedBy.includes(checkpoint.origin)) {
    throw bad('the origin of the checkpoint is not the name of its key')
  }
  return checkpoint
}

/** A checkpoint as its note says it, with nothing verified. */
export function readCheckpoint(note: string): Checkpoint {
  return parseCheckpoint(parseNote(note).text)
}

function bad(message: string): SealtrailError {
  return new SealtrailError('PROOF_INVALID', message)
}
