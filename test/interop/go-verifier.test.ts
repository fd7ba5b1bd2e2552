import { spawnSync } from 'node:child_process'
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { openFileSigner } from '../../ledger/signer/file-signer.ts'
import type { Signer } from '../../ledger/signer.ts'
import { base64, concat, utf8 } from '../../schemas/bytes.ts'
import { formatCheckpoint, openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import {
  consistencyProof,
  emptyRoot,
  inclusionProof,
  leafHash,
  MemoryHashTree,
  rootOf,
  verifyConsistency,
} from '../../schemas/tlog/merkle.ts'
import { formatVerifierKey, keyId, noteVerifier, signNote } from '../../schemas/tlog/note.ts'
import { formatTlogProof, verifyTlogProof } from '../../schemas/tlog/tlog-proof.ts'
import { buildGoVerifier } from './build-verifier.ts'

const sizes = [0, 1, 2, 3, 65, 255, 256, 257, 65_536, 65_537, 70_000] as const
const logId = 'main'

/** The tree whose leaf i reads `{"seq":"i"}`, and one that differs from it in leaf 1 only. */
const tree = grow(70_000, leafOf)
const forked = grow(300, (index) => (index === 1 ? utf8('{}') : leafOf(index)))

let program: string
let directory: string
let signer: Signer
let otherSigner: Signer
let verifierKey: string
/** Checkpoints of {@link tree} by size, signed in turn by the signer of the product. */
const checkpoints = new Map<number, string>()

beforeAll(async () => {
  program = await buildGoVerifier()
  directory = await mkdtemp(join(tmpdir(), 'sealtrail-interop-'))
  signer = await openFileSigner(join(directory, 'signer'), new Uint8Array(32).fill(1))
  otherSigner = await openFileSigner(join(directory, 'other-signer'), new Uint8Array(32).fill(2))
  verifierKey = await signer.verifierKey(logId)
  let signed = 0
  for (const size of sizes) {
    const note = await signer.sign(
      logId,
      size,
      rootOf(tree, sha256, size),
      consistencyProof(tree, sha256, signed, size),
    )
    checkpoints.set(size, note)
    signed = size
  }
  return async () => {
    await signer.close()
    await otherSigner.close()
    await rm(directory, { recursive: true, force: true })
  }
})

test('without Go the build fails with a sentence that says what to install', async () => {
  await expect(buildGoVerifier('no-such-go-command')).rejects.toThrow(
    /Go 1\.26 or newer.*"no-such-go-command" was not found/,
  )
})

describe('checkpoints', () => {
  test.each(sizes)('Go opens the signed checkpoint of size %d', (size) => {
    const root = base64(rootOf(tree, sha256, size))
    expect(goCheckpoint(checkpointOf(size))).toEqual({
      status: 0,
      output: `OK origin=${signer.origin(logId)} size=${size} root=${root}`,
    })
  })

  test('Go opens a checkpoint with an extension line and a cosignature by a key it does not know', () => {
    const key = keyWithPlus()
    const text = formatCheckpoint({ origin: key.name, size: 2, root: rootOf(tree, sha256, 2) })
    const note = `${key.sign(`${text}an extension\n`)}\u2014 witness.example/w1 ${base64(new Uint8Array(76))}\n`
    expect(goCheckpoint(note, key.verifierKey).status).toBe(0)
    expect(openCheckpoint(note, [verifierOf(key.verifierKey)]).size).toBe(2)
  })

  test('a verifier key with plus signs in its base64 is read alike', () => {
    const key = keyWithPlus()
    expect(key.verifierKey.split('+').length).toBeGreaterThan(3)
    const note = key.sign(formatCheckpoint({ origin: key.name, size: 0, root: emptyRoot(sha256) }))
    expect(goCheckpoint(note, key.verifierKey).status).toBe(0)
    expect(openCheckpoint(note, [verifierOf(key.verifierKey)]).size).toBe(0)
  })

  const alterations: [string, (note: string) => string][] = [
    ['another size', (note) => note.replace('\n257\n', '\n256\n')],
    ['another root', (note) => replaceLine(note, 2, base64(rootOf(tree, sha256, 256)))],
    ['another origin', (note) => note.replace('/main\n', '/tenant\n')],
    ['another key name', (note) => note.replace('/main ', '/tenant ')],
    ['an extension line put in', (note) => note.replace('\n\n', '\nan extension\n\n')],
    ['CRLF', (note) => note.replaceAll('\n', '\r\n')],
    ['no newline at the end', (note) => note.slice(0, -1)],
    ['a bit of the signature', (note) => flipBase64(note, 40)],
    ['a bit of the key id', (note) => flipBase64(note, 1)],
    ['no signature', (note) => note.slice(0, note.indexOf('\u2014'))],
    ['a NUL', (note) => note.replace('\n257\n', '\n257\u0000\n')],
    ['nothing at all', () => ''],
  ]
  test.each(alterations)('%s: Go and we refuse', (_name, alter) => {
    const original = checkpointOf(257)
    const note = alter(original)
    expect(note).not.toBe(original)
    expect(goCheckpoint(note)).toMatchObject({
      status: 1,
      output: expect.stringMatching(/^REFUSED /),
    })
    expect(() => openCheckpoint(note, [verifierOf(verifierKey)])).toThrow()
  })

  const signedNonsense: [string, (origin: string, root: string) => string][] = [
    ['a leading zero in the size', (origin, root) => `${origin}\n02\n${root}\n`],
    ['a sign before the size', (origin, root) => `${origin}\n+2\n${root}\n`],
    ['a negative size', (origin, root) => `${origin}\n-2\n${root}\n`],
    ['a size of 2^64', (origin, root) => `${origin}\n18446744073709551616\n${root}\n`],
    [
      'non-canonical base64',
      (origin, root) => `${origin}\n2\n${root.slice(0, -2)}${bump(root.at(-2))}=\n`,
    ],
    ['a short root', (origin) => `${origin}\n2\n${base64(new Uint8Array(31))}\n`],
    ['an empty extension line', (origin, root) => `${origin}\n2\n${root}\n\n`],
    ['no root', (origin) => `${origin}\n2\n`],
    ['the origin of another log', (origin, root) => `${origin}x\n2\n${root}\n`],
  ]
  test.each(signedNonsense)(
    '%s: Go and we refuse although the right key signed',
    (_name, write) => {
      const key = keyWithPlus()
      const note = key.sign(write(key.name, base64(rootOf(tree, sha256, 2))))
      expect(goCheckpoint(note, key.verifierKey)).toMatchObject({
        status: 1,
        output: expect.stringMatching(/^REFUSED /),
      })
      expect(() => openCheckpoint(note, [verifierOf(key.verifierKey)])).toThrow()
    },
  )

  test('a checkpoint of another deployment is refused', async () => {
    const foreign = await otherSigner.sign(logId, 2, rootOf(tree, sha256, 2), [])
    expect(goCheckpoint(foreign).status).toBe(1)
    expect(goCheckpoint(foreign, await otherSigner.verifierKey(logId)).status).toBe(0)
  })
})

describe('inclusion proofs', () => {
  const cases = sizes
    .filter((size) => size > 0)
    .flatMap((size) => indexesOf(size).map((index) => [index, size] as const))

  test.each(cases)('Go finds leaf %d in the tree of size %d', async (index, size) => {
    const path = inclusionProof(tree, sha256, index, size)
    expect(await goProof(leafOf(index), proofOf(index, size))).toEqual({
      status: 0,
      output: `OK origin=${signer.origin(logId)} index=${index} size=${size} hashes=${path.length}`,
    })
  })

  test('Go finds every leaf of every tree up to 20 leaves', async () => {
    const key = keyWithPlus()
    for (let size = 1; size <= 20; size++) {
      const text = formatCheckpoint({ origin: key.name, size, root: rootOf(tree, sha256, size) })
      const checkpoint = key.sign(text)
      for (let index = 0; index < size; index++) {
        const hashes = inclusionProof(tree, sha256, index, size)
        const proof = formatTlogProof({ index, hashes, checkpoint })
        const { status, output } = await goProof(leafOf(index), proof, key.verifierKey)
        expect(status, `${index} of ${size}: ${output}`).toBe(0)
      }
    }
  })

  test('an extra line is read over by Go and by us', async () => {
    const proof = proofOf(64, 65).replace('\nindex', '\nextra AAAA\nindex')
    expect((await goProof(leafOf(64), proof)).status).toBe(0)
    expect(verifyTlogProof(sha256, proof, leafOf(64), [verifierOf(verifierKey)]).index).toBe(64)
  })

  const someHash = base64(new Uint8Array(32).fill(7))
  const alterations: [string, (lines: string[]) => string[]][] = [
    ['the index one lower', (lines) => lines.with(1, 'index 99')],
    ['the index one higher', (lines) => lines.with(1, 'index 101')],
    ['the index that is the size', (lines) => lines.with(1, 'index 257')],
    ['an index beyond 2^53', (lines) => lines.with(1, 'index 9007199254740993')],
    ['a negative index', (lines) => lines.with(1, 'index -100')],
    ['a leading zero in the index', (lines) => lines.with(1, 'index 0100')],
    ['no index', (lines) => lines.toSpliced(1, 1)],
    ['another header', (lines) => lines.with(0, 'c2sp.org/tlog-proof@v2')],
    ['no header', (lines) => lines.slice(1)],
    ['a hash missing at the start', (lines) => lines.toSpliced(2, 1)],
    ['a hash missing at the end', (lines) => lines.toSpliced(lines.indexOf('') - 1, 1)],
    ['a hash too many at the start', (lines) => lines.toSpliced(2, 0, someHash)],
    ['a hash too many at the end', (lines) => lines.toSpliced(lines.indexOf(''), 0, someHash)],
    ['a hash doubled', (lines) => lines.toSpliced(3, 0, lineOf(lines, 3))],
    ['two hashes swapped', (lines) => lines.with(2, lineOf(lines, 3)).with(3, lineOf(lines, 2))],
    ['a hash replaced', (lines) => lines.with(4, someHash)],
    ['a hash of 31 bytes', (lines) => lines.with(4, base64(new Uint8Array(31)))],
    ['a hash in non-canonical base64', (lines) => lines.with(4, stray(lineOf(lines, 4)))],
    ['no hashes', (lines) => lines.toSpliced(2, lines.indexOf('') - 2)],
    ['64 hashes', (lines) => lines.toSpliced(lines.indexOf(''), 0, ...Array(64).fill(someHash))],
    ['no blank line', (lines) => lines.toSpliced(lines.indexOf(''), 1)],
    ['no checkpoint', (lines) => lines.slice(0, lines.indexOf('') + 1)],
    [
      'the checkpoint of another size',
      (lines) => [...lines.slice(0, lines.indexOf('') + 1), ...checkpointOf(70_000).split('\n')],
    ],
  ]
  test.each(alterations)('%s: Go and we refuse', async (_name, alter) => {
    const original = proofOf(100, 257)
    const proof = alter(original.split('\n')).join('\n')
    expect(proof).not.toBe(original)
    expect(await goProof(leafOf(100), proof)).toMatchObject({
      status: 1,
      output: expect.stringMatching(/^REFUSED /),
    })
    expect(() => verifyTlogProof(sha256, proof, leafOf(100), [verifierOf(verifierKey)])).toThrow()
  })

  const otherLeaves: [string, Uint8Array][] = [
    ['the leaf beside it', leafOf(101)],
    ['a leaf with one bit changed', leafOf(100).map((byte, at) => (at === 3 ? byte ^ 1 : byte))],
    ['a leaf with a newline after it', concat(leafOf(100), utf8('\n'))],
    ['the empty leaf', new Uint8Array(0)],
    ['the hash of the leaf', leafHash(sha256, leafOf(100))],
  ]
  test.each(otherLeaves)('%s in place of the leaf: Go and we refuse', async (_name, leaf) => {
    expect((await goProof(leaf, proofOf(100, 257))).status).toBe(1)
    expect(() =>
      verifyTlogProof(sha256, proofOf(100, 257), leaf, [verifierOf(verifierKey)]),
    ).toThrow()
  })

  test('an interior node passed off as a leaf is refused', async () => {
    // The children of node (1, 50) in one leaf, with the path from that node up and the index halved.
    const node = concat(tree.hash(0, 100), tree.hash(0, 101))
    const hashes = inclusionProof(tree, sha256, 100, 257).slice(1)
    for (const leaf of [node, concat(Uint8Array.of(1), node)]) {
      const proof = formatTlogProof({ index: 50, hashes, checkpoint: checkpointOf(257) })
      expect((await goProof(leaf, proof)).status).toBe(1)
      expect(() => verifyTlogProof(sha256, proof, leaf, [verifierOf(verifierKey)])).toThrow()
    }
  })
})

describe('consistency proofs', () => {
  const pairs = sizes.flatMap((old) =>
    sizes.filter((size) => size >= old).map((size) => [old, size] as const),
  )

  test.each(pairs)('Go sees that size %d is a prefix of size %d', async (old, size) => {
    const hashes = consistencyProof(tree, sha256, old, size)
    expect(await goConsistency(checkpointOf(old), checkpointOf(size), hashes)).toEqual({
      status: 0,
      output: `OK origin=${signer.origin(logId)} old=${old} new=${size} hashes=${hashes.length}`,
    })
  })

  const old = 65
  const size = 257
  const someHash = new Uint8Array(32).fill(7)
  const alterations: [string, (hashes: Uint8Array[]) => Uint8Array[]][] = [
    ['the first hash missing', (hashes) => hashes.slice(1)],
    ['the last hash missing', (hashes) => hashes.slice(0, -1)],
    ['a hash too many at the start', (hashes) => [someHash, ...hashes]],
    ['a hash too many at the end', (hashes) => [...hashes, someHash]],
    ['the hashes in reverse', (hashes) => hashes.toReversed()],
    ['a hash replaced', (hashes) => hashes.with(2, someHash)],
    ['the proof for another size', () => consistencyProof(tree, sha256, 64, size)],
    ['no hashes', () => []],
  ]
  test.each(alterations)('%s: Go and we refuse', async (_name, alter) => {
    const hashes = alter(consistencyProof(tree, sha256, old, size))
    expect(await goConsistency(checkpointOf(old), checkpointOf(size), hashes)).toMatchObject({
      status: 1,
      output: expect.stringMatching(/^REFUSED consistency of 65 with 257/),
    })
    expect(ourConsistency(old, size, hashes)).toBe(false)
  })

  test('a shrunk log is refused: the checkpoints the wrong way round', async () => {
    const hashes = consistencyProof(tree, sha256, old, size)
    expect((await goConsistency(checkpointOf(size), checkpointOf(old), hashes)).status).toBe(1)
    expect(ourConsistency(size, old, hashes)).toBe(false)
  })

  test('a fork signed by one key is refused, whichever of the two proofs comes with it', async () => {
    const key = keyWithPlus()
    const write = (of: MemoryHashTree, at: number) =>
      key.sign(formatCheckpoint({ origin: key.name, size: at, root: rootOf(of, sha256, at) }))
    for (const [from, until] of [
      [65, 257],
      [64, 256],
      [257, 257],
    ] as const) {
      for (const source of [tree, forked]) {
        const hashes = consistencyProof(source, sha256, from, until)
        const verdict = await goConsistency(
          write(tree, from),
          write(forked, until),
          hashes,
          key.verifierKey,
        )
        expect(verdict).toMatchObject({
          status: 1,
          output: expect.stringMatching(/^REFUSED consistency/),
        })
      }
    }
  })
})

test('what is no verdict has another exit status than a refusal', () => {
  expect(run([]).status).toBe(2)
  expect(run(['checkpoint', 'no key']).status).toBe(2)
  expect(
    run(['proof', verifierKey, join(directory, 'absent'), join(directory, 'absent')]).status,
  ).toBe(2)
})

function leafOf(index: number): Uint8Array {
  return utf8(`{"seq":"${index}"}`)
}

function grow(size: number, leaf: (index: number) => Uint8Array): MemoryHashTree {
  const grown = new MemoryHashTree(sha256)
  for (let index = 0; index < size; index++) grown.append(leafHash(sha256, leaf(index)))
  return grown
}

function indexesOf(size: number): number[] {
  const middle = Math.floor(size / 2)
  const wanted = [0, 1, middle - 1, middle, size - 2, size - 1]
  return [...new Set(wanted)].filter((index) => index >= 0 && index < size)
}

function checkpointOf(size: number): string {
  const note = checkpoints.get(size)
  if (note === undefined) throw new Error(`no checkpoint of size ${size} was signed`)
  return note
}

function proofOf(index: number, size: number): string {
  const hashes = inclusionProof(tree, sha256, index, size)
  return formatTlogProof({ index, hashes, checkpoint: checkpointOf(size) })
}

function verifierOf(key: string) {
  return noteVerifier(sha256, verifyEd25519, key)
}

function ourConsistency(oldSize: number, newSize: number, proof: Uint8Array[]): boolean {
  const oldRoot = rootOf(tree, sha256, oldSize)
  const newRoot = rootOf(tree, sha256, newSize)
  return verifyConsistency(sha256, { oldSize, oldRoot, newSize, newRoot, proof })
}

/** DER prefix of an Ed25519 PKCS #8 private key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The key of the first seed whose verifier key has a plus sign in its base64; it signs any text. */
function keyWithPlus() {
  const name = 'sealtrail.example/plus'
  for (let seed = 0; seed < 256; seed++) {
    const der = Buffer.concat([pkcs8Prefix, new Uint8Array(32).fill(seed)])
    const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
    const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
    const publicKey = new Uint8Array(spki.subarray(-32))
    const key = formatVerifierKey(sha256, name, publicKey)
    if (key.split('+').length === 3) continue
    const write = (text: string) =>
      signNote(text, name, keyId(sha256, name, publicKey), (message) =>
        sign(null, message, privateKey),
      )
    return { name, verifierKey: key, sign: write }
  }
  throw new Error('no seed gives a verifier key with a plus sign in its base64')
}

interface Verdict {
  readonly status: number | null
  readonly output: string
}

function run(args: string[], input = ''): Verdict {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    input,
    encoding: 'utf8',
    timeout: 20_000,
  })
  if (error !== undefined) throw error
  return { status, output: `${stdout}${stderr}`.trimEnd() }
}

