import { once } from 'node:events'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type VerifyFlags, verifyCommand } from '../../cli/verify-command.ts'
import { openDirectoryAnchor } from '../../ledger/anchors/directory-anchor.ts'
import { openWebhookAnchor } from '../../ledger/anchors/webhook-anchor.ts'
import { openWitnessAnchor } from '../../ledger/anchors/witness-anchor.ts'
import type { Segment } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { openFileSigner, readLastSigned } from '../../ledger/signer/file-signer.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { verifyLog } from '../../ledger/verify/verify-log.ts'
import { hex } from '../../schemas/bytes.ts'
import { emptyRoot, leafHash, TreeFrontier } from '../../schemas/tlog/merkle.ts'
import { parseTlogPolicy } from '../../schemas/tlog/tlog-policy.ts'
import {
  aToolCall,
  openEmbeddedLedger,
  temporaryDirectory,
  testMasterKey,
} from '../fixtures/embedded-ledger.ts'
import { TestWitness } from '../fixtures/witness.ts'

/**
 * What only a place outside contradicts: the attacker has the whole data directory, with the signer's state and its
 * key, and forges all of it (notes: tests 3, 4, 5, 10 and 11).
 */

let root: string
let data: string
let disk: string
let witnesses: TestWitness[]
let origin: string
let verifierKey: string

