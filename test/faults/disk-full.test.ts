import { rmSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { openInProcessBus } from '../../ingest/bus/in-process-bus.ts'
import { diskRoom, stateOf } from '../../ledger/disk-room.ts'
import {
  appendSynced,
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
} from '../../ledger/durable-file.ts'
import { openFileKeyring } from '../../ledger/keyring/file-keyring.ts'
import { verifyLog } from '../../ledger/verify/verify-log.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { aBatch } from '../conformance/event-bus.ts'
import { aToolCall, openEmbeddedLedger } from '../fixtures/embedded-ledger.ts'

const directories: string[] = []
async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sealtrail-full-'))
  directories.push(path)
  return path
}
afterEach(() => {
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true })
})

function noRoom(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
}

/** A disk that is full from its nth write on, which still takes half of that one, until there is room. */
function fillingDisk(fullAt: number) {
  let writes = Number.NEGATIVE_INFINITY
  let full = false
  const files: DurableFiles = {
    ...nodeFiles,
    async write(handle, bytes, position) {
      writes++
      if (writes === fullAt) full = true
      if (!full) return nodeFiles.write(handle, bytes, position)
      if (writes > fullAt || bytes.length < 2) throw noRoom()
      return nodeFiles.write(handle, bytes.subarray(0, bytes.length >> 1), position)
    },
  }
  return {
    files,
    isFull: () => full,
    /** From now on writes count. */
    begin: () => {
      writes = 0
    },
    makeRoom: () => {
      full = false
      writes = Number.NEGATIVE_INFINITY
    },
  }
}