function goCheckpoint(note: string, key = verifierKey): Verdict {
  return run(['checkpoint', key], note)
}

async function goProof(leaf: Uint8Array, proof: string, key = verifierKey): Promise<Verdict> {
  const leafFile = join(directory, 'leaf')
  const proofFile = join(directory, 'leaf.tlog-proof')
  await writeFile(leafFile, leaf)
  await writeFile(proofFile, proof)
  return run(['proof', key, leafFile, proofFile])
}

async function goConsistency(
  older: string,
  newer: string,
  hashes: readonly Uint8Array[],
  key = verifierKey,
): Promise<Verdict> {
  const files = { older, newer, proof: hashes.map((hash) => `${base64(hash)}\n`).join('') }
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  return run(['consistency', key, ...Object.keys(files).map((name) => join(directory, name))])
}

function lineOf(lines: readonly string[], at: number): string {
  const line = lines[at]
  if (line === undefined) throw new Error(`no line ${at}`)
  return line
}

function replaceLine(text: string, at: number, line: string): string {
  return text.split('\n').with(at, line).join('\n')
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

/** The next character of base64: the same bytes with a stray bit when it stands before the padding of a hash. */
function bump(character: string | undefined): string {
  return alphabet.charAt(alphabet.indexOf(character ?? 'A') + 1)
}

/** Base64 of a hash with a stray bit set: a lax decoder reads the same 32 bytes. */
function stray(line: string): string {
  return `${line.slice(0, -2)}${bump(line.at(-2))}=`
}

/** Another character at a place of the base64 of the last signature. */
function flipBase64(note: string, at: number): string {
  const place = note.lastIndexOf(' ') + 1 + at
  const other = alphabet.charAt(alphabet.indexOf(note.charAt(place)) ^ 1)
  return `${note.slice(0, place)}${other}${note.slice(place + 1)}`
}
