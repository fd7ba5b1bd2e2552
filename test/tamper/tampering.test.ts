import { generateKeyPairSync, sign } from 'node:crypto'
import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examineSigner } from '../../cli/examine-signer.ts'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import type { Segment } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { openFileSigner } from '../../ledger/signer/file-signer.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { base64, hex } from '../../schemas/bytes.ts'
import { formatCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import {
  consistencyProof,
  type HashReader,
  inclusionProof,
  leafHash,
  MemoryHashTree,
  rootOf,
  TreeFrontier,
  verifyInclusion,
} from '../../schemas/tlog/merkle.ts'
import {
  formatVerifierKey,
  keyId,
  noteVerifier,
  openNote,
  signNote,
} from '../../schemas/tlog/note.ts'
import { decodeEntryBundle, encodeEntryBundle, tileBytes } from '../../schemas/tlog/tiles.ts'
import { checkKey, verifyCheckpoint } from '../../web/verify/verify-checkpoint.ts'
import { aBatch } from '../conformance/event-bus.ts'
import {
  aToolCall,
  openEmbeddedLedger,
  temporaryDirectory,
  testMasterKey,
} from '../fixtures/embedded-ledger.ts'
import { fillSmallDirectory, verifyOffline, withByte } from '../fixtures/small-directory.ts'

/**
 * What somebody may do who has the data directory, with and without its keys; docs/reliability.md has the list with
 * the other places where its numbers are tested. Each is named, with exit code 1, and nothing is repaired.
 */
const made: string[] = []
let original: string
let verifierKey: string

beforeAll(async () => {
  original = await directory()
  verifierKey = (await fillSmallDirectory(original)).verifierKey
})
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

async function directory(): Promise<string> {
  const path = await temporaryDirectory()
  made.push(path)
  return path
}

async function copy(): Promise<string> {
  const path = await directory()
  cpSync(original, path, { recursive: true })
  return path
}

async function expectNamed(path: string, what: RegExp, flags = {}): Promise<void> {
  const { code, said } = await verifyOffline(path, { key: verifierKey, log: 'main', ...flags })
  expect(said).toMatch(what)
  expect(code).not.toBe(0)
}

interface StoredLog {
  readonly segments: readonly Segment[]
  readonly notes: readonly { readonly size: number; readonly note: string }[]
}

async function readLog(path: string, logId = 'main'): Promise<StoredLog> {
  const storage = await openFileStorage(join(path, 'ledger'), { readOnly: true })
  const segments: Segment[] = []
  for await (const segment of storage.readSegments(logId, 0)) segments.push(segment)
  const notes: { size: number; note: string }[] = []
  for (const size of await storage.checkpointSizes(logId)) {
    notes.push({ size, note: (await storage.readCheckpoint(logId, size)) ?? '' })
  }
  await storage.close()
  return { segments, notes }
}

/** Writes a log anew, checksums and all. */
async function writeLog(path: string, { segments, notes }: StoredLog): Promise<void> {
  rmSync(join(path, 'ledger/main'), { recursive: true })
  const storage = await openFileStorage(join(path, 'ledger'))
  for (const segment of segments) await storage.appendSegment('main', segment)
  for (const { size, note } of notes) await storage.writeCheckpoint('main', size, note)
  await storage.close()
}

function withRoots(segments: readonly Segment[]): Segment[] {
  const frontier = new TreeFrontier(sha256)
  let fromIndex = 0
  return segments.map((segment) => {
    for (const leaf of segment.leaves) frontier.append(leafHash(sha256, leaf))
    const moved = { ...segment, fromIndex, nextIndex: fromIndex + segment.leaves.length }
    fromIndex = moved.nextIndex
    return { ...moved, rootAfter: frontier.root() }
  })
}

/** Leaf 3 says something else than it said. */
const edited = (segments: readonly Segment[]): Segment[] =>
  segments.map((segment) => ({
    ...segment,
    leaves: segment.leaves.map((leaf, i) =>
      segment.fromIndex + i === 3
        ? Buffer.from(Buffer.from(leaf).toString().replace('"success"', '"denied"'))
        : leaf,
    ),
  }))

/** What whoever has the signing key can do: sign anything. */
async function resign(path: string, segments: readonly Segment[]): Promise<StoredLog['notes']> {
  rmSync(join(path, 'signer/main.signed'))
  const tree = new MemoryHashTree(sha256)
  for (const { leaves } of segments) for (const leaf of leaves) tree.append(leafHash(sha256, leaf))
  const root = hex(new TreeFrontier(sha256).root())
  writeFileSync(join(path, 'signer/main.signed'), JSON.stringify({ size: 0, root }))
  const signer = await openFileSigner(join(path, 'signer'), testMasterKey)
  const notes: { size: number; note: string }[] = []
  let last = 0
  for (const { nextIndex: size } of segments) {
    const proof = consistencyProof(tree, sha256, last, size)
    notes.push({ size, note: await signer.sign('main', size, rootOf(tree, sha256, size), proof) })
    last = size
  }
  await signer.close()
  return notes
}

describe('1. one bit', () => {
  test.each([
    [
      'the middle of a segment',
      'ledger/main/segments/00000000.log',
      0.5,
      /segments\/00000000\.log at byte \d+: a frame is damaged/,
    ],
    [
      'the last segment',
      'ledger/main/segments/00000000.log',
      0.999,
      /segments\/00000000\.log at byte \d+.*a checkpoint covers 7 leaves/,
    ],
    [
      'a checkpoint',
      'ledger/main/checkpoints/00000000.log',
      0.3,
      /checkpoints\/00000000\.log at byte \d+: a frame is damaged/,
    ],
    ['a payload', 'payloads/main/000000.payloads', 0.5, /BAD log main, payload of leaf \d/],
    ['the keyring', 'keyring/keyring', 0.4, /line \d+ of .*keyring does not authenticate/],
    ['the signing key', 'signer/main.key', 0.5, /the signing key of main does not authenticate/],
    [
      'what was signed last',
      'signer/main.signed',
      0.6,
      /main\.signed does not say|signed another root|was rolled back/,
    ],
    [
      'the name of the deployment',
      'signer/deployment',
      0.5,
      /signer\/deployment does not name|is not the verifier key/,
    ],
  ])('of %s', async (_name, file, where, what) => {
    const path = await copy()
    const at = Math.floor(readFileSync(join(path, file)).length * where)
    await withByte(join(path, file), at, 1, () => expectNamed(path, what))
  })

  test.each(['root', 'signature'])(
    'of the %s of a checkpoint, checksum made to fit',
    async (part) => {
      const path = await copy()
      const log = await readLog(path)
      const flip = (text: string) => text.replace(/./, (first) => (first === 'B' ? 'C' : 'B'))
      const notes = log.notes.map(({ size, note }, i) => {
        const lines = note.split('\n')
        const line = part === 'root' ? 2 : 4
        const old = lines[line] ?? ''
        lines[line] = part === 'root' ? flip(old) : old.slice(0, 60) + flip(old.slice(60))
        return i === 1 ? { size, note: lines.join('\n') } : { size, note }
      })
      await writeLog(path, { ...log, notes })
      await expectNamed(path, /BAD log main, checkpoint of size 4: /)
    },
  )

  test('of a bundle or tile, which are made from the segments and stand in no file: a client sees it by the checkpoint', async () => {
    const { segments } = await readLog(original)
    const leaves = segments.flatMap((segment) => segment.leaves)
    const tree = new MemoryHashTree(sha256)
    for (let i = 0; i < 600; i++) {
      tree.append(leafHash(sha256, leaves[i % leaves.length] ?? new Uint8Array()))
    }
    const root = rootOf(tree, sha256, 600)
    const bundle = Buffer.from(encodeEntryBundle(leaves))
    bundle[40] = (bundle[40] ?? 0) ^ 1
    const served = decodeEntryBundle(bundle, leaves.length)
    const proven = (index: number, leaf: Uint8Array) =>
      verifyInclusion(sha256, {
        index,
        size: 600,
        leafHash: leafHash(sha256, leaf),
        root,
        proof: inclusionProof(tree, sha256, index, 600),
      })
    expect(proven(1, leaves[1] ?? new Uint8Array())).toBe(true)
    expect(served.map((leaf, i) => proven(i, leaf))).toContain(false)
    for (const [level, width] of [
      [0, 256],
      [0, 88],
      [1, 2],
    ] as const) {
      const tile = tileBytes(tree, level, width === 88 ? 2 : 0, width)
      for (let at = 0; at < tile.length; at += 401) {
        const altered = Buffer.from(tile)
        altered[at] = (altered[at] ?? 0) ^ 1
        expect(rootFromTile(tree, { level, width }, altered)).not.toBe(hex(root))
      }
      expect(rootFromTile(tree, { level, width }, tile)).toBe(hex(root))
    }
  })
})

/** Root of 600 leaves with the hashes of one tile taken from what was served. */
function rootFromTile(
  tree: MemoryHashTree,
  { level, width }: { level: number; width: number },
  bytes: Uint8Array,
): string {
  const first = width === 88 ? 512 : 0
  const served: HashReader = {
    hash: (at: number, index: number) => {
      const within = index - (first >> at)
      return at === level * 8 && within >= 0 && within < width
        ? bytes.subarray(within * 32, within * 32 + 32)
        : at <= level * 8
          ? tree.hash(at, index)
          : sha256(
              Buffer.concat([
                Uint8Array.of(1),
                served.hash(at - 1, 2 * index),
                served.hash(at - 1, 2 * index + 1),
              ]),
            )
    },
  }
  return hex(rootOf(served, sha256, 600))
}

describe('an edited leaf', () => {
  test('2. with every root recomputed, is named by the checkpoint over it', async () => {
    const path = await copy()
    const log = await readLog(path)
    await writeLog(path, { ...log, segments: withRoots(edited(log.segments)) })
    await expectNamed(path, /BAD log main: the checkpoint of size 4 has another root/)
  })

  test('3. signed again with the stolen key: by whoever saw a checkpoint before, and by the state of the signer', async () => {
    const path = await copy()
    const log = await readLog(path)
    const segments = withRoots(edited(log.segments))
    const state = readFileSync(join(path, 'signer/main.signed'))
    const notes = await resign(path, segments)
    await writeLog(path, { segments, notes })
    // On this machine alone everything fits.
    expect((await verifyOffline(path, { key: verifierKey, log: 'main' })).code).toBe(0)
    const before = log.notes.at(-1)?.note ?? ''
    const after = notes.at(-1)?.note ?? ''
    const browser = verifyCheckpoint({
      verifierKey,
      note: after,
      remembered: { verifierKey, size: 7, root: rootIn(before) },
      consistency: [],
      digest: sha256,
      ed25519: verifyEd25519,
    })
    expect(browser.checks.find(({ state: each }) => each === 'failed')?.detail).toMatch(
      /7 leaves were seen here before and do not lead to the 7 of now: the log was rolled back or forked/,
    )
    writeFileSync(join(path, 'signer/main.signed'), state)
    await expectNamed(path, /its signer signed another root at size 7 than the leaves give/)
  })
})

const rootIn = (note: string): string => hex(Buffer.from(note.split('\n')[2] ?? '', 'base64'))

describe('a log that is shorter', () => {
  test.each([
    [
      'its end',
      2,
      (log: StoredLog) => log.notes,
      /a checkpoint was signed at size \d, and the log holds 4 leaves/,
    ],
    [
      'its end with its checkpoints',
      2,
      (log: StoredLog) => log.notes.filter(({ size }) => size <= 4),
      /holds 4 leaves, and its signer signed 7: it was rolled back/,
    ],
  ])('4. %s is gone', async (_name, keep, notes, what) => {
    const path = await copy()
    const log = await readLog(path)
    await writeLog(path, { segments: log.segments.slice(0, keep), notes: notes(log) })
    await expectNamed(path, what)
  })

  test('4. with the state of the signer too: by the size that somebody saw', async () => {
    const path = await copy()
    const log = await readLog(path)
    const segments = log.segments.slice(0, 2)
    await writeLog(path, { segments, notes: await resign(path, segments) })
    expect((await verifyOffline(path, { key: verifierKey, log: 'main' })).code).toBe(0)
    await expectNamed(path, /holds 4 leaves, and 7 were seen before: it was rolled back/, {
      size: 7,
    })
  })

  test('5. an older ledger under the signer of now is not opened, and other events do not go in', async () => {
    const path = await copy()
    const log = await readLog(path)
    await writeLog(path, {
      segments: log.segments.slice(0, 2),
      notes: log.notes.filter(({ size }) => size <= 4),
    })
    await expect(openEmbeddedLedger(path)).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
      message: expect.stringMatching(
        /log main holds 4 leaves, and 7 were signed: it was rolled back/,
      ),
    })
  })
})

