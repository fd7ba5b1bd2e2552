import { promisify } from 'node:util'
import {
  type BrotliOptions,
  brotliCompress,
  brotliDecompress,
  brotliDecompressSync,
  constants,
} from 'node:zlib'
import { z } from 'zod'
import { concat, equal, fromHex, fromUtf8Strict, hex, utf8 } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { decodeEntryBundle, encodeEntryBundle } from '../../schemas/tlog/tiles.ts'
import type { DedupRecord, Segment, SegmentHeader } from '../segment.ts'

/**
 * Segment formats:
 *
 * ```
 * "STSEG" 0x00 version   magic and version, 7 bytes
 * uint32 big-endian      length of the header
 * header                 RFC 8785 JSON {dedup, fromIndex, nextIndex, positions, rootAfter}
 * entries                leaves as in a C2SP tlog-tiles entry bundle: big-endian uint16 length, bytes
 * ```
 *
 * In version 1 the entries stand as they are. In version 2 they are one Brotli stream (RFC 7932), and the header has
 * their length before compression as `entriesBytes`.
 */
const magic = Uint8Array.of(0x53, 0x54, 0x53, 0x45, 0x47, 0x00)
const headerLengthAt = magic.length + 1
const headerAt = headerLengthAt + 4

/** Fewer bytes are not worth the compressor's start. */
const compressAboveBytes = 4096
/** What a decoder accepts: more than the largest segment that a sequencer commits, and than a frame holds. */
const maxEntriesBytes = 64 * 1024 * 1024
const brotli = promisify<Uint8Array, BrotliOptions, Buffer>(brotliCompress)
const unbrotli = promisify<Uint8Array, BrotliOptions, Buffer>(brotliDecompress)
const brotliOptions: BrotliOptions = {
  params: {
    // Leaves of 1.2 KB become 250 bytes in 5 microseconds; better levels cost far more than they gain.
    [constants.BROTLI_PARAM_QUALITY]: 1,
    [constants.BROTLI_PARAM_LGWIN]: 18,
  },
}

const index = z.int().nonnegative()
const Header = z.strictObject({
  entriesBytes: index.max(maxEntriesBytes).exactOptional(),
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

/** Version 1. */
export function encodeSegment(segment: Segment): Uint8Array {
  return encode(1, segment, encodeEntryBundle(segment.leaves))
}

/** Version 2, compressed on another thread; version 1 for what is small. */
export async function compressSegment(segment: Segment): Promise<Uint8Array> {
  const entries = encodeEntryBundle(segment.leaves)
  if (entries.length <= compressAboveBytes) return encode(1, segment, entries)
  return encode(2, segment, await brotli(entries, brotliOptions), entries.length)
}

function encode(
  version: 1 | 2,
  segment: Segment,
  entries: Uint8Array,
  entriesBytes?: number,
): Uint8Array {
  const header: z.infer<typeof Header> = {
    ...(entriesBytes === undefined ? {} : { entriesBytes }),
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
  return concat(magic, Uint8Array.of(version), length, json, entries)
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
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader {
  return decoding(() => readHeader(bytes).header)
}

/** @throws SealtrailError `LEDGER_CORRUPT` */
export function decodeSegment(bytes: Uint8Array): Segment {
  return decoding(() => {
    const { header, headerEnd, entriesBytes } = readHeader(bytes)
    const stored = bytes.subarray(headerEnd)
    const entries = entriesBytes === undefined ? stored : unpack(stored, entriesBytes)
    return { ...header, leaves: decodeEntryBundle(entries, header.nextIndex - header.fromIndex) }
  })
}

/** Same; what is compressed is unpacked on another thread. @throws SealtrailError `LEDGER_CORRUPT` */
export async function unpackSegment(bytes: Uint8Array): Promise<Segment> {
  const { header, headerEnd, entriesBytes } = decoding(() => readHeader(bytes))
  if (entriesBytes === undefined) return decodeSegment(bytes)
  const options = { maxOutputLength: Math.max(1, entriesBytes) }
  const entries = await unbrotli(bytes.subarray(headerEnd), options).catch((cause: unknown) => {
    throw new SealtrailError('LEDGER_CORRUPT', 'a segment cannot be decoded', { cause })
  })
  return decoding(() => {
    checkLength(entries, entriesBytes)
    return { ...header, leaves: decodeEntryBundle(entries, header.nextIndex - header.fromIndex) }
  })
}

function decoding<T>(decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw new SealtrailError('LEDGER_CORRUPT', 'a segment cannot be decoded', { cause })
  }
}

function readHeader(bytes: Uint8Array): {
  header: SegmentHeader
  headerEnd: number
  entriesBytes: number | undefined
} {
  const version = bytes[magic.length]
  if (!equal(bytes.subarray(0, magic.length), magic) || (version !== 1 && version !== 2))
    throw new RangeError('unknown magic or version')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const headerEnd = headerAt + view.getUint32(headerLengthAt)
  const { entriesBytes, rootAfter, ...header } = Header.parse(
    JSON.parse(fromUtf8Strict(bytes.subarray(headerAt, headerEnd))),
  )
  if (header.nextIndex <= header.fromIndex)
    throw new RangeError('a segment holds at least one leaf')
  if ((version === 2) !== (entriesBytes !== undefined))
    throw new RangeError('the header is that of another version')
  return {
    header: { version: 1, ...header, rootAfter: fromHex(rootAfter) },
    headerEnd,
    entriesBytes,
  }
}

function unpack(stored: Uint8Array, entriesBytes: number): Uint8Array {
  const entries = brotliDecompressSync(stored, { maxOutputLength: Math.max(1, entriesBytes) })
  checkLength(entries, entriesBytes)
  return entries
}

function checkLength(entries: Uint8Array, entriesBytes: number): void {
  if (entries.length !== entriesBytes) throw new RangeError('the entries have another length')
}
