import { createReadStream } from 'node:fs'
import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ArchivedFile, zipArchive } from '../../analytics/reports/zip-archive.ts'
import { openEmbeddedLedger } from '../fixtures/embedded-ledger.ts'
import { bytesOf, unzipInto, unzipped } from '../fixtures/unpacked-zip.ts'
import { mixedEvent, writeBundle } from './bundle-ledger.ts'
import { verifyBundle } from './bundle-verifier.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-zip-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A stream that counts what was taken from it. */
function counted(bytes: number, chunkBytes = 65_536) {
  let taken = 0
  const stream = new Readable({
    read() {
      const length = Math.min(chunkBytes, bytes - taken)
      taken += length
      // What cannot be compressed: else little output would hide how much was read.
      this.push(length === 0 ? null : crypto.getRandomValues(Buffer.alloc(length)))
    },
  })
  return { stream, taken: () => taken }
}

test('a bundle unpacks to the same bytes, and its own verifier accepts them', async () => {
  const ledger = await openEmbeddedLedger(join(folder, 'data'))
  try {
    await ledger.sequencer.append(
      'main',
      Array.from({ length: 30 }, (_, i) => mixedEvent(i)),
    )
    const written = await writeBundle(ledger, join(folder, 'bundle'), [2, 5, 7, 11])
    const files = written.files.map((name) => ({
      name,
      open: () => createReadStream(join(written.directory, name)),
    }))
    const archive = await buffer(zipArchive('evidence', files))
    expect(await unzipInto(folder, archive)).toEqual(
      written.files.map((name) => `evidence/${name}`),
    )
    for (const name of written.files) {
      const unpacked = await bytesOf(join(folder, 'evidence', name))
      expect([name, unpacked]).toEqual([name, await bytesOf(join(written.directory, name))])
    }
    expect(verifyBundle(join(folder, 'evidence'), written.vkey)).toMatchObject({ code: 0 })
    // Whenever it is packed, and whatever the files' times are.
    const first = written.files[0] ?? ''
    await utimes(join(written.directory, first), 1, 1)
    expect(Buffer.compare(await buffer(zipArchive('evidence', files)), archive)).toBe(0)
  } finally {
    await ledger.close()
  }
})

test('what nobody reads is not packed: memory does not grow with the bundle', async () => {
  const { stream, taken } = counted(64 * 1024 * 1024)
  const archive = zipArchive('evidence', [{ name: 'large', open: () => stream }])
  archive.once('readable', () => undefined)
  // As far as buffers go; then it waits for its reader.
  let before = -1
  while (taken() !== before) {
    before = taken()
    await sleep(100)
  }
  expect(taken()).toBeLessThan(4 * 1024 * 1024)
  const packed = await buffer(archive)
  expect(packed.length).toBeGreaterThan(64 * 1024 * 1024)
  expect((await unzipped(packed)).get('evidence/large')?.length).toBe(64 * 1024 * 1024)
})

test('files are opened one after the other, and a reader who leaves ends it', async () => {
  const opened: string[] = []
  const streams = new Map<string, Readable>()
  const files: ArchivedFile[] = ['a', 'b'].map((name) => ({
    name,
    open: () => {
      opened.push(name)
      const { stream } = counted(8 * 1024 * 1024)
      streams.set(name, stream)
      return stream
    },
  }))
  const archive = zipArchive('evidence', files)
  await new Promise((resolve) => archive.once('readable', resolve))
  archive.destroy()
  await expect.poll(() => streams.get('a')?.destroyed).toBe(true)
  expect(opened).toEqual(['a'])
})

test('a file that cannot be read breaks the archive off: half of one is never whole', async () => {
  const broken = [
    { name: 'good', open: () => Readable.from([Buffer.from('x')]) },
    { name: 'gone', open: () => createReadStream(join(folder, 'none')) },
  ]
  await expect(buffer(zipArchive('evidence', broken))).rejects.toThrow(/ENOENT/)
})