describe('a full disk', () => {
  test('keys are not called destroyed while the file still has them', async () => {
    const path = await directory()
    const masterKey = new Uint8Array(32).fill(7)
    const disk = fillingDisk(1)
    const keyring = await openFileKeyring(path, masterKey, disk.files)
    const { keyId } = keyring.sealingKey('main', 'alice', '2026-11-26')
    await keyring.sync()
    const inFile = async () => {
      const other = await openFileKeyring(path, masterKey, nodeFiles, true)
      return other.openingKey('main', keyId) !== undefined
    }
    const rootKeyId = keyring.subjectKeyId('main', 'alice')
    disk.begin()
    // The sequencer's observer asks first, and the erasure right after it.
    const asked = await Promise.allSettled([
      keyring.destroyKeys('main', [rootKeyId]),
      keyring.destroyKeys('main', [rootKeyId]),
    ])
    expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(keyring.destroyKeys('main', [rootKeyId])).rejects.toMatchObject({
      code: 'DISK_FULL',
    })
    expect(await inFile()).toBe(true)
    disk.makeRoom()
    await keyring.destroyKeys('main', [rootKeyId])
    expect(await inFile()).toBe(false)
    await keyring.close()
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'from write %i on: nothing is acknowledged, nothing is repaired, and with room it goes on and has each record once',
    async (fullAt) => {
      const path = await directory()
      const disk = fillingDisk(fullAt)
      const ledger = await openEmbeddedLedger(path, undefined, disk.files)
      disk.begin()
      const bus = openInProcessBus()
      const consumer = await bus.consume(ledger.sequencer.handle, [])
      const send = async (n: number): Promise<string> => {
        try {
          const position = await bus.publish(aBatch('main', n))
          await ledger.sequencer.waitForReceipt(position, 5000)
          return 'in'
        } catch (error) {
          if (!(error instanceof SealtrailError)) throw error
          expect(error.retryable).toBe(true)
          return error.code
        }
      }
      for (let n = 0; n < 4; n++) {
        const outcome = await send(n)
        await ledger.sequencer.publishCheckpoints()
        if (outcome === 'in') continue
        expect(outcome).toBe('DISK_FULL')
        // What was there can be read meanwhile.
        const size = await ledger.reader.size('main')
        if (size > 0) expect((await ledger.reader.readOne('main', size - 1))?.opened).toBe('full')
      }
      expect(disk.isFull()).toBe(true)
      disk.makeRoom()
      // The same requests again, as their senders do.
      for (let n = 0; n < 4; n++) {
        for (let tries = 0; (await send(n)) !== 'in'; tries++) {
          expect(tries).toBeLessThan(20)
          await sleep(100)
        }
      }
      await ledger.sequencer.publishCheckpoints()
      expect(await ledger.reader.size('main')).toBe(4)
      await consumer.stop()
      await bus.close()
      await ledger.close()

      const again = await openEmbeddedLedger(path)
      const steps = verifyLog({
        logId: 'main',
        storage: again.storage,
        payloads: again.payloads,
        keyring: again.keyring,
        verifierKey: await again.signer.verifierKey('main'),
        lastSigned: () => again.signer.lastSigned('main'),
      })
      let step = await steps.next()
      while (!step.done) step = await steps.next()
      expect(step.value).toMatchObject({ treeSize: 4, payloads: 4, firstProblem: undefined })
      expect((await again.signer.lastSigned('main'))?.size).toBe(4)
      await again.close()
    },
  )

  test('below the reserve records are refused, and what we append ourselves still goes in', async () => {
    let full = true
    const refusal = () =>
      full ? new SealtrailError('DISK_FULL', 'little is left', { retryable: true }) : undefined
    const ledger = await openEmbeddedLedger(await directory(), undefined, nodeFiles, refusal)
    const message = (n: number) => ({
      position: { topic: 't', incarnation: 'i', partition: 0, offset: String(n) },
      batch: aBatch('main', n),
    })
    await expect(ledger.sequencer.handle([message(0)])).rejects.toMatchObject({ code: 'DISK_FULL' })
    await ledger.sequencer.append('main', aBatch('main', 9).events)
    await ledger.sequencer.publishCheckpoints()
    expect((await ledger.signer.lastSigned('main'))?.size).toBe(1)
    full = false
    await ledger.sequencer.handle([message(0)])
    expect(await ledger.reader.size('main')).toBe(2)
    await ledger.close()
  })

  test('a sync that fails ends the sequencer, also below a checkpoint; nothing is acknowledged after it', async () => {
    for (const failing of [1, 2, 3, 4, 5]) {
      let syncs = -1_000_000
      const files: DurableFiles = {
        ...nodeFiles,
        async sync(handle) {
          if (++syncs === failing) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
          await nodeFiles.sync(handle)
        },
      }
      const ledger = await openEmbeddedLedger(await directory(), undefined, files)
      await ledger.sequencer.append('main', aBatch('main', 0).events)
      await ledger.sequencer.publishCheckpoints()
      // Keys, payloads, segment, what is signed, checkpoint.
      syncs = 0
      await ledger.sequencer
        .append('main', [aToolCall({ 'user.id': 'new' })])
        .catch(() => undefined)
      await ledger.sequencer.publishCheckpoints()
      expect((await ledger.sequencer.failed).message).toMatch(/EIO|must stop/)
      await expect(ledger.sequencer.append('main', aBatch('main', 2).events)).rejects.toMatchObject(
        { code: 'LEDGER_UNAVAILABLE' },
      )
      await ledger.close().catch(() => undefined)
    }
  })

  test('an append without room leaves the file as it was; a replaced file is the old one', async () => {
    const path = join(await directory(), 'file')
    await writeFile(path, 'before')
    const begun = () => {
      const disk = fillingDisk(1)
      disk.begin()
      return disk.files
    }
    const files = begun()
    const handle = await nodeFiles.open(path, 'r+', 0o600)
    await expect(
      appendSynced(files, handle, Buffer.from('more and more'), 6),
    ).rejects.toMatchObject({ code: 'DISK_FULL', retryable: true })
    await handle.close()
    expect(await readFile(path, 'utf8')).toBe('before')
    await expect(replaceFile(begun(), path, Buffer.from('another'))).rejects.toMatchObject({
      code: 'DISK_FULL',
    })
    expect(await readFile(path, 'utf8')).toBe('before')
    await expect(readFile(`${path}.tmp`)).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('is foretold: low, then full, in sizes from a memory card to an array', () => {
    const gib = 1024 ** 3
    for (const size of [gib / 16, gib, 100 * gib, 20_000 * gib]) {
      const at = (freeBytes: number) => stateOf(diskRoom(freeBytes, size))
      const { reserveBytes, lowBytes } = diskRoom(0, size)
      expect(reserveBytes).toBeLessThanOrEqual(256 * 1024 ** 2)
      expect([at(size), at(lowBytes - 1), at(reserveBytes - 1), at(0)]).toEqual([
        'ok',
        'low',
        'full',
        'full',
      ])
    }
    expect(stateOf(undefined)).toBe('ok')
  })
})

test('a directory that the kernel does not let be made is an error, not an endless loop', async () => {
  await expect(makeDirectory(nodeFiles, '/proc/sealtrail/data')).rejects.toThrow(/ENOENT|EACCES/)
})