beforeAll(async () => {
  root = await temporaryDirectory()
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

let count = 0
beforeEach(async () => {
  const folder = join(root, String(count++))
  data = join(folder, 'data')
  disk = join(folder, 'disk')
  mkdirSync(disk, { recursive: true })
  witnesses = await Promise.all(
    ['w1', 'w2'].map((name) => TestWitness.start(`witness.example/${name}`)),
  )
  const signer = await openFileSigner(join(data, 'signer'), testMasterKey)
  origin = signer.origin('main')
  verifierKey = await signer.verifierKey('main')
  await signer.close()
  for (const witness of witnesses) witness.register(origin, [verifierKey])
})
afterEach(() => Promise.all(witnesses.map((witness) => witness.stop())))

type Place = 'directory' | 'witnesses'

function outside(places: readonly Place[], known = witnesses) {
  const policy = parseTlogPolicy(
    sha256,
    [
      ...known.map(({ verifierKey: key, url }, i) => `witness w${i + 1} ${key} ${url}`),
      `group both all ${known.map((_each, i) => `w${i + 1}`).join(' ')}`,
      'quorum both\n',
    ].join('\n'),
  )
  return {
    anchors: [
      ...(places.includes('directory') ? [openDirectoryAnchor(disk, () => Date.now())] : []),
      ...(places.includes('witnesses')
        ? policy.witnesses.map(({ url = '', ...witness }) => openWitnessAnchor({ ...witness, url }))
        : []),
    ],
    ...(places.includes('witnesses') ? { policy } : {}),
  }
}

/** Appends `leaves` events to the log in a directory, in segments of five, and waits for the anchors. */
async function run(
  directory: string,
  places: readonly Place[],
  leaves: number,
  known = witnesses,
): Promise<{
  errors: readonly Error[]
  signed: number
  coverage: ReturnType<NonNullable<Opened['anchors']>['coverage']> | undefined
}> {
  const ledger = await openEmbeddedLedger(
    directory,
    undefined,
    undefined,
    undefined,
    undefined,
    outside(places, known),
  )
  try {
    for (let i = 0; i < leaves; i += 5) {
      await ledger.sequencer.append(
        'main',
        Array.from({ length: 5 }, (_, n) => aToolCall({ 'gen_ai.tool.call.arguments': { n } })),
      )
      await ledger.sequencer.publishCheckpoints()
      await ledger.anchors?.settle('main', 5000)
    }
    return {
      errors: ledger.errors,
      signed: (await ledger.signer.lastSigned('main'))?.size ?? 0,
      coverage: ledger.anchors?.coverage('main'),
    }
  } finally {
    await ledger.close()
  }
}
type Opened = Awaited<ReturnType<typeof openEmbeddedLedger>>

/** `sealtrail verify --offline` in this process: what it prints, and its exit code. */
async function verify(directory: string, outside: Partial<VerifyFlags> = {}) {
  const lines: string[] = []
  const flags = { data: directory, log: 'main', key: verifierKey, treeOnly: true, ...outside }
  const code = await verifyCommand(flags, undefined, (line) => lines.push(line))
  return { code, stdout: lines.join('\n') }
}

/** What is wrong with a directory, for whoever has nothing but the directory and the key. */
async function problemOf(directory: string): Promise<string | undefined> {
  const storage = await openFileStorage(join(directory, 'ledger'), { readOnly: true })
  try {
    const steps = verifyLog({
      logId: 'main',
      storage,
      verifierKey,
      lastSigned: () => readLastSigned(join(directory, 'signer'), 'main'),
    })
    for (;;) {
      const step = await steps.next()
      if (step.done === true) return step.value.firstProblem
    }
  } finally {
    await storage.close()
  }
}

/** Writes ledger, checkpoints and signer anew from altered segments, signed with the stolen key. */
async function forge(directory: string, alter: (segments: Segment[]) => Segment[]): Promise<void> {
  const old = await openFileStorage(join(data, 'ledger'))
  const segments: Segment[] = []
  for await (const segment of old.readSegments('main', 0)) segments.push(segment)
  await old.close()
  cpSync(data, directory, { recursive: true })
  for (const part of ['ledger', 'anchors'])
    rmSync(join(directory, part), { recursive: true, force: true })
  writeFileSync(
    join(directory, 'signer/main.signed'),
    JSON.stringify({ size: 0, root: hex(emptyRoot(sha256)) }),
  )
  const storage = await openFileStorage(join(directory, 'ledger'))
  const signer = await openFileSigner(join(directory, 'signer'), testMasterKey)
  const frontier = new TreeFrontier(sha256)
  for (const segment of alter(segments)) {
    for (const leaf of segment.leaves) frontier.append(leafHash(sha256, leaf))
    await storage.appendSegment('main', { ...segment, rootAfter: frontier.root() })
  }
  const note = await signer.sign('main', frontier.size, frontier.root(), [])
  await storage.writeCheckpoint('main', frontier.size, note)
  await signer.close()
  await storage.close()
}

const editLeaf = (segments: Segment[]): Segment[] =>
  segments.map((segment) => ({
    ...segment,
    leaves: segment.leaves.map((leaf, i) =>
      segment.fromIndex === 10 && i === 2
        ? Buffer.from(Buffer.from(leaf).toString().replace('"success"', '"denied"'))
        : leaf,
    ),
  }))

describe.each([[['directory']], [['witnesses']]] as [Place[]][])('with %s', (places) => {
  test('a log that grows is covered to its end, also over restarts, and says so', async () => {
    const { coverage, errors } = await run(data, places, 15)
    expect(errors).toEqual([])
    expect(coverage).toMatchObject({ witnessedSize: 15, contradiction: null })
    expect(coverage?.anchors.map(({ state }) => state)).toEqual(
      coverage?.anchors.map(() => 'current'),
    )
    expect((await run(data, places, 5)).coverage?.witnessedSize).toBe(20)
  })

  test('an edited leaf, signed again with the stolen key, is a fork', async () => {
    await run(data, places, 20)
    const forged = join(data, '../forged')
    await forge(forged, editLeaf)
    // By itself it is whole: nothing in the directory tells.
    expect(await problemOf(forged)).toBeUndefined()
    await expect(run(forged, places, 5)).rejects.toMatchObject({
      code: 'ANCHOR_CONTRADICTS',
      message: expect.stringMatching(/forked/),
    })
  })

  test('the newest leaves deleted, with the state of the signer, are a rollback', async () => {
    await run(data, places, 20)
    const cut = join(data, '../cut')
    await forge(cut, (segments) => segments.slice(0, -1))
    expect(await problemOf(cut)).toBeUndefined()
    await expect(run(cut, places, 5)).rejects.toMatchObject({
      code: 'ANCHOR_CONTRADICTS',
      message: expect.stringMatching(/size 20, and .*15 leaves.*rolled back/),
    })
  })

  test('an older backup that is restored signs nothing, and takes nothing', async () => {
    await run(data, places, 10)
    const backup = join(data, '../backup')
    cpSync(data, backup, { recursive: true })
    await run(data, places, 10)
    await expect(run(backup, places, 20)).rejects.toMatchObject({ code: 'ANCHOR_CONTRADICTS' })
    expect(await problemOf(backup)).toBeUndefined()
    // Nor after another try: what was contradicted is remembered, and found again.
    await expect(run(backup, places, 20)).rejects.toMatchObject({ code: 'ANCHOR_CONTRADICTS' })
  })

  test('of two copies that run with one key, the second is stopped while it runs', async () => {
    await run(data, places, 10)
    const copy = join(data, '../copy')
    cpSync(data, copy, { recursive: true })
    const second = await openEmbeddedLedger(
      copy,
      undefined,
      undefined,
      undefined,
      undefined,
      outside(places),
    )
    await run(data, places, 5)
    await second.sequencer.append('main', [aToolCall({ 'user.id': 'u-2' })])
    await second.sequencer.publishCheckpoints()
    await second.anchors?.settle('main', 5000)
    expect(second.anchors?.coverage('main').contradiction).toMatch(/rolled back|forked/)
    const { size } = (await second.signer.lastSigned('main')) ?? {}
    await second.sequencer.append(
      'main',
      Array.from({ length: 20 }, () => aToolCall()),
    )
    await second.sequencer.publishCheckpoints()
    // What comes is still durable; it is signed no more.
    expect((await second.signer.lastSigned('main'))?.size).toBe(size)
    expect(second.sequencer.tree('main').size).toBe(31)
    await second.close()
  })
})

test('verify finds a fork and a rollback against what is given to it, and says what is covered', async () => {
  await run(data, ['directory', 'witnesses'], 20)
  const [first] = witnesses
  const key = first?.verifierKey ?? ''
  const whole = await verify(data, { anchor: [disk], witnessKey: [key] })
  expect(whole.stdout).toMatch(/^OK {2}main: 20 leaves/m)
  expect(whole.stdout).toMatch(/covered by anchor directory .*disk, up to size 20, put there 20/)
  expect(whole.stdout).toMatch(/covered by witness witness\.example\/w1, up to size 20, at 20/)
  expect(whole.stdout).not.toContain('not covered')
  const alone = await verify(data)
  expect(alone.stdout).toMatch(
    /not checked here: directory .*disk is said to hold it up to size 20/,
  )
  expect(alone.stdout).toMatch(/nothing from outside was given/)

  const forged = join(data, '../forged')
  await forge(forged, editLeaf)
  const fork = await verify(forged, { anchor: [disk] })
  expect([fork.code, fork.stdout]).toEqual([
    1,
    expect.stringMatching(
      /BAD log main has another root at size 15 than anchor .*00000000\.ndjson: it has forked/,
    ),
  ])
  const cut = join(data, '../cut')
  await forge(cut, (segments) => segments.slice(0, -1))
  const rolled = await verify(cut, { anchor: [disk] })
  expect([rolled.code, rolled.stdout]).toEqual([
    1,
    expect.stringMatching(
      /BAD log main holds 15 leaves, and anchor .*00000000\.ndjson has 20: it was rolled back/,
    ),
  ])
  // The forger cannot make a cosignature, so he has none to show.
  const none = await verify(forged, { witnessKey: [key] })
  expect([none.code, none.stdout]).toEqual([
    1,
    expect.stringMatching(/BAD log main: no checkpoint of .* is cosigned by witness\.example\/w1/),
  ])
})

test('verify compares with checkpoint files that somebody kept', async () => {
  await run(data, ['witnesses'], 10)
  const backup = join(data, '../backup')
  cpSync(data, backup, { recursive: true })
  await run(data, ['witnesses'], 10)
  const storage = await openFileStorage(join(data, 'ledger'), { readOnly: true })
  const file = join(data, '../checkpoint')
  writeFileSync(file, (await storage.readCheckpoint('main', 20)) ?? '')
  await storage.close()
  expect((await verify(data, { checkpoint: [file] })).stdout).toMatch(
    /covered by checkpoint .*, up to size 20/,
  )
  const { code, stdout } = await verify(backup, { checkpoint: [file] })
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/BAD log main holds 10 leaves, and checkpoint .* has 20/),
  ])
  writeFileSync(file, 'no note')
  await expect(verify(data, { checkpoint: [file] })).rejects.toThrow(/holds no signed checkpoint/)
})

