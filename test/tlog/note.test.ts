import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { utf8 } from '../../schemas/bytes.ts'
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { inclusionProof, leafHash, MemoryHashTree, rootOf } from '../../schemas/tlog/merkle.ts'
import {
  formatVerifierKey,
  keyId,
  noteVerifier,
  openNote,
  signNote,
} from '../../schemas/tlog/note.ts'
import {
  decodeEntryBundle,
  encodeEntryBundle,
  parseTilePath,
  tilePath,
} from '../../schemas/tlog/tiles.ts'
import { formatTlogProof, verifyTlogProof } from '../../schemas/tlog/tlog-proof.ts'

/** From the documentation of golang.org/x/mod/sumdb/note. */
const peter = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const peterNote =
  'If you think cryptography is the answer to your problem,\n' +
  "then you don't know what your problem is.\n" +
  '\n' +
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'

const origin = 'sealtrail.example/main'
const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const rawKey = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
const signer = (text: string) =>
  signNote(text, origin, keyId(sha256, origin, rawKey), (message) =>
    sign(null, message, privateKey),
  )
const verifiers = [noteVerifier(sha256, verifyEd25519, formatVerifierKey(sha256, origin, rawKey))]

describe('signed notes', () => {
  const verifier = noteVerifier(sha256, verifyEd25519, peter)

  test("Go's example verifies", () => {
    expect(openNote(peterNote, [verifier]).signedBy).toEqual(['PeterNeumann'])
  })

  test.each([
    ['a changed text', peterNote.replace('answer', 'Answer')],
    ['CRLF', peterNote.replaceAll('\n', '\r\n')],
    ['no newline at the end', peterNote.slice(0, -1)],
    ['a hyphen for the dash', peterNote.replace('\u2014', '-')],
    ['another name', peterNote.replace('\u2014 PeterNeumann', '\u2014 Peter')],
    ['a NUL', peterNote.replace('If', '\u0000')],
    ['non-canonical base64', peterNote.replace('JnAM=', 'JnAN=')],
    ['the signature twice', peterNote + peterNote.slice(peterNote.indexOf('\u2014'))],
    ['10,000 signatures', peterNote + peterNote.slice(peterNote.indexOf('\u2014')).repeat(10_000)],
  ])('%s is refused', (_name, note) => {
    expect(() => openNote(note, [verifier])).toThrow()
  })

  test('a signature by an unknown key beside a known one is ignored', () => {
    expect(openNote(`${peterNote}\u2014 Somebody AAAAAAAA\n`, [verifier]).signedBy).toEqual([
      'PeterNeumann',
    ])
  })
})

describe('checkpoints and proofs', () => {
  const tree = new MemoryHashTree(sha256)
  const leaves = Array.from({ length: 300 }, (_, i) => utf8(`leaf ${i}`))
  for (const leaf of leaves) tree.append(leafHash(sha256, leaf))
  const note = signer(formatCheckpoint({ origin, size: 300, root: rootOf(tree, sha256, 300) }))

  test('a checkpoint opens with its key', () => {
    expect(openCheckpoint(note, verifiers)).toMatchObject({ origin, size: 300 })
  })

  test.each([
    ['leading zero', 'a/b\n01\nLeFl4lS8WBVbtDOUJDUvU8fEl9hKRC6j0X0QGgPGX0A=\n'],
    ['negative', 'a/b\n-1\nLeFl4lS8WBVbtDOUJDUvU8fEl9hKRC6j0X0QGgPGX0A=\n'],
    ['2^53', 'a/b\n9007199254740992\nLeFl4lS8WBVbtDOUJDUvU8fEl9hKRC6j0X0QGgPGX0A=\n'],
    ['short root', 'a/b\n1\nLeFl\n'],
    ['no newline at the end', 'a/b\n1\nLeFl4lS8WBVbtDOUJDUvU8fEl9hKRC6j0X0QGgPGX0A='],
    ['empty line', 'a/b\n1\nLeFl4lS8WBVbtDOUJDUvU8fEl9hKRC6j0X0QGgPGX0A=\n\n'],
  ])('a checkpoint with %s is refused', (_name, text) => {
    expect(() => parseCheckpoint(text)).toThrow()
  })

  test('a checkpoint of another log is refused, though its key is known', () => {
    const foreign = signer(
      formatCheckpoint({ origin: 'other/log', size: 1, root: rootOf(tree, sha256, 1) }),
    )
    expect(() => openCheckpoint(foreign, verifiers)).toThrow(/origin/)
  })

  test('each leaf is proven, and only at its index', () => {
    for (const index of [0, 1, 255, 256, 299]) {
      const hashes = inclusionProof(tree, sha256, index, 300)
      const proof = formatTlogProof({ index, hashes, checkpoint: note })
      const leaf = leaves[index] ?? utf8('')
      expect(verifyTlogProof(sha256, proof, leaf, verifiers)).toMatchObject({ index, size: 300 })
      expect(() => verifyTlogProof(sha256, proof, utf8('other'), verifiers)).toThrow(/not at index/)
      const moved = formatTlogProof({ index: (index + 1) % 300, hashes, checkpoint: note })
      expect(() => verifyTlogProof(sha256, moved, leaf, verifiers)).toThrow()
    }
  })

  test('no single altered byte of a proof passes', () => {
    const leaf = leaves[7] ?? utf8('')
    const proof = formatTlogProof({
      index: 7,
      hashes: inclusionProof(tree, sha256, 7, 300),
      checkpoint: note,
    })
    for (let at = 0; at < proof.length; at++) {
      const altered = `${proof.slice(0, at)}${proof[at] === 'A' ? 'B' : 'A'}${proof.slice(at + 1)}`
      expect(() => verifyTlogProof(sha256, altered, leaf, verifiers)).toThrow()
    }
  })
})

describe('tiles', () => {
  test('paths are those of the specification', () => {
    expect(tilePath({ level: 0, index: 1234067, width: 256 })).toBe('tile/0/x001/x234/067')
    expect(tilePath({ level: 'entries', index: 5, width: 7 })).toBe('tile/entries/005.p/7')
    for (const path of ['tile/0/x001/x234/067', 'tile/entries/005.p/7', 'tile/3/000.p/255']) {
      expect(parseTilePath(path)).toBeDefined()
    }
    for (const path of [
      'tile/0/5',
      'tile/0/x000/005',
      'tile/00/005',
      'tile/0/005.p/256',
      'tile/0/005.p/0',
      '../x',
      'tile/0/005/',
    ]) {
      expect(parseTilePath(path)).toBeUndefined()
    }
  })

  test('an entry bundle decodes to what it was made of, and to nothing else', () => {
    const entries = [utf8(''), utf8('a'), new Uint8Array(65_535)]
    const bundle = encodeEntryBundle(entries)
    expect(decodeEntryBundle(bundle, 3)).toEqual(entries)
    expect(() => decodeEntryBundle(bundle, 2)).toThrow()
    expect(() => decodeEntryBundle(bundle, 4)).toThrow()
    expect(() => decodeEntryBundle(bundle.subarray(0, -1), 3)).toThrow()
  })
})