describe('6. what changed places', () => {
  test('two leaves of a segment', async () => {
    const path = await copy()
    const log = await readLog(path)
    const segments = log.segments.map((segment) => ({
      ...segment,
      leaves: segment.leaves.toReversed(),
    }))
    await writeLog(path, { ...log, segments })
    await expectNamed(path, /BAD log main, payload of leaf 0/)
  })

  test('two segments', async () => {
    const path = await copy()
    const log = await readLog(path)
    const [first, second, ...rest] = log.segments
    if (first === undefined || second === undefined) throw new Error('no segments')
    await writeLog(path, { ...log, segments: withRoots([second, first, ...rest]) })
    await expectNamed(path, /BAD log main, payload of leaf 0/)
  })

  test('the folders of two logs', async () => {
    const path = await copy()
    for (const part of ['ledger', 'payloads']) {
      renameSync(join(path, part, 'main'), join(path, part, 'aside'))
      renameSync(join(path, part, '_system'), join(path, part, 'main'))
      renameSync(join(path, part, 'aside'), join(path, part, '_system'))
    }
    const { code, said } = await verifyOffline(path)
    expect(said).toMatch(/BAD log main, (?:payload of leaf 0|checkpoint of size 1)/)
    expect(said).toMatch(/BAD log _system, (?:payload of leaf 0|checkpoint of size 2)/)
    expect(code).toBe(1)
  })
})

