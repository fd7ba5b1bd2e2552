import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { Segment, SegmentHeader } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { utf8 } from '../../schemas/bytes.ts'
import { formatCheckpoint } from '../../schemas/tlog/checkpoint.ts'

export function aSegment(fromIndex: number, count: number, mark = ''): Segment {
  return {
    version: 1,
    fromIndex,
    leaves: Array.from({ length: count }, (_, i) => utf8(`leaf ${fromIndex + i} ${mark}`)),
    nextIndex: fromIndex + count,
    rootAfter: sha256(utf8(`root ${fromIndex + count}`)),
    positions: [{ topic: 't', incarnation: 'i', partition: 0, offset: String(fromIndex) }],
    dedup: [
      {
        sourceId: 's',
        mark: { epoch: 'e', seq: fromIndex, prev: '' },
        requests: ['r:1'],
        eventIds: ['x'],
      },
    ],
  }
}

/** A note as a signer makes it, as far as storage looks at it. */
export function aNote(size: number, mark = 'A'): string {
  const root = sha256(utf8(`root ${size}`))
  return `${formatCheckpoint({ origin: 'test/main', size, root })}\n\u2014 test/main ${Buffer.from(mark.repeat(70)).toString('base64')}\n`
}

/** What every LedgerStorage must do. `open` opens the same data again each time within one test. */
export function describeLedgerStorage(
  name: string,
  prepare: () => Promise<() => Promise<LedgerStorage>>,
): void {
  describe(`LedgerStorage: ${name}`, () => {
    let open: () => Promise<LedgerStorage>
    let storage: LedgerStorage
    beforeEach(async () => {
      open = await prepare()
      storage = await open()
    })
    afterEach(() => storage.close())

    async function all(logId: string, from = 0): Promise<Segment[]> {
      const segments: Segment[] = []
      for await (const segment of storage.readSegments(logId, from)) segments.push(segment)
      return segments
    }

    test('an unknown log is empty', async () => {
      expect(await storage.size('main')).toBe(0)
      expect(await all('main')).toEqual([])
      expect(await storage.readSegment('main', 0)).toBeUndefined()
      expect(await storage.checkpointSizes('main')).toEqual([])
      expect(await storage.readCheckpoint('main', 1)).toBeUndefined()
      expect(await storage.logIds()).toEqual([])
    })

    test('what was appended is read back as it was, in order, from any index on', async () => {
      const segments = [aSegment(0, 3), aSegment(3, 1), aSegment(4, 260)]
      for (const segment of segments) await storage.appendSegment('main', segment)
      await storage.appendSegment('other', aSegment(0, 1, 'other'))
      expect(plain(await all('main'))).toEqual(plain(segments))
      expect((await all('main', 3)).map(({ fromIndex }) => fromIndex)).toEqual([3, 4])
      expect((await all('main', 100)).map(({ fromIndex }) => fromIndex)).toEqual([4])
      expect(await all('main', 264)).toEqual([])
      expect(plain([(await storage.readSegment('main', 3)) ?? aSegment(9, 1)])).toEqual(
        plain([aSegment(3, 1)]),
      )
      expect(await storage.readSegment('main', 1)).toBeUndefined()
      const headers: SegmentHeader[] = []
      for await (const header of storage.readHeaders('main')) headers.push(header)
      expect(plain(headers.map((header) => ({ ...header, leaves: [] })))).toEqual(
        plain(segments.map((segment) => ({ ...segment, leaves: [] }))),
      )
      expect(await storage.size('main')).toBe(264)
      expect(await storage.logIds()).toEqual(['main', 'other'])
    })

    test('an index is written once: whoever comes second has lost, and left nothing', async () => {
      await storage.appendSegment('main', aSegment(0, 2, 'first'))
      await expect(storage.appendSegment('main', aSegment(0, 2, 'second'))).rejects.toMatchObject({
        code: 'LEDGER_CONFLICT',
      })
      await expect(storage.appendSegment('main', aSegment(5, 1))).rejects.toMatchObject({
        code: 'LEDGER_CONFLICT',
      })
      expect(plain(await all('main'))).toEqual(plain([aSegment(0, 2, 'first')]))
    })

    test('a hundred writers at one index: one winner', async () => {
      const tries = await Promise.allSettled(
        Array.from({ length: 100 }, (_, i) =>
          storage.appendSegment('main', aSegment(0, 1, `writer ${i}`)),
        ),
      )
      const winners = tries.flatMap((each, i) => (each.status === 'fulfilled' ? [i] : []))
      expect(winners).toHaveLength(1)
      expect(plain(await all('main'))).toEqual(plain([aSegment(0, 1, `writer ${winners[0]}`)]))
      for (const each of tries)
        if (each.status === 'rejected')
          expect(each.reason).toMatchObject({ code: 'LEDGER_CONFLICT' })
    })

    test('everything is there when it is opened again', async () => {
      await storage.appendSegment('main', aSegment(0, 2))
      await storage.writeCheckpoint('main', 2, aNote(2))
      await storage.appendSegment('main', aSegment(2, 2))
      await storage.close()
      storage = await open()
      expect(plain(await all('main'))).toEqual(plain([aSegment(0, 2), aSegment(2, 2)]))
      expect(await storage.readCheckpoint('main', 2)).toBe(aNote(2))
      await storage.appendSegment('main', aSegment(4, 1))
      expect(await storage.size('main')).toBe(5)
    })

    test('a checkpoint is written once a size; the same again is no change', async () => {
      await storage.appendSegment('main', aSegment(0, 4))
      await storage.writeCheckpoint('main', 2, aNote(2))
      await storage.writeCheckpoint('main', 2, aNote(2))
      await expect(storage.writeCheckpoint('main', 2, aNote(2, 'B'))).rejects.toMatchObject({
        code: 'LEDGER_CONFLICT',
      })
      await storage.writeCheckpoint('main', 4, aNote(4))
      expect(await storage.checkpointSizes('main')).toEqual([2, 4])
      expect(await storage.readCheckpoint('main', 2)).toBe(aNote(2))
    })

    test('a segment of eight megabytes is one commit', async () => {
      const leaf = new Uint8Array(8192).fill(0x61)
      const large = {
        ...aSegment(0, 1),
        leaves: Array.from({ length: 1000 }, () => leaf),
        nextIndex: 1000,
      }
      await storage.appendSegment('main', large)
      expect((await all('main'))[0]?.leaves).toHaveLength(1000)
    })
  })
}

/** Bytes as plain arrays of text: Buffers and Uint8Arrays of the same content are the same. */
function plain(segments: readonly Segment[]): unknown {
  return segments.map(({ leaves, rootAfter, ...rest }) => ({
    ...rest,
    leaves: leaves.map((leaf) => Buffer.from(leaf).toString()),
    rootAfter: Buffer.from(rootAfter).toString('hex'),
  }))
}
