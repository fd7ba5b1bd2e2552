import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { type DurableFiles, nodeFiles } from '../../ledger/durable-file.ts'
import { openFileStorage } from '../../ledger/storage/file-storage.ts'
import { ImmudbDouble, openImmudbStorage } from '../conformance/immudb-double.ts'
import { aNote, aSegment, describeLedgerStorage } from '../conformance/ledger-storage.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'

const made: string[] = []
async function directory(): Promise<string> {
  const path = await temporaryDirectory()
  made.push(path)
  return path
}
afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

describeLedgerStorage('files', async () => {
  const path = await directory()
  return () => openFileStorage(path)
})
describeLedgerStorage('files, rotated at every turn', async () => {
  const path = await directory()
  return () => openFileStorage(path, { rotateBytes: 1 })
})
describeLedgerStorage("a double with immudb's semantics", async () => {
  const database = new ImmudbDouble()
  return async () => {
    const storage = openImmudbStorage(database)
    // A server knows its logs from elsewhere; the contract does not say how.
    return storage
  }
})

describe('the files', () => {
  const segmentsFile = (path: string) => join(path, 'main/segments/00000000.log')

  async function written(): Promise<string> {
    const path = await directory()
    const storage = await openFileStorage(path)
    for (const segment of [aSegment(0, 2), aSegment(2, 2), aSegment(4, 2)])
      await storage.appendSegment('main', segment)
    await storage.close()
    return path
  }

  test('a last frame that is torn at any byte is cut, and what was acknowledged before it stays', async () => {
    const path = await written()
    const whole = readFileSync(segmentsFile(path))
    const lastFrame = whole.length / 3
    for (let length = Math.round(lastFrame * 2) + 1; length < whole.length; length += 7) {
      const repairs: string[] = []
      writeFileSync(segmentsFile(path), whole.subarray(0, length))
      const storage = await openFileStorage(path, { onTear: (message) => repairs.push(message) })
      expect([length, await storage.size('main')]).toEqual([length, 4])
      expect(repairs).toHaveLength(1)
      await storage.close()
    }
  })

  test('damage anywhere before the last frame refuses to open, naming file and byte', async () => {
    const path = await written()
    const whole = readFileSync(segmentsFile(path))
    for (let at = 0; at < Math.floor((whole.length / 3) * 2); at += 23) {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ 0x40
      writeFileSync(segmentsFile(path), bytes)
      await expect(openFileStorage(path), `byte ${at}`).rejects.toMatchObject({
        code: 'LEDGER_CORRUPT',
        message: expect.stringMatching(/00000000\.log at byte \d+|segment/),
      })
    }
  })

  test('zeros behind the last frame, as some file systems leave them, are a torn write', async () => {
    const path = await written()
    appendFileSync(segmentsFile(path), Buffer.alloc(100))
    const storage = await openFileStorage(path)
    expect(await storage.size('main')).toBe(6)
    await storage.close()
  })

  test('a last frame of which any page is missing is cut, whatever else of it reached the disk', async () => {
    const path = await directory()
    const storage = await openFileStorage(path)
    await storage.appendSegment('main', aSegment(0, 2))
    const kept = readFileSync(segmentsFile(path)).length
    // Bytes that no compression makes fewer pages of.
    const leaves = Array.from({ length: 2000 }, () => randomBytes(40))
    await storage.appendSegment('main', { ...aSegment(2, 2000), leaves })
    await storage.close()
    const whole = readFileSync(segmentsFile(path))
    // The page that the frame shares with the one before it is rewritten in place; the others are new.
    const pages = [kept, ...Array.from({ length: 8 }, (_, i) => 4096 * (i + 1))].filter(
      (at) => at >= kept && at < whole.length,
    )
    expect(pages.length).toBeGreaterThan(3)
    for (const at of pages) {
      const until = Math.min(whole.length, (Math.floor(at / 4096) + 1) * 4096)
      writeFileSync(segmentsFile(path), Buffer.from(whole).fill(0, at, until))
      const again = await openFileStorage(path)
      expect([at, await again.size('main')]).toEqual([at, 2])
      await again.close()
      expect(readFileSync(segmentsFile(path))).toHaveLength(kept)
    }
  })

  test('frames that wait together are synced one by one: a torn one never stands before a whole one', async () => {
    const path = await directory()
    const done: string[] = []
    const files: DurableFiles = {
      ...nodeFiles,
      write: (...args) => {
        done.push('write')
        return nodeFiles.write(...args)
      },
      sync: async (handle) => {
        await nodeFiles.sync(handle)
        done.push('sync')
      },
    }
    const storage = await openFileStorage(path, { files })
    await Promise.all([0, 1, 2].map((from) => storage.appendSegment('main', aSegment(from, 1))))
    expect(done).toEqual(['write', 'sync', 'write', 'sync', 'write', 'sync'])
    await storage.close()
  })

  test('what a checkpoint covers is never taken for torn: it refuses to open, and stays as it is', async () => {
    const path = await written()
    const signed = await openFileStorage(path)
    await signed.writeCheckpoint('main', 6, aNote(6))
    await signed.close()
    const whole = readFileSync(segmentsFile(path))
    for (const bytes of [
      whole.subarray(0, whole.length - 5),
      Buffer.from(whole).fill(0, whole.length - 5),
      Buffer.from(whole).fill(0, Math.round((whole.length / 3) * 2)),
    ]) {
      writeFileSync(segmentsFile(path), bytes)
      for (const readOnly of [false, true]) {
        await expect(openFileStorage(path, { readOnly })).rejects.toMatchObject({
          code: 'LEDGER_CORRUPT',
          message: expect.stringMatching(/00000000\.log at byte \d+.*covers 6 leaves/),
        })
      }
      expect(readFileSync(segmentsFile(path)).equals(bytes)).toBe(true)
    }
  })

  test('opened for reading only it changes nothing: a torn end is left out, and nothing is made or taken', async () => {
    const path = await written()
    appendFileSync(segmentsFile(path), 'torn')
    const bytes = readFileSync(segmentsFile(path))
    const tears: string[] = []
    rmSync(join(path, 'main/checkpoints'), { recursive: true })
    const storage = await openFileStorage(path, {
      readOnly: true,
      onTear: (message) => tears.push(message),
    })
    expect(await storage.size('main')).toBe(6)
    expect(tears).toHaveLength(1)
    await expect(storage.appendSegment('main', aSegment(6, 1))).rejects.toMatchObject({
      code: 'LEDGER_UNAVAILABLE',
    })
    await storage.close()
    expect(readFileSync(segmentsFile(path)).equals(bytes)).toBe(true)
    expect(readdirSync(join(path, 'main'))).toEqual(['segments'])
    await expect(openFileStorage(join(path, 'nowhere'), { readOnly: true })).rejects.toThrow(
      'ENOENT',
    )
    expect(existsSync(join(path, 'nowhere'))).toBe(false)
  })

  test('checkpoints that do not grow, and bytes that are none, are named', async () => {
    const path = await written()
    const signed = await openFileStorage(path)
    for (const size of [2, 6]) await signed.writeCheckpoint('main', size, aNote(size))
    await signed.close()
    const file = join(path, 'main/checkpoints/00000000.log')
    const whole = readFileSync(file)
    const second = whole.indexOf('{"size":6}') - 8
    writeFileSync(file, Buffer.concat([whole.subarray(second), whole.subarray(0, second)]))
    await expect(openFileStorage(path)).rejects.toMatchObject({
      code: 'LEDGER_CORRUPT',
      message: 'log main: a checkpoint of size 2 stands behind one of size 6',
    })
  })

  test('the name of every directory that it makes is synced, from the first one on', async () => {
    const path = await directory()
    const synced: string[] = []
    const files: DurableFiles = {
      ...nodeFiles,
      syncDirectory: (name) => {
        synced.push(name)
        return nodeFiles.syncDirectory(name)
      },
    }
    const storage = await openFileStorage(join(path, 'data/ledger'), { files })
    await storage.appendSegment('main', aSegment(0, 1))
    for (const name of ['', 'data', 'data/ledger', 'data/ledger/main', 'data/ledger/main/segments'])
      expect(synced).toContain(join(path, name))
    await storage.close()
  })

  const faults: Record<string, Partial<DurableFiles>> = {
    'a sync that fails before its effect': { sync: async () => Promise.reject(new Error('EIO')) },
    'a sync that fails after its effect': {
      sync: async (handle) => {
        await nodeFiles.sync(handle)
        throw new Error('EIO')
      },
    },
    'a full disk': { write: async () => Promise.reject(new Error('ENOSPC')) },
    'a write that breaks off in the middle': {
      write: async (handle, bytes, position) => {
        await nodeFiles.write(handle, bytes.subarray(0, 10), position)
        throw new Error('EIO')
      },
    },
  }
  test.each(Object.entries(faults))(
    '%s is not acknowledged, nothing more is taken, and a new start finds all that was',
    async (_name, fault) => {
      const path = await written()
      let broken = false
      const files: DurableFiles = {
        ...nodeFiles,
        write: (...args) =>
          broken && fault.write !== undefined ? fault.write(...args) : nodeFiles.write(...args),
        sync: (...args) =>
          broken && fault.sync !== undefined ? fault.sync(...args) : nodeFiles.sync(...args),
      }
      const storage = await openFileStorage(path, { files })
      broken = true
      await expect(storage.appendSegment('main', aSegment(6, 1))).rejects.toMatchObject({
        code: 'LEDGER_UNAVAILABLE',
        retryable: false,
      })
      broken = false
      await expect(storage.appendSegment('main', aSegment(6, 1))).rejects.toThrow()
      await storage.close()
      const again = await openFileStorage(path)
      expect([6, 7]).toContain(await again.size('main'))
      await again.close()
    },
  )

  test('short writes are finished', async () => {
    const path = await directory()
    const files: DurableFiles = {
      ...nodeFiles,
      write: (handle, bytes, position) => nodeFiles.write(handle, bytes.subarray(0, 3), position),
    }
    const storage = await openFileStorage(path, { files })
    await storage.appendSegment('main', aSegment(0, 3))
    await storage.close()
    const again = await openFileStorage(path)
    expect(await again.size('main')).toBe(3)
    await again.close()
  })
})
