import { utf8 } from '../bytes.ts'
import type { Digest, Ed25519Verify } from './digest.ts'
import { cosignatureType, type NoteVerifier, openNote, parseVerifierKey } from './note.ts'

/** C2SP tlog-cosignature, Ed25519 type: a witness saw the tree of a checkpoint as the largest one at a time. */

const timestampBytes = 8
const signatureBytes = 64

/** A cosignature of a witness that verified. */
export interface Cosignature {
  /** Key name of the witness. */
  readonly name: string
  readonly keyId: string
  /** When the witness signed, Unix seconds, by its own clock. */
  readonly seconds: number
}

/** Verifier of the cosignatures of one witness. @throws SealtrailError `PROOF_INVALID` when `key` is no such vkey */
export function cosignatureVerifier(
  digest: Digest,
  ed25519: Ed25519Verify,
  key: string,
): NoteVerifier {
  const { name, keyId, publicKey } = parseVerifierKey(digest, key, cosignatureType)
  return {
    name,
    keyId,
    verify(message, signature) {
      const seconds = cosignatureSeconds(signature)
      if (seconds === undefined) return false
      const header = utf8(`cosignature/v1\ntime ${seconds}\n`)
      const signed = new Uint8Array(header.length + message.length)
      signed.set(header)
      signed.set(message, header.length)
      return ed25519(publicKey, signed, signature.subarray(timestampBytes))
    },
  }
}

/** Time in a `timestamped_signature`; undefined where it is none, or beyond what a number holds exactly. */
export function cosignatureSeconds(signature: Uint8Array): number | undefined {
  if (signature.length !== timestampBytes + signatureBytes) return undefined
  const view = new DataView(signature.buffer, signature.byteOffset, timestampBytes)
  const seconds = Number(view.getBigUint64(0))
  return Number.isSafeInteger(seconds) ? seconds : undefined
}

/**
 * The cosignatures of a note by known witnesses, in the order of `witnesses`; none when no known one signed it.
 *
 * @throws SealtrailError `PROOF_INVALID` when one by a known witness does not verify
 */
export function readCosignatures(
  note: string,
  log: readonly NoteVerifier[],
  witnesses: readonly NoteVerifier[],
): Cosignature[] {
  const { signatures } = openNote(note, [...log, ...witnesses])
  return witnesses.flatMap((witness) => {
    const signature = signatures.get(witness)
    const seconds = signature === undefined ? undefined : cosignatureSeconds(signature)
    return seconds === undefined ? [] : [{ name: witness.name, keyId: witness.keyId, seconds }]
  })
}