describe('what happens before the ledger', () => {
  const numbered = (seq: number, prev?: string) =>
    aToolCall({
      'source.epoch': 'e',
      'source.seq': seq,
      ...(prev === undefined ? {} : { 'source.prev': prev }),
    })

  test('7. a record that is taken out on its way is a gap, one that is changed breaks the chain; both are on the record', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    await ledger.keyring.setSourceChainKey('gateway', Buffer.alloc(32, 9))
    const send = (offset: number, events: ReturnType<typeof numbered>[], sentDigests?: string[]) =>
      ledger.sequencer.handle([
        {
          position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset) },
          batch: aBatch('main', offset, {
            events,
            ...(sentDigests === undefined ? {} : { sentDigests }),
          }),
        },
      ])
    await send(0, [numbered(0)], ['aa'.repeat(32)])
    await send(1, [numbered(1, 'ff'.repeat(32))], ['bb'.repeat(32)])
    await send(2, [numbered(4)], ['cc'.repeat(32)])
    const events = ledger.segments.flatMap(({ leaves }) => leaves.map(({ event }) => event))
    expect(
      events.map((event) => [
        event['source.signal'],
        event['source.missing'],
        event['record.notes'],
      ]),
    ).toEqual([
      [undefined, undefined, undefined],
      [undefined, undefined, ['source.prev:mismatch']],
      ['gap', 2, ['gap before seq 4']],
      [undefined, undefined, undefined],
    ])
    await ledger.close()
  })

  test('8. a source whose end is cut off, its close with it, is said to be silent', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    const opened = {
      ...numbered(0),
      'event.class': 'source' as const,
      'source.signal': 'open' as const,
    }
    await ledger.sequencer.handle([
      {
        position: { topic: 't', incarnation: 'i', partition: 0, offset: '0' },
        batch: aBatch('main', 0, { events: [opened, numbered(1)] }),
      },
    ])
    for (let minute = 0; minute < 3; minute++) {
      ledger.clock.nowMs += 60_000
      await ledger.sequencer.tick()
    }
    const signals = ledger.segments.flatMap(({ leaves }) =>
      leaves.flatMap(({ event }) => event['source.signal'] ?? []),
    )
    expect(signals).toEqual(['open', 'silence'])
    await ledger.close()
  })

  test('9. an old record that is sent again is in once; another one under its id is kept and named', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    const send = async (offset: number, path: string, digest: string) => {
      const position = { topic: 't', incarnation: 'i', partition: 0, offset: String(offset) }
      const events = [aToolCall({ 'source.event.id': 'x', 'gen_ai.tool.call.arguments': { path } })]
      await ledger.sequencer.handle([
        { position, batch: aBatch('main', offset, { events, sentDigests: [digest] }) },
      ])
      return ledger.sequencer.waitForReceipt(position, 1000)
    }
    await send(0, 'a', 'aa'.repeat(32))
    expect(await send(1, 'a', 'aa'.repeat(32))).toMatchObject({ leaves: [], duplicates: 1 })
    expect(await send(2, 'b', 'bb'.repeat(32))).toMatchObject({ leaves: [{ first: 1, count: 1 }] })
    expect(ledger.segments.at(-1)?.leaves[0]?.event['record.notes']).toEqual(['id.conflict'])
    await ledger.close()
  })
})

