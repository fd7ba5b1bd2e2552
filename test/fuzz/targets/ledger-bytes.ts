import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { openEnvelope, sealEnvelope } from '../../../ingest/bus/envelope.ts'
import type { PackedBatch } from '../../../ingest/bus/event-bus.ts'
import { openPayload, sealPayload } from '../../../ledger/payloads/sealed-payload.ts'
import { decodeSegment, encodeSegment } from '../../../ledger/storage/segment-codec.ts'
import { fromUtf8Strict, utf8 } from '../../../schemas/bytes.ts'
import type { RecordedEvent } from '../../../schemas/event/event.ts'
import { canonicalJson } from '../../../schemas/leaf/canonical-json.ts'
import { groupSalt, LeafDraft } from '../../../schemas/leaf/leaf.ts'
import { openLeaf, parseLeaf, verifyOpening } from '../../../schemas/leaf/open-leaf.ts'
import { aToolCall } from '../../fixtures/embedded-ledger.ts'
import { decodedOr, ensure, type FuzzTarget } from '../fuzz-target.ts'
import { forgeEnvelope, forgePayload, fuzzTransportKey } from './forge.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0

/** Segments of the golden directory: frames of uint32 length, uint32 CRC, content. */
function goldenSegments(): Uint8Array[] {
  const file = readFileSync(
    new URL('../../golden/data/ledger/main/segments/00000000.log', import.meta.url),
  )
  const segments: Uint8Array[] = []
  for (let at = 0; at + 8 <= file.length; ) {
    const length = file.readUInt32BE(at)
    segments.push(file.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return segments
}

const segments = goldenSegments()
const decoded = segments.map(decodeSegment)

/** Kind 1: a header and, after the first newline, the entries; lengths are put right. Kind 0: the bytes as they are. */
function segmentBytes(input: Uint8Array): Uint8Array {
  const rest = Buffer.from(input.subarray(1))
  if (input[0] === 0) return rest
  const newline = rest.indexOf(0x0a)
  const header = newline < 0 ? rest : rest.subarray(0, newline)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(header.length)
  return Buffer.concat(
    [utf8('STSEG\0\x01'), length, header, newline < 0 ? '' : rest.subarray(newline + 1)].map(
      (part) => Buffer.from(part),
    ),
  )
}

function apart(bytes: Uint8Array): Uint8Array {
  const headerEnd = 11 + Buffer.from(bytes).readUInt32BE(7)
  return Buffer.concat([
    Uint8Array.of(1),
    bytes.subarray(11, headerEnd),
    utf8('\n'),
    bytes.subarray(headerEnd),
  ])
}

const segment: FuzzTarget = {
  name: 'segment',
  corpus: [
    ...segments.map((each) => Buffer.concat([Uint8Array.of(0), each])),
    ...segments.map(apart),
  ],
  dictionary: [
    ...[
      'STSEG\0\u0001',
      '"dedup"',
      '"mark"',
      '"requests"',
      '"eventIds"',
      '"positions"',
      '"nextIndex"',
    ],
    ...['"fromIndex"', '"rootAfter"', '"seq"', '\0\0\0\0'],
  ],
  check(input) {
    const result = decodedOr(() => decodeSegment(segmentBytes(input)))
    if ('refusal' in result) return result.refusal
    const { value } = result
    ensure(
      value.leaves.length === value.nextIndex - value.fromIndex,
      'the leaves are those counted',
    )
    const again = decodeSegment(encodeSegment(value))
    ensure(same(encodeSegment(again), encodeSegment(value)), 'what was decoded encodes to itself')
    return `${value.leaves.length} ${value.dedup.length} ${value.positions.length}`
  },
}

const leaf: FuzzTarget = {
  name: 'leaf',
  corpus: decoded.flatMap(({ leaves }) => leaves.slice(0, 4)).slice(0, 40),
  dictionary: [
    ...[
      '"leaf.v":1',
      '"leaf.v":2',
      '"leaf.commitments"',
      '"leaf.payload_sha256"',
      '"leaf.payload_bytes"',
    ],
    ...[
      '"identity"',
      '"arguments"',
      '"text"',
      '"event.id"',
      '"user.name"',
      '"event.class"',
      '"raw"',
    ],
  ],
  check(input) {
    const result = decodedOr(() => parseLeaf(input))
    if ('refusal' in result) return result.refusal
    const opened = decodedOr(() => openLeaf(result.value, []))
    if ('refusal' in opened) return `opened ${opened.refusal}`
    return Object.keys(result.value.commitments).join()
  },
}

const recorded: RecordedEvent = {
  ...aToolCall({ 'raw.record': '{"a":1}', 'error.message': 'no' }),
  'event.id': '019ab3c4-0000-7000-8000-000000000000',
  'log.id': 'main',
  'time.recorded': '2026-11-24T13:20:00.000000000Z',
}
const seed = Buffer.alloc(32, 3)
const draft = new LeafDraft(sha256, recorded, seed)
const parsedLeaf = parseLeaf(draft.encode(undefined))

/** The plaintext of one group as an attacker writes it; the first byte says which group. */
const opening: FuzzTarget = {
  name: 'opening',
  corpus: draft.openings.map(({ plaintext }, at) =>
    Buffer.concat([Uint8Array.of(at), utf8(plaintext)]),
  ),
  dictionary: ['"user.name"', '"event.id"', '"raw.record"', '"auth.scopes.granted"', '"log.id"'],
  check(input) {
    const group = draft.openings[(input[0] ?? 0) % draft.openings.length]?.group ?? 'identity'
    const text = decodedText(input.subarray(1))
    if (text === undefined) return 'no text'
    const made = { group, salt: groupSalt(sha256, seed, group), plaintext: text }
    const genuine = draft.openings.some((each) => each.group === group && each.plaintext === text)
    ensure(
      verifyOpening(sha256, parsedLeaf, made) === genuine,
      'only the opening that was committed to verifies',
    )
    const result = decodedOr(() => openLeaf(parsedLeaf, [made]))
    if ('refusal' in result) return `${group} ${result.refusal}`
    return `${group} ${Object.keys(result.value).length}`
  },
}

function decodedText(bytes: Uint8Array): string | undefined {
  try {
    return fromUtf8Strict(bytes)
  } catch {
    return undefined
  }
}

const sealingKey = { keyId: 'k-1', key: Buffer.alloc(32, 9) }
const sealed = (seedByte: number) =>
  sealPayload({
    key: sealingKey,
    seed: Buffer.alloc(32, seedByte),
    nonce: Buffer.alloc(12, seedByte),
    openings: draft.openings,
  })

/** First byte 0: the rest is the sealed payload. Else: the rest is what somebody who has the key sealed. */
const payload: FuzzTarget = {
  name: 'sealed-payload',
  corpus: [
    Buffer.concat([Uint8Array.of(0), sealed(1)]),
    Buffer.concat([Uint8Array.of(1, 0), seed, Uint8Array.of(0, 0, 0, 0, 2), utf8('{}')]),
    Buffer.concat([Uint8Array.of(1, 1), gzipSync('x').subarray(10)]),
  ],
  dictionary: ['\0\0\0\u0001', '\u0001', '{"user.name":"x"}'],
  check(input) {
    const bytes = input[0] === 0 ? input.subarray(1) : forgePayload(sealingKey, input.subarray(1))
    const result = decodedOr(() =>
      openPayload(bytes, (id) => (id === sealingKey.keyId ? sealingKey.key : undefined)),
    )
    if ('refusal' in result) return `${input[0] === 0} ${result.refusal}`
    if (result.value === 'destroyed') return 'destroyed'
    if (input[0] === 0) ensure(same(bytes, sealed(1)), 'only what was sealed opens')
    for (const each of result.value) ensure(each.salt.length === 32, 'each salt has 32 bytes')
    return `${input[0] === 0} ${result.value.map(({ group }) => group).join()}`
  },
}

const batch: PackedBatch = {
  version: 1,
  logId: 'main',
  sourceId: 'gateway',
  requestDigest: 'ab'.repeat(32),
  firstOrdinal: 0,
  requestCount: 2,
  events: [aToolCall(), aToolCall({ 'source.epoch': 'p', 'source.seq': 1 })],
  sentDigests: ['', 'cd'.repeat(32)],
}
const genuine = sealEnvelope(batch, fuzzTransportKey)

/** First byte 0: the rest is the message. 1: the JSON of a batch. Else: the body before it is unpacked. */
const envelope: FuzzTarget = {
  name: 'kafka-envelope',
  corpus: [
    Buffer.concat([Uint8Array.of(0), genuine]),
    Buffer.concat([Uint8Array.of(1), utf8(JSON.stringify(batch))]),
    Buffer.concat([Uint8Array.of(2), gzipSync(JSON.stringify(batch))]),
  ],
  dictionary: [
    ...[
      'STBE\u0001',
      '"version":1',
      '"logId"',
      '"events"',
      '"sentDigests"',
      '"firstOrdinal"',
      '"count"',
    ],
    ...['"requestCount"', '"sourceId"', '"event.class"', '"source.id"', '"record.disposition"'],
  ],
  check(input) {
    const rest = input.subarray(1)
    const kind = Math.min(2, input[0] ?? 0)
    const message =
      kind === 0
        ? rest
        : forgeEnvelope(kind === 1 ? gzipSync(rest, { level: 1 }) : rest, countIn(rest))
    const result = decodedOr(() => openEnvelope(message, () => [fuzzTransportKey]))
    if ('refusal' in result) return `${kind} ${result.refusal}`
    const { value } = result
    if (kind === 0) ensure(same(rest, genuine), 'only what was sealed opens')
    const again = openEnvelope(sealEnvelope(value, fuzzTransportKey), () => [fuzzTransportKey])
    ensure(
      JSON.stringify(again) === JSON.stringify(value),
      'what was opened seals and opens to itself',
    )
    canonicalJson({ events: value.events.length, from: value.firstOrdinal })
    return `${kind} ${value.events.length} ${value.sentDigests?.length}`
  },
}

function countIn(json: Uint8Array): number {
  try {
    const value: unknown = JSON.parse(Buffer.from(json).toString('utf8'))
    if (typeof value !== 'object' || value === null || !('events' in value)) return 1
    return Array.isArray(value.events) ? value.events.length : 1
  } catch {
    return 1
  }
}

export const ledgerByteTargets: readonly FuzzTarget[] = [segment, leaf, opening, payload, envelope]
