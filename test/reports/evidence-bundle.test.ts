import { createHash } from 'node:crypto'
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Erasure } from '../../ledger/control/system-state.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'
import { seeded } from '../fixtures/agent-history.ts'
import { openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import {
  exportAgain,
  hostileTexts,
  mixedEvent,
  type WrittenBundle,
  writeBundle,
} from './bundle-ledger.ts'
import { RepeatedVerifier, verifyBundle } from './bundle-verifier.ts'

const notEvidence = ['verify.mjs', 'VERIFY.md']
let root: string
let ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>
/** Matches of several hundred events, some of them erased. */
let large: WrittenBundle
/** A few matches: small enough to be altered thousands of times. */
let small: WrittenBundle
let other: WrittenBundle
let verifier: RepeatedVerifier
/** Copy of {@link small} that the tests alter and repair. */
let copy: string

beforeAll(async () => {
  root = await temporaryDirectory()
  ledger = await openEmbeddedLedger(join(root, 'data'))
  verifier = new RepeatedVerifier()
  for (let batch = 0; batch < 15; batch++) {
    const events = Array.from({ length: 24 }, (_, i) => mixedEvent(batch * 24 + i))
    await ledger.sequencer.append('main', events)
    await ledger.sequencer.publishCheckpoints()
  }
  const erased = ledger.keyring.subjectKeyId('main', JSON.stringify(['sub', '', 'u-erased']))
  await ledger.keyring.destroyKeys('main', [erased])
  const matches = Array.from({ length: 360 }, (_, i) => i).filter((i) => i > 20 && i % 4 !== 3)
  const erasure: Erasure = {
    id: 'e1',
    actor: 'operator',
    requestedAt: '2026-11-24T12:00:00.000000000Z',
    request: {
      logId: 'main',
      action: 'erase',
      ground: 'consent_withdrawn',
      keyIds: [erased],
      leaves: [],
      events: 9,
    },
    completed: { at: '2026-11-24T12:00:01.000000000Z', leafIndex: 300 },
  }
  large = await writeBundle(ledger, join(root, 'large'), matches, undefined, [erasure])
  small = await writeBundle(ledger, join(root, 'small'), [33, 34, 37, 39, 40])
  other = await writeBundle(ledger, join(root, 'other'), [33, 34, 37, 39, 41])
  copy = join(root, 'copy')
  await cp(small.directory, copy, { recursive: true })
  return async () => {
    await verifier.close()
    await ledger.close()
    await rm(root, { recursive: true, force: true })
  }
})

afterAll(() => {
  expect(ledger.errors).toEqual([])
})

const evidence = () => small.files.filter((name) => !notEvidence.includes(name))
const check = (vkey = small.vkey) =>
  verifier.verify(join(small.directory, 'verify.mjs'), vkey, copy)

/** Runs `use` while one file of the copy has other content (undefined: is gone), then puts it back. */
async function withContent<T>(
  name: string,
  content: Uint8Array | undefined,
  use: () => Promise<T>,
): Promise<T> {
  const path = join(copy, name)
  if (content === undefined) await rm(path)
  else await writeFile(path, content)
  try {
    return await use()
  } finally {
    await cp(join(small.directory, name), path)
  }
}

/** The manifest as a forger would make it: hashes and sizes fit what the copy holds now. */
async function forgedManifest(more: Readonly<Record<string, Uint8Array>> = {}): Promise<Buffer> {
  const manifest: unknown = JSON.parse(
    await readFile(join(small.directory, 'manifest.json'), 'utf8'),
  )
  const files = []
  for (const name of [...evidence().filter((each) => each !== 'manifest.json')]) {
    files.push(describeFile(name, more[name] ?? (await readFile(join(small.directory, name)))))
  }
  for (const [name, bytes] of Object.entries(more)) {
    if (!files.some((file) => file.name === name)) files.push(describeFile(name, bytes))
  }
  const forged = { ...(typeof manifest === 'object' ? manifest : {}), files }
  return Buffer.from(`${canonicalJson(forged)}\n`)
}

function describeFile(name: string, bytes: Uint8Array) {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return { name, sha256, sizeBytes: bytes.length }
}

describe('a bundle that nobody touched', () => {
  test('verifies, with erased events and hostile texts among its rows', async () => {
    const verdict = verifyBundle(large.directory, large.vkey)
    expect(verdict).toEqual({
      code: 0,
      said: expect.stringContaining(`OK: ${large.rows} rows, leaves 21 to 358 of `),
    })
    expect(verdict.said).toMatch(
      /\n[1-9]\d* rows erased by leaf 300, complete on 2026-11-24: consent_withdrawn\.\n/,
    )
    expect(large.rows).toBe(254)
    const rows = (await readFile(join(large.directory, 'events.ndjson'), 'utf8')).split('\n')
    const erased = rows.filter((row) => row.includes('"request.id":"r-37"'))
    expect(erased).toHaveLength(1)
    expect(erased[0]).not.toContain('u-erased')
    expect(rows.filter((row) => row.includes('"__proto__"')).length).toBeGreaterThan(50)
  })

  test('verifies where groups are withheld, and holds nothing of them', async () => {
    const bundle = await writeBundle(
      ledger,
      join(root, 'withheld'),
      [31, 32, 34, 37, 40],
      new Set(['identity', 'addresses']),
    )
    const verdict = verifyBundle(bundle.directory, bundle.vkey)
    expect(verdict).toEqual({
      code: 0,
      said: expect.stringMatching(/\n[1-9]\d* sealed groups of these rows are not opened/),
    })
    const leaves = await readFile(join(bundle.directory, 'leaves.ndjson'), 'utf8')
    const rows = await readFile(join(bundle.directory, 'events.ndjson'), 'utf8')
    for (const text of [leaves, rows]) expect(text).not.toContain('gen_ai.tool.call.arguments')
    expect(rows).toContain('"user.id":"u-1"')
    expect(rows).not.toContain('error.message')
  })

  test('verifies when nothing matches, and when one leaf does', async () => {
    for (const matches of [[], [0], [359]]) {
      const bundle = await writeBundle(ledger, join(root, `few-${matches.join()}`), matches)
      expect(verifyBundle(bundle.directory, bundle.vkey)).toMatchObject({ code: 0 })
      expect(bundle.rows).toBe(matches.length)
    }
  })

  test('leaves that do not match stand in it as hashes only', async () => {
    const text = await readFile(join(large.directory, 'leaves.ndjson'), 'utf8')
    const lines = text.split('\n').slice(0, -1)
    expect(lines).toHaveLength(338)
    expect(lines.filter((line) => !line.includes('"leaf":'))).toHaveLength(338 - large.rows)
    expect(text).not.toContain('"r-23"')
  })

  test('is refused with another key, and with a malformed one', async () => {
    const foreign = await openEmbeddedLedger(join(root, 'foreign'))
    const foreignKey = await foreign.signer.verifierKey('main')
    await foreign.close()
    const systemKey = await ledger.signer.verifierKey('_system')
    for (const key of [foreignKey, systemKey, 'x', small.vkey.slice(0, -1), `${small.vkey} `]) {
      expect(verifyBundle(small.directory, key)).toMatchObject({
        code: 1,
        said: expect.stringContaining('REFUSED'),
      })
    }
  })

  test('a disk that refuses a file ends the export with an error', async () => {
    const directory = join(root, 'blocked')
    await mkdir(join(directory, 'events.csv'), { recursive: true })
    await expect(writeBundle(ledger, directory, [1, 2])).rejects.toThrow(/EISDIR/)
  })
})

describe('a bundle that was altered', () => {
  test('one changed byte of any file is refused, and the file is named', async () => {
    const random = seeded(11)
    let runs = 0
    for (const name of evidence()) {
      const original = await readFile(join(small.directory, name))
      const positions =
        original.length <= 400
          ? original.keys()
          : Array.from({ length: 60 }, () => Math.floor(random() * original.length))
      for (const at of positions) {
        const altered = Buffer.from(original)
        altered[at] = (altered[at] ?? 0) ^ (1 << Math.floor(random() * 8))
        const verdict = await withContent(name, altered, check)
        runs++
        expect(verdict, `${name}, byte ${at}: ${verdict.said}`).toMatchObject({ code: 1 })
        expect(verdict.said).toContain('REFUSED: ')
        // An altered manifest may name another file than itself: the two contradict each other.
        if (name !== 'manifest.json') expect(verdict.said).toContain(name)
      }
    }
    expect(runs).toBeGreaterThan(800)
    expect(await check()).toMatchObject({ code: 0 })
  }, 60_000)

  test('one changed byte is refused also where the manifest was made to fit', async () => {
    const random = seeded(12)
    for (const name of evidence().filter((each) => each !== 'manifest.json')) {
      const original = await readFile(join(small.directory, name))
      for (let run = 0; run < 40; run++) {
        const altered = Buffer.from(original)
        const at = Math.floor(random() * original.length)
        altered[at] = (altered[at] ?? 0) ^ (1 << Math.floor(random() * 8))
        const manifest = await forgedManifest({ [name]: altered })
        const verdict = await withContent(name, altered, () =>
          withContent('manifest.json', manifest, check),
        )
        expect(verdict, `${name}, byte ${at}: ${verdict.said}`).toMatchObject({ code: 1 })
      }
    }
    // The forger's manifest of unaltered files is accepted: it was the files that were refused.
    expect(await withContent('manifest.json', await forgedManifest(), check)).toMatchObject({
      code: 0,
    })
  }, 60_000)

  test('a removed file is refused and named', async () => {
    for (const name of evidence()) {
      const verdict = await withContent(name, undefined, check)
      expect(verdict.code, name).toBe(1)
      expect(verdict.said).toContain(name)
    }
  })

  test('a file cut to half, doubled or emptied is refused and named', async () => {
    for (const name of evidence().filter((each) => each !== 'manifest.json')) {
      const original = await readFile(join(small.directory, name))
      const half = original.subarray(0, original.length >> 1)
      for (const content of [half, Buffer.concat([original, original]), Buffer.alloc(0)]) {
        const verdict = await withContent(name, content, check)
        expect(verdict.code, name).toBe(1)
        expect(verdict.said).toContain(name)
      }
    }
  })

  test('a stray file is refused and named, also where the manifest lists it', async () => {
    for (const name of ['stray.txt', 'events.csv.bak', '.hidden', 'proofs-33.extra']) {
      const path = join(copy, name)
      const bytes = Buffer.from('not evidence')
      await writeFile(path, bytes)
      const plain = await check()
      const listed = await withContent(
        'manifest.json',
        await forgedManifest({ [name]: bytes }),
        check,
      )
      await rm(path)
      for (const verdict of [plain, listed]) {
        expect(verdict.code, `${name}: ${verdict.said}`).toBe(1)
        expect(verdict.said).toContain(name)
      }
    }
  })

  test('two files that were swapped are refused', async () => {
    const names = evidence()
    for (const [i, name] of names.entries()) {
      const next = names[(i + 1) % names.length] ?? ''
      await rename(join(copy, name), join(copy, 'held'))
      await rename(join(copy, next), join(copy, name))
      await rename(join(copy, 'held'), join(copy, next))
      const verdict = await check()
      for (const each of [name, next]) await cp(join(small.directory, each), join(copy, each))
      expect(verdict.code, `${name} and ${next}`).toBe(1)
    }
  })

  test('each file of another true bundle of the same log is refused and named', async () => {
    for (const name of evidence().filter((each) => other.files.includes(each))) {
      const foreign = await readFile(join(other.directory, name))
      const own = await readFile(join(small.directory, name))
      if (foreign.equals(own)) continue
      const verdict = await withContent(name, foreign, check)
      expect(verdict.code, name).toBe(1)
      const forged = await forgedManifest({ [name]: foreign })
      if (name === 'manifest.json') continue
      expect(verdict.said).toContain(name)
      const fitted = await withContent(name, foreign, () =>
        withContent('manifest.json', forged, check),
      )
      expect(fitted.code, `${name} with a manifest that fits`).toBe(1)
    }
  })

  test('a symbolic link in the place of a file is refused', async () => {
    const { symlink } = await import('node:fs/promises')
    await rm(join(copy, 'events.csv'))
    await symlink(join(small.directory, 'events.csv'), join(copy, 'events.csv'))
    const verdict = await check()
    await rm(join(copy, 'events.csv'))
    await cp(join(small.directory, 'events.csv'), join(copy, 'events.csv'))
    expect(verdict).toMatchObject({ code: 1, said: expect.stringContaining('events.csv') })
  })
})

describe('a bundle that whoever holds the signing key made', () => {
  const again = async (name: string, alter: Parameters<typeof exportAgain>[2]) => {
    const directory = join(root, name)
    await cp(small.directory, directory, { recursive: true })
    await exportAgain(ledger, directory, alter)
    return verifyBundle(directory, small.vkey)
  }

  test('is accepted where nothing is wrong with it', async () => {
    expect(await again('again', {})).toMatchObject({ code: 0 })
  })

  test.each([
    ['of another log', { statement: { log: '_system' } }, 'another log'],
    ['that leaves the CSV out', { statement: { files: [] } }, 'commits to other files'],
    [
      'with a row outside its range',
      { statement: { until: '2026-11-24T11:33:00.000000000Z' } },
      'outside the time range',
    ],
    [
      'that calls rows erased that are not',
      { statement: { erased: { rows: 2, by: [{ rows: 2 }] } } },
      'more rows erased than are closed',
    ],
    ['with fewer rows than it states', { statement: { rows: 6 } }, 'another number of rows'],
    ['of a source', { event: { 'source.id': 'gateway' } }, 'commits to another statement'],
    [
      'that is no access',
      { event: { 'event.class': 'admin' as const } },
      'commits to another statement',
    ],
    [
      'with another commitment',
      { event: { 'admin.commitment': '0'.repeat(64) } },
      'commits to another statement',
    ],
    ['over another range of leaves', { statement: { firstLeaf: 32 } }, 'leaf 32 is missing'],
  ])('is refused when it is an export %s', async (name, alter, said) => {
    expect(await again(name, alter)).toEqual({ code: 1, said: expect.stringContaining(said) })
  })
})

describe('the CSV', () => {
  test('no cell begins like a formula, in any line of it, and nothing else is lost', async () => {
    const csv = await readFile(join(large.directory, 'events.csv'), 'utf8')
    const table = parseCsv(csv)
    const [header = [], ...rows] = table
    expect(rows).toHaveLength(large.rows)
    expect(new Set(rows.map((row) => row.length))).toEqual(new Set([header.length]))
    for (const row of rows) {
      for (const cell of row) {
        for (const line of cell.split(/\r\n|\n|\r/)) {
          expect(line).not.toMatch(/^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/)
        }
      }
    }
    const column = header.indexOf('user.name')
    const seen = new Set(rows.map((row) => row[column]?.replaceAll(/^'|(?<=\n)'/g, '')))
    for (const text of hostileTexts) expect(seen).toContain(text)
  })
})

/** RFC 4180, written for this test. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  let cell = ''
  let quoted = false
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at)
    if (quoted) {
      if (char !== '"') cell += char
      else if (text[at + 1] === '"') cell += text[++at]
      else quoted = false
    } else if (char === '"') quoted = true
    else if (char === ',') {
      row.push(cell)
      cell = ''
    } else if (char === '\r' && text[at + 1] === '\n') {
      rows.push([...row, cell])
      row = []
      cell = ''
      at++
    } else cell += char
  }
  return rows
}