describe('10. two that run with one signer', () => {
  test('the second history is refused, and its process stops', async () => {
    const first = await openEmbeddedLedger(await directory())
    const second = await openEmbeddedLedger(await directory(), (name, part) =>
      name === 'signer' ? (first.signer as unknown as typeof part) : part,
    )
    // Both begin before anything was signed.
    await second.sequencer.append('main', [aToolCall({ 'user.id': 'other' })])
    await first.sequencer.append('main', [aToolCall()])
    await first.sequencer.publishCheckpoints()
    await second.sequencer.publishCheckpoints()
    expect((await second.sequencer.failed).message).toMatch(
      /log main: size 1 was signed with another root: this log has forked/,
    )
    await expect(second.sequencer.append('main', [aToolCall()])).rejects.toThrow()
    expect(await second.storage.checkpointSizes('main')).toEqual([])
    await second.close()
    await first.close()
  })

  test('11. two views that were signed by one key contradict each other to whoever has both', () => {
    const views = ['a', 'b'].map((text) => {
      const tree = new MemoryHashTree(sha256)
      for (let i = 0; i < 5; i++) tree.append(leafHash(sha256, Buffer.from(`${text}${i}`)))
      return tree
    })
    const key = newKey('deployment/main')
    const [shown, seen] = views.map((tree) =>
      key.sign(formatCheckpoint({ origin: key.name, size: 5, root: rootOf(tree, sha256, 5) })),
    )
    const { checks } = verifyCheckpoint({
      verifierKey: key.verifierKey,
      note: shown ?? '',
      remembered: { verifierKey: key.verifierKey, size: 5, root: rootIn(seen ?? '') },
      consistency: [],
      digest: sha256,
      ed25519: verifyEd25519,
    })
    expect(checks.map(({ id, state }) => [id, state])).toEqual([
      ['checkpoint', 'passed'],
      ['consistency', 'failed'],
    ])
  })
})

