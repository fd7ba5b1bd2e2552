import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import type { Segment } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { hex } from '../../schemas/bytes.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { leafHash, TreeFrontier } from '../../schemas/tlog/merkle.ts'
import {
  aToolCall,
  openEmbeddedLedger,
  temporaryDirectory,
  testMasterKey,
} from '../fixtures/embedded-ledger.ts'
import { type CommandResult, runSealtrail } from '../fixtures/running-sealtrail.ts'

let original: string
let copies: string
let verifierKey: string
let count = 0

beforeAll(async () => {
  original = await temporaryDirectory()
  copies = await temporaryDirectory()
  const ledger = await openEmbeddedLedger(original)
  for (let segment = 0; segment < 6; segment++) {
    await ledger.sequencer.append(
      'main',
      Array.from({ length: 5 }, (_, i) =>
        aToolCall({ 'gen_ai.tool.call.arguments': { n: segment * 5 + i } }),
      ),
    )
    await ledger.sequencer.publishCheckpoints()
  }
  verifierKey = await ledger.signer.verifierKey('main')
  await ledger.close()
  writeFileSync(join(original, 'keyring', 'master.key'), `${hex(testMasterKey)}\n`)
})
afterAll(() => {
  rmSync(original, { recursive: true, force: true })
  rmSync(copies, { recursive: true, force: true })
})

function copy(): string {
  const directory = join(copies, String(count++))
  cpSync(original, directory, { recursive: true })
  return directory
}

const verify = (directory: string, ...flags: string[]): Promise<CommandResult> =>
  runSealtrail([
    'verify',
    '--offline',
    '--data',
    directory,
    '--key',
    verifierKey,
    '--log',
    'main',
    ...flags,
  ])

/** Writes the ledger anew from altered segments, checksums and all: what an attacker with the directory can do. */
async function rewrite(
  directory: string,
  alter: (segments: Segment[]) => Segment[],
  checkpoints: (sizes: number[]) => number[] = (sizes) => sizes,
): Promise<void> {
  const old = await openFileStorage(join(original, 'ledger'))
  const segments: Segment[] = []
  for await (const segment of old.readSegments('main', 0)) segments.push(segment)
  rmSync(join(directory, 'ledger'), { recursive: true })
  const storage = await openFileStorage(join(directory, 'ledger'))
  for (const segment of alter(segments)) await storage.appendSegment('main', segment)
  for (const size of checkpoints(await old.checkpointSizes('main'))) {
    await storage.writeCheckpoint('main', size, (await old.readCheckpoint('main', size)) ?? '')
  }
  await storage.close()
  await old.close()
}

/** States the roots that altered leaves give. */
function withRoots(segments: readonly Segment[]): Segment[] {
  const frontier = new TreeFrontier(sha256)
  return segments.map((segment) => {
    for (const leaf of segment.leaves) frontier.append(leafHash(sha256, leaf))
    return { ...segment, rootAfter: frontier.root() }
  })
}

const editLeaf = (segments: readonly Segment[]): Segment[] =>
  segments.map((segment) =>
    segment.fromIndex !== 10
      ? segment
      : {
          ...segment,
          leaves: segment.leaves.map((leaf, i) =>
            i === 2
              ? Buffer.from(Buffer.from(leaf).toString().replace('"success"', '"denied"'))
              : leaf,
          ),
        },
  )