test('of two views of one log, the witnesses give a quorum to at most one', async () => {
  await run(data, ['witnesses'], 10)
  const other = join(data, '../other')
  cpSync(data, other, { recursive: true })
  // Each view reaches the witness that the other one cannot.
  const [w1, w2] = witnesses
  if (w1 === undefined || w2 === undefined) throw new Error('two witnesses are needed')
  w2.answer = () => ({ status: 503, body: 'away' })
  const first = await run(data, ['witnesses'], 5)
  w2.answer = undefined
  w1.answer = () => ({ status: 503, body: 'away' })
  const second = await run(other, ['witnesses'], 5)
  expect(first.coverage?.cosigned).toMatchObject({ size: 10, quorum: true })
  expect(second.coverage?.cosigned).toMatchObject({ size: 10, quorum: true })
  expect([w1.sizeOf(origin), w2.sizeOf(origin)]).toEqual([15, 15])
  w1.answer = undefined
  // As soon as one of them reaches both, it is told that there is another history.
  await expect(run(other, ['witnesses'], 5)).rejects.toMatchObject({
    code: 'ANCHOR_CONTRADICTS',
    message: expect.stringContaining('witness.example/w1'),
  })
})

test('anchors that are away delay nothing, are named, and are caught up with', async () => {
  const [w1] = witnesses
  await w1?.stop()
  rmSync(disk, { recursive: true })
  const away = await run(data, ['directory', 'witnesses'], 15)
  expect(away.signed).toBe(15)
  expect(away.coverage).toMatchObject({ witnessedSize: 0, cosigned: { size: 15, quorum: false } })
  expect(away.coverage?.anchors.map(({ state, coveredSize }) => [state, coveredSize])).toEqual([
    ['failing', 0],
    ['failing', 0],
    ['current', 15],
  ])
  expect(away.errors.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      expect.stringContaining(disk),
      expect.stringContaining('witness.example/w1'),
    ]),
  )
  mkdirSync(disk)
  await w1?.listen()
  const back = await run(data, ['directory', 'witnesses'], 5)
  expect(back.coverage).toMatchObject({ witnessedSize: 20, cosigned: { size: 20, quorum: true } })
})