describe('12. proofs', () => {
  const leaves = Array.from({ length: 65 }, (_, i) => Buffer.from(`leaf ${i}`))
  const tree = new MemoryHashTree(sha256)
  for (const leaf of leaves) tree.append(leafHash(sha256, leaf))
  const root = rootOf(tree, sha256, 65)
  const good = {
    index: 64,
    size: 65,
    leafHash: leafHash(sha256, leaves[64] ?? Buffer.alloc(0)),
    root,
    proof: inclusionProof(tree, sha256, 64, 65),
  }

  test('the honest one holds', () => expect(verifyInclusion(sha256, good)).toBe(true))
  test.each([
    ['index off by one', { index: 63 }],
    ['index beyond the size', { index: 65 }],
    ['a negative index', { index: -1 }],
    ['an index that is no integer', { index: 63.5 }],
    ['an index of 2^53', { index: 2 ** 53 }],
    ['size 0', { size: 0 }],
    ['size one more', { size: 66 }],
    ['an extra hash', { proof: [...good.proof, new Uint8Array(32)] }],
    ['a hash twice', { proof: [...good.proof, ...good.proof] }],
    ['64 hashes and more', { proof: Array.from({ length: 65 }, () => new Uint8Array(32)) }],
    ['no hash', { proof: [] }],
    ['a short hash', { proof: good.proof.map((hash) => hash.subarray(1)) }],
    ['size 1 without a hash', { index: 0, size: 1, proof: [] }],
    ['an inner node as a leaf', { index: 0, leafHash: tree.hash(1, 0) }],
    [
      'the last leaf doubled, as trees of other kinds have it',
      { index: 65, size: 66, proof: [good.leafHash, ...good.proof] },
    ],
  ])('%s', (_name, change) => {
    expect(verifyInclusion(sha256, { ...good, ...change })).toBe(false)
  })
})

