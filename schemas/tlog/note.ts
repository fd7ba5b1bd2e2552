import { base64, concat, fromBase64, hex, utf8 } from '../bytes.ts'
import { SealtrailError } from '../errors.ts'
import type { Digest, Ed25519Verify } from './digest.ts'

/** C2SP signed-note: a text, a blank line, and one line `— <name> <base64(key id || signature)>` a signature. */

/** Signature types of C2SP signed-note: a log's own signature, and a cosignature of tlog-cosignature. */
export const ed25519Type = 0x01
export const cosignatureType = 0x04
const emDash = '\u2014'
const maxNoteBytes = 1_000_000
const maxSignatures = 100

export interface NoteSignature {
  readonly name: string
  /** 4 bytes, hex. */
  readonly keyId: string
  readonly signature: Uint8Array
}

export interface ParsedNote {
  /** Signed text, ending in a newline. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

export interface NoteVerifier {
  readonly name: string
  readonly keyId: string
  verify(message: Uint8Array, signature: Uint8Array): boolean
}

/** Key id of an Ed25519 key: SHA-256(name || 0x0A || type || public key)[:4]. */
export function keyId(
  digest: Digest,
  name: string,
  publicKey: Uint8Array,
  type: number = ed25519Type,
): Uint8Array {
  return digest(concat(utf8(name), Uint8Array.of(0x0a, type), publicKey)).slice(0, 4)
}

/** Verifier key `<name>+<key id hex>+<base64(type || public key)>`. */
export function formatVerifierKey(
  digest: Digest,
  name: string,
  publicKey: Uint8Array,
  type: number = ed25519Type,
): string {
  checkName(name)
  const encoded = base64(concat(Uint8Array.of(type), publicKey))
  return `${name}+${hex(keyId(digest, name, publicKey, type))}+${encoded}`
}

export interface VerifierKey {
  readonly name: string
  readonly keyId: string
  readonly publicKey: Uint8Array
}

/** Splits on the first two plus signs only: base64 may hold more. @throws SealtrailError `PROOF_INVALID` */
export function parseVerifierKey(
  digest: Digest,
  text: string,
  type: number = ed25519Type,
): VerifierKey {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  if (first < 1 || second < 0) throw bad('the verifier key is not <name>+<id>+<key>')
  const name = text.slice(0, first)
  checkName(name)
  let key: Uint8Array
  try {
    key = fromBase64(text.slice(second + 1))
  } catch {
    throw bad('the verifier key is not base64')
  }
  if (key.length !== 33 || key[0] !== type) {
    throw bad(
      type === ed25519Type
        ? 'the verifier key is not Ed25519'
        : 'the verifier key is not one of Ed25519 cosignatures',
    )
  }
  const publicKey = key.slice(1)
  const id = hex(keyId(digest, name, publicKey, type))
  if (text.slice(first + 1, second) !== id) throw bad('the id of the verifier key is wrong')
  return { name, keyId: id, publicKey }
}

export function noteVerifier(digest: Digest, ed25519: Ed25519Verify, key: string): NoteVerifier {
  const { name, keyId: id, publicKey } = parseVerifierKey(digest, key)
  return {
    name,
    keyId: id,
    verify: (message, signature) =>
      signature.length === 64 && ed25519(publicKey, message, signature),
  }
}

/** A note of `text` with one Ed25519 signature. `text` ends in a newline. */
export function signNote(
  text: string,
  name: string,
  id: Uint8Array,
  sign: (message: Uint8Array) => Uint8Array,
): string {
  checkName(name)
  checkText(text)
  return `${text}\n${emDash} ${name} ${base64(concat(id, sign(utf8(text))))}\n`
}

/** Strict parse; nothing is verified. @throws SealtrailError `PROOF_INVALID` */
export function parseNote(note: string): ParsedNote {
  if (note.length > maxNoteBytes) throw bad('the note is too long')
  const split = note.lastIndexOf('\n\n')
  if (split < 0) throw bad('the note has no signatures')
  const text = note.slice(0, split + 1)
  checkText(text)
  const block = note.slice(split + 2)
  if (!block.endsWith('\n')) throw bad('the note does not end in a newline')
  const lines = block.slice(0, -1).split('\n')
  if (lines.length > maxSignatures) throw bad('the note has too many signatures')
  return { text, signatures: lines.map(parseSignature) }
}

function parseSignature(line: string): NoteSignature {
  const match = new RegExp(`^${emDash} ([^ ]+) ([A-Za-z0-9+/=]+)$`).exec(line)
  const [, name, encoded] = match ?? []
  if (name === undefined || encoded === undefined) throw bad('a signature line is malformed')
  checkName(name)
  let bytes: Uint8Array
  try {
    bytes = fromBase64(encoded)
  } catch {
    throw bad('a signature is not base64')
  }
  if (bytes.length < 5) throw bad('a signature is too short')
  return { name, keyId: hex(bytes.slice(0, 4)), signature: bytes.slice(4) }
}

/** A note that verified. */
export interface OpenedNote {
  readonly text: string
  /** Names of the known keys that signed it; at least one. */
  readonly signedBy: readonly string[]
  /** The known keys that signed it, each with its signature. */
  readonly signatures: ReadonlyMap<NoteVerifier, Uint8Array>
}

/**
 * Parses and verifies. Signatures by unknown keys are ignored (C2SP); one by a known key that does not verify spoils
 * the note; a known key may sign once. A key id has four bytes, so two known keys may share one: a signature is then
 * of the key under which it verifies.
 *
 * @throws SealtrailError `PROOF_INVALID`
 */
export function openNote(note: string, verifiers: readonly NoteVerifier[]): OpenedNote {
  const { text, signatures } = parseNote(note)
  const message = utf8(text)
  const opened = new Map<NoteVerifier, Uint8Array>()
  for (const { name, keyId: id, signature } of signatures) {
    const named = verifiers.filter((each) => each.name === name && each.keyId === id)
    if (named.length === 0) continue
    const verifier = named.find((each) => each.verify(message, signature))
    if (verifier === undefined) throw bad(`the signature of ${name} does not verify`)
    if (opened.has(verifier)) throw bad(`${name} signed twice`)
    opened.set(verifier, signature)
  }
  if (opened.size === 0) throw bad('no known key signed the note')
  return { text, signedBy: [...opened.keys()].map(({ name }) => name), signatures: opened }
}

/** Signature lines of a note, each `— <name> <base64>` and a newline. */
export function signatureLines(note: string): string[] {
  return note.slice(note.lastIndexOf('\n\n') + 2).match(/[^\n]*\n/g) ?? []
}

/** Text of a note: not empty, newline at the end, no control character but newline. */
function checkText(text: string): void {
  if (!text.endsWith('\n') || !text.isWellFormed())
    throw bad('the text of a note ends in a newline')
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if ((code < 0x20 && code !== 0x0a) || code === 0x7f)
      throw bad('the text holds a control character')
  }
}

function checkName(name: string): void {
  if (name === '' || /[\s+]/u.test(name)) throw bad('a key name holds no blank and no plus sign')
}

function bad(message: string): SealtrailError {
  return new SealtrailError('PROOF_INVALID', message)
}