describe('sealtrail verify --offline', () => {
  test('says OK of what is whole, with its figures', async () => {
    const { code, stdout } = await verify(copy())
    expect(stdout).toContain('OK  main: 30 leaves, 6 checkpoints, 30 payloads')
    expect(code).toBe(0)
  })

  test.each([
    ['an edited leaf', editLeaf, /BAD log main: segment 10 states root/],
    [
      'an edited leaf with every root recomputed',
      (all: Segment[]) => withRoots(editLeaf(all)),
      /BAD log main: the checkpoint of size 15 has another root/,
    ],
    [
      'two leaves that changed places',
      (all: Segment[]) =>
        withRoots(
          all.map((each) =>
            each.fromIndex === 5 ? { ...each, leaves: each.leaves.toReversed() } : each,
          ),
        ),
      /BAD log main, payload of leaf 5/,
    ],
    [
      'the end cut off',
      (all: Segment[]) => all.slice(0, -1),
      /BAD log main: a checkpoint was signed at size 30, and the log holds 25/,
    ],
    [
      'a leaf that is no event',
      (all: Segment[]) =>
        withRoots(
          all.map((each) =>
            each.fromIndex === 20
              ? { ...each, leaves: [Buffer.from('{}'), ...each.leaves.slice(1)] }
              : each,
          ),
        ),
      /BAD log main, leaf 20/,
    ],
  ])('names %s', async (_name, alter, message) => {
    const directory = copy()
    await rewrite(directory, alter)
    const { code, stdout } = await verify(directory)
    expect(stdout).toMatch(message)
    expect(code).toBe(1)
  })

  test('names a rollback by what was signed, and to whoever saw a larger log', async () => {
    const directory = copy()
    await rewrite(
      directory,
      (all) => all.slice(0, -1),
      (sizes) => sizes.slice(0, -1),
    )
    expect((await verify(directory)).stdout).toMatch(
      /BAD log main holds 25 leaves, and its signer signed 30: it was rolled back/,
    )
    // Whoever can write the signer's state too is caught only from outside.
    const signed = join(directory, 'signer/main.signed')
    rmSync(signed)
    expect((await verify(directory)).stdout).toMatch(/BAD .*main\.signed is gone/)
    const storage = await openFileStorage(join(directory, 'ledger'))
    const newest = await storage.readCheckpoint('main', 25)
    await storage.close()
    const { root } = readCheckpoint(newest ?? '')
    writeFileSync(signed, JSON.stringify({ size: 25, root: hex(root) }))
    expect((await verify(directory)).code).toBe(0)
    const { code, stdout } = await verify(directory, '--size', '30')
    expect(stdout).toMatch(/holds 25 leaves, and 30 were seen before: it was rolled back/)
    expect(code).toBe(1)
  })

  test('names another history of the same size, by what was signed', async () => {
    const directory = copy()
    await rewrite(
      directory,
      (all) => withRoots(editLeaf(all)),
      () => [],
    )
    expect((await verify(directory)).stdout).toMatch(
      /BAD log main: its signer signed another root at size 30 than the leaves give/,
    )
  })

  test.each([
    ['the segments', 'ledger/main/segments', /BAD log main: a checkpoint was signed at size 5/],
    ['the whole log', 'ledger/main', /BAD log main holds 0 leaves, and its signer signed 30/],
  ])(
    'names a log of which %s are gone, also when it is not asked for',
    async (_name, part, message) => {
      const directory = copy()
      rmSync(join(directory, part), { recursive: true })
      const { code, stdout } = await runSealtrail(['verify', '--offline', '--data', directory])
      expect(stdout).toMatch(message)
      expect(code).toBe(1)
    },
  )

  test('names a payload whose key was lost; one that was destroyed is erased, and all is well', async () => {
    const directory = copy()
    const keyring = await openFileKeyring(join(directory, 'keyring'), testMasterKey)
    await keyring.destroyKeys('main', [
      keyring.subjectKeyId('main', JSON.stringify(['sub', '', 'u-1'])),
    ])
    await keyring.close()
    const erased = await verify(directory)
    expect(erased.stdout).toContain('OK  main: 30 leaves, 6 checkpoints, 0 payloads, 30 erased')
    rmSync(join(directory, 'keyring/keyring'))
    const empty = await openFileKeyring(join(directory, 'keyring'), testMasterKey)
    await empty.close()
    const { code, stdout } = await verify(directory)
    expect(stdout).toMatch(/BAD log main, payload of leaf 0: its key is not in the keyring/)
    expect(code).toBe(1)
  })

  test('changes no file of what it examines', async () => {
    const directory = copy()
    const path = join(directory, 'ledger/main/segments/00000000.log')
    for (const torn of [path, join(directory, 'keyring/keyring')]) {
      writeFileSync(torn, Buffer.concat([readFileSync(torn), Buffer.from('torn')]))
    }
    const files = () =>
      readdirSync(directory, { recursive: true, withFileTypes: true })
        .map((entry) => ({ name: join(entry.parentPath, entry.name), isFile: entry.isFile() }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ name, isFile }) => [name, isFile ? hex(sha256(readFileSync(name))) : 'folder'])
    const before = files()
    const { code, stdout } = await verify(directory)
    expect(stdout).toMatch(/00000000\.log at byte \d+: a torn last frame of 4 bytes was never/)
    expect(code).toBe(0)
    expect(files()).toEqual(before)

    rmSync(join(directory, 'payloads'), { recursive: true })
    const without = files()
    expect((await verify(directory)).stdout).toMatch(/BAD log main, payload of leaf 0/)
    expect(files()).toEqual(without)
  })

  test('names a checkpoint that another key signed', async () => {
    const other = await temporaryDirectory()
    const foreign = await openEmbeddedLedger(other)
    await foreign.sequencer.append('main', [aToolCall()])
    const otherKey = await foreign.signer.verifierKey('main')
    await foreign.close()
    rmSync(other, { recursive: true })
    const result = await runSealtrail([
      'verify',
      '--offline',
      '--data',
      copy(),
      '--log',
      'main',
      '--key',
      otherKey,
    ])
    expect(result.stdout).toMatch(
      /BAD log main, checkpoint of size 5: no known key signed the note/,
    )
    expect(result.code).toBe(1)
  })

  const payloads = (directory: string) => join(directory, 'payloads/main/000000.payloads')
  test.each([
    [
      'one altered byte of a payload',
      (bytes: Buffer) => bytes.fill(bytes[900] === 1 ? 2 : 1, 900, 901),
      /BAD log main, payload of leaf \d/,
    ],
    [
      'a payload file that ends early',
      (bytes: Buffer) => bytes.subarray(0, bytes.length - 10),
      /BAD log main, payload of leaf 25/,
    ],
    ['an emptied payload file', () => Buffer.alloc(0), /BAD log main, payload of leaf 0/],
  ])('names %s', async (_name, alter, message) => {
    const directory = copy()
    writeFileSync(payloads(directory), alter(readFileSync(payloads(directory))))
    const { code, stdout } = await verify(directory)
    expect(stdout).toMatch(message)
    expect(code).toBe(1)
  })

  test('names file and byte of a damaged segment, wherever the damage is', async () => {
    const path = 'ledger/main/segments/00000000.log'
    const whole = readFileSync(join(original, path))
    for (const at of [0, 5, 20, Math.floor(whole.length / 2), whole.length - 3]) {
      const directory = copy()
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ 0x10
      writeFileSync(join(directory, path), bytes)
      const { code, stdout } = await verify(directory)
      // A damaged last frame is what a torn write leaves: it is cut, and the checkpoint over it says that leaves are gone.
      expect(stdout).toMatch(/BAD .*(?:00000000\.log at byte \d+|leaves are missing at its end)/)
      expect(code).toBe(1)
    }
  })

  test('says what to do where there is no ledger', async () => {
    const { code, stderr } = await runSealtrail([
      'verify',
      '--offline',
      '--data',
      join(copies, 'nothing'),
    ])
    expect(stderr).toMatch(/holds no ledger \(CONFIG_INVALID\)/)
    expect(code).toBe(2)
    expect(existsSync(join(copies, 'nothing'))).toBe(false)
  })
})