function newKey(name: string) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  return {
    name,
    raw,
    privateKey,
    verifierKey: formatVerifierKey(sha256, name, raw),
    sign: (text: string, id = keyId(sha256, name, raw)) =>
      signNote(text, name, id, (message) => sign(null, message, privateKey)),
  }
}

describe('13. checkpoints, to the verifier of the browser', () => {
  const key = newKey('deployment/main')
  const text = formatCheckpoint({ origin: key.name, size: 5, root: sha256(Buffer.from('r')) })
  const note = key.sign(text)
  const judge = (given: string, verifier = key.verifierKey) =>
    verifyCheckpoint({
      verifierKey: verifier,
      note: given,
      remembered: undefined,
      consistency: undefined,
      digest: sha256,
      ed25519: verifyEd25519,
    }).checks[0]

  test('the honest one passes', () => expect(judge(note)?.state).toBe('passed'))
  test.each([
    ['CRLF', note.replaceAll('\n', '\r\n')],
    ['no newline at the end', note.slice(0, -1)],
    ['a plus in the name', note.replaceAll('deployment/main', 'deployment+main')],
    ['a leading zero in the size', key.sign(text.replace('\n5\n', '\n05\n'))],
    ['base64 in another spelling', key.sign(text.replace(/=\n/, '\n'))],
    [
      'a second signature by an unknown key under the known name',
      `${note}\u2014 ${key.name} ${base64(Buffer.concat([keyId(sha256, key.name, key.raw), new Uint8Array(64)]))}\n`,
    ],
    ['a NUL', note.replace('\n5\n', '\n5\u0000\n')],
    ['a control character in the origin', note.replace('main', 'ma\u0007in')],
    ['10,000 signatures', note + note.slice(note.indexOf('\u2014')).repeat(10_000)],
    ['the key of another tenant', newKey('deployment/other').sign(text)],
    ['another origin under a known key', key.sign(text.replace('/main', '/other'))],
    ['an extension line that was not signed', note.replace('\n\n', '\nextension\n\n')],
  ])('%s', (_name, given) => {
    expect(judge(given)).toMatchObject({ id: 'checkpoint', state: 'failed' })
  })
})