test('a directory that somebody else writes to is named, and is no contradiction', async () => {
  await run(data, ['directory'], 10)
  const file = join(disk, ...origin.split('/'), '00000000.ndjson')
  const note = `${origin}\n99\n${Buffer.alloc(32).toString('base64')}\n\n\u2014 ${origin} AAAAAAAA\n`
  writeFileSync(file, `${JSON.stringify({ at: 'now', checkpoint: note })}\n`, { flag: 'a' })
  const { errors, signed, coverage } = await run(data, ['directory'], 5)
  expect(signed).toBe(15)
  expect(String(errors[0])).toMatch(/its key did not sign: who writes there/)
  expect(coverage?.anchors[0]).toMatchObject({ state: 'failing', coveredSize: 10 })
  const { code, stdout } = await verify(data, { anchor: [disk] })
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/newest checkpoint .* of size 99, is not signed/),
  ])
})

test('a webhook that says 409 stops the signing until it agrees, also over restarts', async () => {
  let status = 200
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(status).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/`
  const open = () =>
    openEmbeddedLedger(data, undefined, undefined, undefined, undefined, {
      anchors: [openWebhookAnchor({ url, secret: Buffer.from('secret'), clock: () => Date.now() })],
    })
  const first = await open()
  status = 409
  await first.sequencer.append('main', [aToolCall()])
  await first.sequencer.publishCheckpoints()
  await first.anchors?.settle('main', 5000)
  expect(first.anchors?.coverage('main').contradiction).toMatch(/conflicts with what it holds/)
  await first.close()
  await expect(open()).rejects.toMatchObject({ code: 'ANCHOR_CONTRADICTS' })
  status = 200
  const second = await open()
  expect(second.anchors?.coverage('main')).toMatchObject({ contradiction: null, witnessedSize: 1 })
  await second.close()
  server.close()
})
