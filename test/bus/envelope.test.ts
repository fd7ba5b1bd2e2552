import {
  createCipheriv,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
} from 'node:crypto'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { maxBatchJsonBytes, openEnvelope, sealEnvelope } from '../../ingest/bus/envelope.ts'
import type { PackedBatch } from '../../ingest/bus/event-bus.ts'
import type { TransportKey } from '../../ledger/keyring.ts'
import { hex } from '../../schemas/bytes.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'
import { aToolCall } from '../fixtures/embedded-ledger.ts'

function transportKey(id = 'k1'): TransportKey {
  const pair = generateKeyPairSync('x25519')
  return {
    id,
    publicKey: pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
    privateKey: pair.privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32),
  }
}

const key = transportKey()
const keysOf = () => [transportKey('k0'), key]

function aBatch(changes: Partial<PackedBatch> = {}): PackedBatch {
  return {
    version: 1,
    logId: 'main',
    sourceId: 'gateway',
    requestDigest: 'ab'.repeat(32),
    firstOrdinal: 0,
    requestCount: 1,
    events: [aToolCall()],
    ...changes,
  }
}

function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof Error && 'code' in error) return `${error.code}: ${error.message}`
    throw error
  }
  return 'opened'
}

/** An envelope as a holder of the public key could make it, with any header, body or additional data. */
function forge(body: Uint8Array, header: Record<string, string | number> = {}): Uint8Array {
  const pair = generateKeyPairSync('x25519')
  const ephemeral = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  const text = canonicalJson({
    count: 1,
    ephemeral: hex(ephemeral),
    key: key.id,
    log: 'main',
    ...header,
  })
  const length = Buffer.alloc(2)
  length.writeUInt16BE(Buffer.byteLength(text))
  const additional = Buffer.concat([Buffer.from('STBE\x01'), length, Buffer.from(text)])
  const spki = Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), key.publicKey])
  const secret = diffieHellman({
    privateKey: pair.privateKey,
    publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }),
  })
  const derived = Buffer.from(
    hkdfSync(
      'sha256',
      secret,
      Buffer.concat([ephemeral, key.publicKey]),
      Buffer.concat([Buffer.from('sealtrail/bus-envelope/v1\0'), additional]),
      44,
    ),
  )
  const cipher = createCipheriv('aes-256-gcm', derived.subarray(0, 32), derived.subarray(32))
  cipher.setAAD(additional)
  return Buffer.concat([additional, cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

describe('a bus envelope', () => {
  test('gives back the batch that was sealed, whatever is in it', () => {
    fc.assert(
      fc.property(
        fc.record({
          sourceId: fc.string({ minLength: 1 }),
          firstOrdinal: fc.nat(),
          requestCount: fc.nat(),
          texts: fc.array(fc.string({ unit: 'binary' }), { maxLength: 8 }),
          digests: fc.boolean(),
        }),
        ({ texts, digests, ...fields }) => {
          const batch = aBatch({
            ...fields,
            events: texts.map((text) => aToolCall({ 'gen_ai.tool.call.arguments': { text } })),
            ...(digests ? { sentDigests: texts.map(() => 'cd'.repeat(32)) } : {}),
          })
          expect(openEnvelope(sealEnvelope(batch, key), keysOf)).toEqual(batch)
        },
      ),
    )
  })

  test('opens also where some of its records have no digest', () => {
    const events = [aToolCall(), aToolCall(), aToolCall()]
    const batch = aBatch({ events, sentDigests: ['cd'.repeat(32), '', 'ef'.repeat(32)] })
    expect(openEnvelope(sealEnvelope(batch, key), keysOf)).toEqual(batch)
    const odd = aBatch({ sentDigests: ['cd'] })
    expect(refusal(() => openEnvelope(sealEnvelope(odd, key), keysOf))).toMatch(/^ENVELOPE_INVALID/)
  })

  test('is refused when any one byte is another, and when any byte is missing or added', () => {
    const sealed = sealEnvelope(aBatch(), key)
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      expect(refusal(() => openEnvelope(changed, keysOf))).toMatch(/^ENVELOPE_INVALID: /)
      expect(refusal(() => openEnvelope(sealed.subarray(0, at), keysOf))).toMatch(
        /^ENVELOPE_INVALID: /,
      )
    }
    expect(refusal(() => openEnvelope(Buffer.concat([sealed, Buffer.of(0)]), keysOf))).toBe(
      'ENVELOPE_INVALID: it does not authenticate',
    )
  })

  test('never repeats itself and shows nothing of the batch but log, key and count', () => {
    const first = Buffer.from(sealEnvelope(aBatch(), key))
    expect(first.equals(Buffer.from(sealEnvelope(aBatch(), key)))).toBe(false)
    for (const secret of ['read_file', 'alice', 'gateway', 'report'])
      expect(first.includes(secret)).toBe(false)
    expect(first.includes('"log":"main"')).toBe(true)
  })

  test('opens only with the key it names', () => {
    const sealed = sealEnvelope(aBatch(), key)
    expect(refusal(() => openEnvelope(sealed, () => []))).toBe(
      'ENVELOPE_INVALID: its transport key is not known',
    )
    expect(refusal(() => openEnvelope(sealed, () => [transportKey('k1')]))).toBe(
      'ENVELOPE_INVALID: it does not authenticate',
    )
  })

  test('of random bytes, also behind a true beginning, is refused and never throws anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, begun) => {
        const bytes = begun ? Buffer.concat([Buffer.from('STBE\x01\x00\x10'), noise]) : noise
        expect(refusal(() => openEnvelope(bytes, keysOf))).toMatch(/^ENVELOPE_INVALID: /)
      }),
    )
  })

  test('that unpacks to more than its bound is refused before it is unpacked', () => {
    const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024, 0x20))
    const sealed = forge(bomb)
    const before = process.memoryUsage().rss
    expect(refusal(() => openEnvelope(sealed, keysOf))).toBe(
      `ENVELOPE_INVALID: its body is no gzip of at most ${maxBatchJsonBytes} bytes`,
    )
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
    expect(
      refusal(() => sealEnvelope(aBatch({ sourceId: 'x'.repeat(maxBatchJsonBytes) }), key)),
    ).toMatch(/^ENVELOPE_INVALID: a batch of/)
  })

  test.each([
    ['no JSON', Buffer.from('{"version":1,secret'), {}, 'no JSON (SyntaxError)'],
    ['an array', [], {}, 'malformed at ""'],
    ['an unknown field', { ...aBatch(), more: 1 }, {}, 'malformed at ""'],
    ['a missing field', { ...aBatch(), sourceId: undefined }, {}, 'malformed at "sourceId"'],
    [
      'an event without class',
      aBatch({ events: [{ ...aToolCall(), 'event.class': '' as 'other' }] }),
      {},
      'malformed at "events/0/event.class"',
    ],
    ['an event that is a string', { ...aBatch(), events: ['x'] }, {}, 'malformed at "events/0"'],
    ['another log', aBatch({ logId: 'other' }), {}, 'header and batch name different logs'],
    ['another count', aBatch(), { count: 2 }, 'header and batch differ in their count'],
    ['digests of other events', aBatch({ sentDigests: [] }), {}, 'events and their digests differ'],
    [
      'a log id that is a path',
      aBatch({ logId: '../x' }),
      { log: '../x' },
      'its header is malformed',
    ],
    ['a header field more', aBatch(), { more: 1 }, 'its header is malformed'],
  ])('that holds %s is refused although it authenticates', (_name, body, header, reason) => {
    const json = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
    const said = refusal(() => openEnvelope(forge(gzipSync(json), header), keysOf))
    expect(said).toContain(reason)
    expect(said).not.toContain('secret')
  })

  test('made by hand after its description opens: the description is whole', () => {
    const json = gzipSync(JSON.stringify(aBatch()))
    expect(openEnvelope(forge(json), keysOf)).toEqual(aBatch())
  })
})