describe('14. keys', () => {
  test('a key id that collides opens nothing: the signature does not verify', () => {
    const [known, other] = [newKey('deployment/main'), newKey('deployment/main')]
    const text = formatCheckpoint({ origin: known.name, size: 1, root: sha256(Buffer.from('r')) })
    const forged = other.sign(text, keyId(sha256, known.name, known.raw))
    const verifier = noteVerifier(sha256, verifyEd25519, known.verifierKey)
    expect(() => openNote(forged, [verifier])).toThrow(/signature/)
  })

  test('a signing key that was replaced is named, offline and by the browser that pinned the old one', async () => {
    const path = await copy()
    const other = await copy()
    rmSync(join(other, 'signer'), { recursive: true })
    const signer = await openFileSigner(join(other, 'signer'), testMasterKey)
    const otherKey = await signer.verifierKey('main')
    await signer.close()
    cpSync(join(other, 'signer/main.key'), join(path, 'signer/main.key'))
    await expect(examineSigner(join(path, 'signer'), testMasterKey)).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
      message: expect.stringMatching(
        /main\.vkey is not the verifier key of the signing key beside it/,
      ),
    })
    expect(checkKey(otherKey, { verifierKey, size: 7, root: '' })).toMatchObject({
      state: 'failed',
      detail: expect.stringContaining('the log or its key was replaced'),
    })
    await expectNamed(path, /main\.vkey is not the verifier key/)
  })

  test('a signing key without its state signs nothing', async () => {
    const path = await copy()
    rmSync(join(path, 'signer/main.signed'))
    await expectNamed(path, /main\.signed is gone, and with it what was signed last/)
    const signer = await openFileSigner(join(path, 'signer'), testMasterKey)
    await expect(signer.sign('main', 8, sha256(Buffer.from('r')), [])).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
    })
    await signer.close()
  })
})

test('18, 19. numbers at their edges and text of every kind are in the log as they were sent', async () => {
  const ledger = await openEmbeddedLedger(await directory())
  const texts = ['caf\u00e9', 'cafe\u0301', 'a\u2028b', '\ufeffx', '\u202egnp.exe', '\u0000', '😀']
  const numbers = [2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER, -0, 1e21, 5e-324]
  const odd: unknown = JSON.parse('{"":0,"__proto__":{"a":1},"constructor":"x"}')
  const sent = [
    ...texts.map((text) => ({ text })),
    ...numbers.map((number) => ({ number })),
    { odd },
  ]
  await ledger.sequencer.append(
    'main',
    sent.map((value) =>
      aToolCall({ 'gen_ai.tool.call.arguments': JSON.parse(JSON.stringify(value)) }),
    ),
  )
  const stored: unknown[] = []
  const leaves = new Set<string>()
  for await (const chunk of ledger.reader.read('main', 0, await ledger.reader.size('main'))) {
    for (const { event, leaf } of chunk) {
      stored.push(event['gen_ai.tool.call.arguments'])
      leaves.add(hex(sha256(leaf)))
    }
  }
  expect(stored.map((value) => JSON.stringify(value))).toEqual(
    sent.map((value) => JSON.stringify(value)),
  )
  // Twins that look alike are two.
  expect(leaves.size).toBe(sent.length)
  // What has no UTF-8 has no canonical form: it is kept as rejected, with its bytes, and named.
  const receipt = await ledger.sequencer.append('main', [
    aToolCall({ 'gen_ai.tool.call.arguments': { text: '\ud800' } }),
  ])
  const kept = await ledger.reader.readOne('main', receipt.leaves[0]?.first ?? -1)
  expect(kept?.event).toMatchObject({
    'record.disposition': 'rejected',
    'record.reason': 'CANONICAL_JSON_INVALID',
  })
  await ledger.close()
})
