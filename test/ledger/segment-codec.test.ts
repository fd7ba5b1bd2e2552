import { brotliCompressSync, constants } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Segment } from '../../ledger/segment.ts'
import { sha256 } from '../../ledger/sha256.ts'
import {
  compressSegment,
  decodeSegment,
  decodeSegmentHeader,
  encodeSegment,
} from '../../ledger/storage/segment-codec.ts'
import { utf8 } from '../../schemas/bytes.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'

function aSegment(leaves: number): Segment {
  return {
    version: 1,
    fromIndex: 7,
    nextIndex: 7 + leaves,
    leaves: Array.from({ length: leaves }, (_, i) =>
      utf8(`{"event.class":"tool_call","leaf.v":1,"n":${i},"tool":"${'read_file '.repeat(20)}"}`),
    ),
    rootAfter: sha256(utf8('root')),
    positions: [{ topic: 't', incarnation: 'i', partition: 0, offset: '9' }],
    dedup: [{ sourceId: 's', mark: { epoch: 'e', seq: 3, prev: '' }, requests: ['d:3'] }],
  }
}

interface Parts {
  readonly version: number
  readonly entries: Uint8Array
  readonly entriesBytes: unknown
  readonly nextIndex: unknown
}

/** A version 2 segment, put together again with other parts. */
function changed(
  bytes: Uint8Array,
  change: Partial<Parts> | ((parts: Parts) => Partial<Parts>),
): Uint8Array {
  const buffer = Buffer.from(bytes)
  const until = 11 + buffer.readUInt32BE(7)
  const header: Record<string, unknown> = JSON.parse(buffer.toString('utf8', 11, until))
  const parts: Parts = {
    version: buffer.readUInt8(6),
    entries: buffer.subarray(until),
    entriesBytes: header.entriesBytes,
    nextIndex: header.nextIndex,
  }
  const { version, entries, ...rest } = {
    ...parts,
    ...(typeof change === 'function' ? change(parts) : change),
  }
  const json = Buffer.from(JSON.stringify({ ...header, ...rest }))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([buffer.subarray(0, 6), Uint8Array.of(version), length, json, entries])
}

const fast = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }

describe('segments', () => {
  test('both versions are read back as they were written, with and without leaves', async () => {
    for (const leaves of [1, 100]) {
      const segment = aSegment(leaves)
      const { leaves: _, ...header } = segment
      for (const bytes of [encodeSegment(segment), await compressSegment(segment)]) {
        const decoded = decodeSegment(bytes)
        expect(
          canonicalJson({ leaves: decoded.leaves.map((leaf) => Buffer.from(leaf).toString()) }),
        ).toBe(
          canonicalJson({ leaves: segment.leaves.map((leaf) => Buffer.from(leaf).toString()) }),
        )
        expect({ ...decoded, leaves: [], rootAfter: [...decoded.rootAfter] }).toEqual({
          ...segment,
          leaves: [],
          rootAfter: [...segment.rootAfter],
        })
        expect({ ...decodeSegmentHeader(bytes), rootAfter: [] }).toEqual({
          ...header,
          rootAfter: [],
        })
      }
    }
  })

  test('what is small stays as it is, what is large is compressed', async () => {
    expect(await compressSegment(aSegment(2))).toEqual(encodeSegment(aSegment(2)))
    const large = aSegment(100)
    const compressed = await compressSegment(large)
    expect(compressed[6]).toBe(2)
    expect(compressed.length).toBeLessThan(encodeSegment(large).length / 4)
  })

  test.each<[string, Partial<Parts> | ((parts: Parts) => Partial<Parts>)]>([
    ['an unknown version', { version: 3 }],
    ['version 1 with a length', { version: 1 }],
    ['version 2 without a length', { entriesBytes: undefined }],
    ['a stream that is cut', ({ entries }) => ({ entries: entries.subarray(0, -9) })],
    ['a length that is too short', { entriesBytes: 5000 }],
    ['a length that is too long', { entriesBytes: 1_000_000 }],
    ['a length beyond all bounds', { entriesBytes: 2 ** 40 }],
    ['a stream of other leaves', { entries: brotliCompressSync(utf8('no')) }],
    [
      'a stream that unpacks to more than it says',
      { entries: brotliCompressSync(new Uint8Array(32 * 1024 * 1024), fast) },
    ],
    ['one leaf more than there is', { nextIndex: 108 }],
  ])('%s is damage', async (_, change) => {
    const bytes = await compressSegment(aSegment(100))
    expect(() => decodeSegment(changed(bytes, {}))).not.toThrow()
    expect(() => decodeSegment(changed(bytes, change))).toThrow(
      expect.objectContaining({ code: 'LEDGER_CORRUPT' }),
    )
  })
})
