import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import type { Segment } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { readRotations } from '../../ledger/signer/file-signer.ts'
import { keyRotationEvent } from '../../ledger/signer/key-rotation-event.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { verifyLog } from '../../ledger/verify/verify-log.ts'
import { followRotation, type KeyRotation } from '../../schemas/tlog/key-rotation.ts'
import { inclusionProof, leafHash, TreeFrontier } from '../../schemas/tlog/merkle.ts'
import { openNote, signatureLines } from '../../schemas/tlog/note.ts'
import { formatTlogProof } from '../../schemas/tlog/tlog-proof.ts'
import { aToolCall, openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { writeBundle } from '../reports/bundle-ledger.ts'
import { verifyBundle } from '../reports/bundle-verifier.ts'

/** A log whose key changed twice: after leaf 5 with overlap, after leaf 11 without. */
let original: string
let copies: string
let bundle: string
let keys: string[]
let rotations: KeyRotation[]
let proofs: { leaf: Uint8Array; proof: string }[]
let count = 0

beforeAll(async () => {
  original = await temporaryDirectory()
  copies = await temporaryDirectory()
  bundle = join(copies, 'bundle')
  const ledger = await openEmbeddedLedger(original)
  const grow = async () => {
    await ledger.sequencer.append(
      'main',
      Array.from({ length: 5 }, () => aToolCall()),
    )
    await ledger.sequencer.publishCheckpoints()
  }
  keys = [await ledger.signer.verifierKey('main')]
  for (const overlapMs of [3_600_000, 0]) {
    await grow()
    const { next } = await ledger.signer.prepareKey('main', overlapMs)
    await ledger.sequencer.append('main', [keyRotationEvent(next, ledger.clock.nowMs)])
    await ledger.sequencer.publishCheckpoints()
    keys.push(next)
  }
  await grow()
  rotations = [...(await ledger.signer.rotations('main'))]
  proofs = []
  for (const { index } of rotations) {
    const size = index + 1
    const segment = await ledger.storage.readSegment('main', index)
    proofs.push({
      leaf: segment?.leaves[0] ?? new Uint8Array(),
      proof: formatTlogProof({
        index,
        hashes: inclusionProof(ledger.sequencer.tree('main'), sha256, index, size),
        checkpoint: (await ledger.storage.readCheckpoint('main', size)) ?? '',
      }),
    })
  }
  await writeBundle(ledger, bundle, [0, 3, 13])
  await ledger.close()
})
afterAll(() => {
  for (const directory of [original, copies]) rmSync(directory, { recursive: true, force: true })
})

async function problemOf(
  directory: string,
  verifierKey: string | undefined,
  known?: readonly KeyRotation[],
): Promise<string | undefined> {
  const storage = await openFileStorage(join(directory, 'ledger'), { readOnly: true })
  const steps = verifyLog({
    logId: 'main',
    storage,
    verifierKey: verifierKey ?? '',
    rotations: known ?? (await readRotations(join(directory, 'signer'), 'main')),
  })
  for (;;) {
    const step = await steps.next()
    if (step.done !== true) continue
    await storage.close()
    return step.value.firstProblem
  }
}

/** A copy with other segments and other checkpoint notes. */
async function forge(
  alter: (segments: Segment[]) => Segment[],
  note: (size: number, note: string) => string = (_size, text) => text,
): Promise<string> {
  const directory = join(copies, String(count++))
  cpSync(original, directory, { recursive: true })
  rmSync(join(directory, 'ledger'), { recursive: true })
  const old = await openFileStorage(join(original, 'ledger'), { readOnly: true })
  const segments: Segment[] = []
  for await (const segment of old.readSegments('main', 0)) segments.push(segment)
  const storage = await openFileStorage(join(directory, 'ledger'))
  const frontier = new TreeFrontier(sha256)
  for (const segment of alter(segments)) {
    for (const leaf of segment.leaves) frontier.append(leafHash(sha256, leaf))
    await storage.appendSegment('main', { ...segment, rootAfter: frontier.root() })
  }
  for (const size of await old.checkpointSizes('main')) {
    await storage.writeCheckpoint(
      'main',
      size,
      note(size, (await old.readCheckpoint('main', size)) ?? ''),
    )
  }
  await storage.close()
  await old.close()
  return directory
}

const same = (segments: Segment[]) => segments
/** A note with the signatures of some of its keys only. */
function signedOnlyBy(note: string, key: string | undefined): string {
  const id = key?.split('+')[1] ?? ''
  const text = note.slice(0, note.lastIndexOf('\n\n') + 2)
  const lines = signatureLines(note).filter(
    (line) =>
      Buffer.from(line.split(' ')[2] ?? '', 'base64')
        .subarray(0, 4)
        .toString('hex') === id,
  )
  return text + lines.join('')
}

describe('a log whose key changed', () => {
  test('verifies for whoever holds any of its keys', async () => {
    expect(rotations.map(({ index }) => index)).toEqual([5, 11])
    for (const key of keys) expect(await problemOf(original, key)).toBeUndefined()
    const stranger = keys[0]?.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
    expect(await problemOf(original, stranger)).toMatch(/no rotation leads from or to the key/)
  })

  test('is refused without the leaf, and where its signer does not know of it', async () => {
    const edited = await forge((segments) =>
      segments.map((segment) =>
        segment.fromIndex === 5
          ? {
              ...segment,
              leaves: [
                Buffer.from(
                  Buffer.from(segment.leaves[0] ?? '')
                    .toString()
                    .replace('key.rotate', 'key.rotata'),
                ),
              ],
            }
          : segment,
      ),
    )
    expect(await problemOf(edited, keys[0])).toBe(
      'log main, leaf 5: it should rotate the signing key',
    )
    expect(await problemOf(original, keys[0], [])).toMatch(
      /leaf 5 rotates the signing key, and its signer does not know of it/,
    )
    expect(await problemOf(original, keys[2], rotations.slice(1))).toMatch(/size 5: no known key/)
    expect(await problemOf(original, keys[2], rotations.slice(0, 1))).toMatch(
      /no rotation leads from or to the key that you hold/,
    )
  })

  test('a checkpoint that only a retired key signed is refused, and a new key that nobody vouches for', async () => {
    const retired = await forge(same, (size, note) =>
      size === 11 ? signedOnlyBy(note, keys[0]) : note,
    )
    expect(await problemOf(retired, keys[0])).toBe(
      'log main, checkpoint of size 11: it is signed only by a key that was retired at leaf 5',
    )
    const unvouched = await forge(same, (size, note) =>
      size === 6 ? signedOnlyBy(note, keys[1]) : note,
    )
    expect(await problemOf(unvouched, keys[0])).toMatch(
      /checkpoint of size 6: the key before the one of leaf 5 did not sign it/,
    )
  })

  test('one who holds an old key is led to the next by leaf and proof, and by nothing else', () => {
    const [first, second] = proofs
    if (first === undefined || second === undefined) throw new Error('there are two rotations')
    const follow = (key: string | undefined, step: typeof first) =>
      followRotation(sha256, verifyEd25519, key ?? '', step)
    expect(follow(keys[0], first)).toBe(keys[1])
    expect(follow(keys[1], second)).toBe(keys[2])
    expect(() => follow(keys[0], second)).toThrow(/no known key/)
    expect(() => follow(keys[2], first)).toThrow()
    expect(() => follow(keys[0], { ...first, leaf: second.leaf })).toThrow(/not at index/)
    const [head = '', checkpoint = ''] = first.proof.split(/\n\n([\s\S]*)/)
    for (const key of keys.slice(0, 2)) {
      const half = `${head}\n\n${signedOnlyBy(checkpoint, key)}`
      expect(() => follow(keys[0], { ...first, proof: half })).toThrow(/no known key/)
    }
  })

  test('a bundle verifies from each of its keys, and not without the proofs between', () => {
    for (const key of keys) expect(verifyBundle(bundle, key)).toMatchObject({ code: 0 })
    const other = join(copies, 'bundle-2')
    cpSync(bundle, other, { recursive: true })
    const path = join(other, 'rotation-11.tlog-proof')
    writeFileSync(path, readFileSync(path, 'utf8').replace(/index 11/, 'index 10'))
    expect(verifyBundle(other, keys[2] ?? '').said).toMatch(
      /is not the file that the manifest names/,
    )
    const manifest = JSON.parse(readFileSync(join(bundle, 'manifest.json'), 'utf8'))
    manifest.files = manifest.files.filter(
      ({ name }: { name: string }) => !name.startsWith('rotation-5.'),
    )
    for (const name of ['rotation-5.leaf', 'rotation-5.tlog-proof']) rmSync(join(other, name))
    cpSync(join(bundle, 'rotation-11.tlog-proof'), path)
    writeFileSync(join(other, 'manifest.json'), `${JSON.stringify(manifest)}\n`)
    expect(verifyBundle(other, keys[2] ?? '')).toMatchObject({ code: 0 })
    expect(verifyBundle(other, keys[1] ?? '')).toMatchObject({ code: 0 })
    expect(verifyBundle(other, keys[0] ?? '')).toMatchObject({
      code: 1,
      said: expect.stringMatching(/REFUSED: the checkpoint is not signed by this key/),
    })
  })

  test('of two known keys with one id, a signature is of the one under which it verifies', () => {
    const note = 'text\n\n\u2014 log AAAAAAE=\n'
    const verifier = (right: boolean) => ({ name: 'log', keyId: '00000000', verify: () => right })
    const [wrong, right] = [verifier(false), verifier(true)]
    expect([...openNote(note, [wrong, right]).signatures.keys()]).toEqual([right])
    expect(() => openNote(note, [wrong, verifier(false)])).toThrow(/does not verify/)
  })
})

test('a rotation that a crash cut off before the signer knew of it is ended at the next start', async () => {
  const directory = await temporaryDirectory()
  const ledger = await openEmbeddedLedger(directory)
  const first = await ledger.signer.verifierKey('main')
  await ledger.sequencer.append('main', [aToolCall()])
  await ledger.sequencer.publishCheckpoints()
  const { next } = await ledger.signer.prepareKey('main', 0)
  await ledger.sequencer.append('main', [keyRotationEvent(next, ledger.clock.nowMs)])
  // As kill -9 would leave it: the leaf is durable, and nothing was signed since.
  const crashed = `${directory}-crashed`
  cpSync(directory, crashed, { recursive: true })
  await ledger.close()
  expect(await readRotations(join(crashed, 'signer'), 'main')).toEqual([])
  const again = await openEmbeddedLedger(crashed)
  await again.sequencer.publishCheckpoints()
  expect(await again.signer.rotations('main')).toEqual([{ index: 1, previous: first, next }])
  await again.close()
  expect(await problemOf(crashed, first)).toBeUndefined()
  for (const each of [directory, crashed]) rmSync(each, { recursive: true })
})
