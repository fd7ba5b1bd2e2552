import { z } from 'zod'
import { concat, equal, fromHex, fromUtf8Strict, hex, utf8 } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { decodeEntryBundle, encodeEntryBundle } from '../../schemas/tlog/tiles.ts'
import type { DedupRecord, Segment } from '../segment.ts'

/**
 * Segment format v1:
 *
 * ```
 * "STSEG" 0x00 0x01      magic and version, 7 bytes
 * uint32 big-endian      length of the header
 * header                 RFC 8785 JSON {dedup, fromIndex, nextIndex, positions, rootAfter}
 * entries                leaves as in a C2SP tlog-tiles entry bundle: big-endian uint16 length, bytes
 * ```
 */
const magic = Uint8Array.of(0x53, 0x54, 0x53, 0x45, 0x47, 0x00, 0x01)

const index = z.int().nonnegative()
const Header = z.strictObject({
  fromIndex: index,
  nextIndex: index,
  rootAfter: z.string().regex(/^[0-9a-f]{64}$/),
  positions: z.array(
    z.strictObject({
      topic: z.string(),
      incarnation: z.string(),
      partition: z.int(),
      offset: z.string().regex(/^\d{1,20}$/),
    }),
  ),
  dedup: z.array(
    z.strictObject({
      sourceId: z.string(),
      mark: z
        .strictObject({
          epoch: z.string(),
          seq: z.int().nonnegative(),
          prev: z.string(),
          gaps: z.array(z.tuple([index, index])).exactOptional(),
        })
        .exactOptional(),
      requests: z.array(z.string()).exactOptional(),
      eventIds: z.array(z.string()).exactOptional(),
    }),
  ),
})

export function encodeSegment(segment: Segment): Uint8Array {
  const header: z.infer<typeof Header> = {
    fromIndex: segment.fromIndex,
    nextIndex: segment.nextIndex,
    rootAfter: hex(segment.rootAfter),
    positions: segment.positions.map((position) => ({ ...position })),
    dedup: segment.dedup.map((record) => ({
      sourceId: record.sourceId,
      ...(record.mark === undefined ? {} : { mark: encodeMark(record.mark) }),
      ...(record.requests === undefined ? {} : { requests: [...record.requests] }),
      ...(record.eventIds === undefined ? {} : { eventIds: [...record.eventIds] }),
    })),
  }
  const json = utf8(canonicalJson(header satisfies JsonValue))
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, json.length)
  return concat(magic, length, json, encodeEntryBundle(segment.leaves))
}

function encodeMark({ gaps, ...mark }: NonNullable<DedupRecord['mark']>) {
  return {
    ...mark,
    ...(gaps === undefined
      ? {}
      : { gaps: gaps.map(([from, until]): [number, number] => [from, until]) }),
  }
}

/** @throws SealtrailError `LEDGER_CORRUPT` */
export function decodeSegment(bytes: Uint8Array): Segment {
  try {
    if (!equal(bytes.subarray(0, magic.length), magic))
      throw new RangeError('unknown magic or version')
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const headerAt = magic.length + 4
    const headerEnd = headerAt + view.getUint32(magic.length)
    const header = Header.parse(JSON.parse(fromUtf8Strict(bytes.subarray(headerAt, headerEnd))))
    const count = header.nextIndex - header.fromIndex
    if (count < 1) throw new RangeError('a segment holds at least one leaf')
    return {
      version: 1,
      fromIndex: header.fromIndex,
      nextIndex: header.nextIndex,
      leaves: decodeEntryBundle(bytes.subarray(headerEnd), count),
      rootAfter: fromHex(header.rootAfter),
      positions: header.positions,
      dedup: header.dedup,
    }
  } catch (cause) {
    throw new SealtrailError('LEDGER_CORRUPT', 'a segment cannot be decoded', { cause })
  }
}
