import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { z } from 'zod'
import type { TransportKey } from '../../ledger/keyring.ts'
import { checkLogId } from '../../ledger/log-id.ts'
import { equal, fromHex, fromUtf8Strict, hex, utf8 } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'
import { maxBatchEvents, type PackedBatch } from './event-bus.ts'

/**
 * Bus envelope v1: one packed batch, readable only by who holds the transport key of its log.
 *
 * ```
 * 'STBE' 0x01                                     magic, version
 * uint16 big-endian length, header                canonical JSON {"count","ephemeral","key","log"}
 * ciphertext || tag                               AES-256-GCM of gzip of the JSON of the batch
 * ```
 *
 * Everything before the ciphertext is additional data. Key and nonce are HKDF-SHA256 (RFC 5869) of the X25519 secret
 * (RFC 7748) between a key pair made for this envelope and the transport key, with both public keys as salt and the
 * additional data as info. The envelope hides and protects the batch; it does not say who sealed it.
 */
const magic = utf8('STBE\x01')
const lengthBytes = 2
const maxHeaderBytes = 512
const tagBytes = 16
const gcm = 'aes-256-gcm'

/** A batch is at most 512 KiB, or one larger event out of a request body of at most 4 MiB. */
export const maxBatchJsonBytes = 8 * 1024 * 1024

/** Larger than any envelope: gzip adds some bytes to what it cannot compress. */
export const maxEnvelopeBytes = maxBatchJsonBytes + 64 * 1024

const Header = z.strictObject({
  count: z.number().int().min(0).max(maxBatchEvents),
  ephemeral: z.string().regex(/^[0-9a-f]{64}$/),
  key: z.string().min(1).max(64),
  log: z.string(),
})

/** Empty for a record that has no digest: it is not numbered, or has no canonical form. */
const SentDigest = z.string().regex(/^(?:[0-9a-f]{64})?$/)

/** The fields that nothing downstream can do without; the sequencer validates the others, event by event. */
const Event = z.looseObject({
  'event.class': z.string().min(1),
  'record.disposition': z.string().min(1),
  'source.id': z.string().min(1),
  'time.occurred': z.string().min(1),
  'time.observed': z.string().min(1),
})

const Batch = z.strictObject({
  version: z.literal(1),
  logId: z.string(),
  sourceId: z.string().min(1),
  chainKeyId: z.string().min(1).max(128).exactOptional(),
  requestDigest: z.string().min(1).max(128),
  firstOrdinal: z.number().int().min(0),
  requestCount: z.number().int().min(0),
  events: z.array(Event).max(maxBatchEvents),
  sentDigests: z.array(SentDigest).max(maxBatchEvents).optional(),
})

/** @throws SealtrailError `ENVELOPE_INVALID` when the batch is larger than {@link maxBatchJsonBytes} */
export function sealEnvelope(batch: PackedBatch, transportKey: TransportKey): Uint8Array {
  const json = Buffer.from(JSON.stringify(batch), 'utf8')
  if (json.length > maxBatchJsonBytes) {
    throw invalid(`a batch of ${json.length} bytes is larger than ${maxBatchJsonBytes}`)
  }
  const ephemeral = generateKeyPairSync('x25519')
  const ephemeralPublic = ephemeral.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  const header = utf8(
    canonicalJson({
      count: batch.events.length,
      ephemeral: hex(ephemeralPublic),
      key: transportKey.id,
      log: batch.logId,
    }),
  )
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt16BE(header.length)
  const additional = Buffer.concat([magic, length, header])
  const { key, nonce } = deriveKey(
    diffieHellman({
      privateKey: ephemeral.privateKey,
      publicKey: x25519PublicKey(transportKey.publicKey),
    }),
    ephemeralPublic,
    transportKey.publicKey,
    additional,
  )
  const cipher = createCipheriv(gcm, key, nonce)
  cipher.setAAD(additional)
  return Buffer.concat([
    additional,
    cipher.update(gzipSync(json, { level: 1 })),
    cipher.final(),
    cipher.getAuthTag(),
  ])
}

/**
 * The batch of an envelope. `keysOf` is asked only for a well-formed log id.
 *
 * @throws SealtrailError `ENVELOPE_INVALID` with the reason as message; it never quotes the content.
 */
export function openEnvelope(
  bytes: Uint8Array,
  keysOf: (logId: string) => readonly TransportKey[],
): PackedBatch {
  if (bytes.length > maxEnvelopeBytes) throw invalid('it is too large')
  const { header, bodyAt } = readHeader(bytes)
  const transportKey = keysOf(header.log).find(({ id }) => id === header.key)
  if (transportKey === undefined) throw invalid('its transport key is not known')
  const batch = parseBatch(inflate(decrypt(bytes, bodyAt, header.ephemeral, transportKey)))
  if (batch.logId !== header.log) throw invalid('header and batch name different logs')
  if (batch.events.length !== header.count) throw invalid('header and batch differ in their count')
  if (batch.sentDigests !== undefined && batch.sentDigests.length !== batch.events.length) {
    throw invalid('events and their digests differ in number')
  }
  return batch
}

function readHeader(bytes: Uint8Array): { header: z.infer<typeof Header>; bodyAt: number } {
  const headerAt = magic.length + lengthBytes
  if (!equal(bytes.subarray(0, magic.length), magic)) throw invalid('it does not begin as v1 does')
  if (bytes.length < headerAt) throw invalid('it is cut short')
  const headerBytes = Buffer.from(bytes).readUInt16BE(magic.length)
  const bodyAt = headerAt + headerBytes
  if (headerBytes > maxHeaderBytes) throw invalid('its header is too large')
  if (bytes.length < bodyAt + tagBytes) throw invalid('it is cut short')
  try {
    const text = fromUtf8Strict(bytes.subarray(headerAt, bodyAt))
    const header = Header.parse(JSON.parse(text))
    checkLogId(header.log)
    if (canonicalJson(header) !== text) throw invalid('its header is not canonical')
    return { header, bodyAt }
  } catch (cause) {
    throw invalid('its header is malformed', cause)
  }
}

function decrypt(
  bytes: Uint8Array,
  bodyAt: number,
  ephemeral: string,
  transportKey: TransportKey,
): Uint8Array {
  const additional = bytes.subarray(0, bodyAt)
  const ephemeralPublic = fromHex(ephemeral)
  try {
    // OpenSSL refuses the points of small order here, whose secret anybody would know (RFC 7748 section 6.1).
    const secret = diffieHellman({
      privateKey: x25519PrivateKey(transportKey.privateKey),
      publicKey: x25519PublicKey(ephemeralPublic),
    })
    const { key, nonce } = deriveKey(secret, ephemeralPublic, transportKey.publicKey, additional)
    const decipher = createDecipheriv(gcm, key, nonce, { authTagLength: tagBytes })
    decipher.setAAD(additional)
    decipher.setAuthTag(bytes.subarray(bytes.length - tagBytes))
    return Buffer.concat([
      decipher.update(bytes.subarray(bodyAt, bytes.length - tagBytes)),
      decipher.final(),
    ])
  } catch (cause) {
    throw invalid('it does not authenticate', cause)
  }
}

function inflate(body: Uint8Array): Uint8Array {
  try {
    return gunzipSync(body, { maxOutputLength: maxBatchJsonBytes })
  } catch (cause) {
    throw invalid(`its body is no gzip of at most ${maxBatchJsonBytes} bytes`, cause)
  }
}

function parseBatch(json: Uint8Array): PackedBatch {
  let value: unknown
  try {
    value = JSON.parse(fromUtf8Strict(json))
  } catch (cause) {
    // Without the cause: V8 quotes the text around a mistake, and that is content.
    throw invalid(`its batch is no JSON (${cause instanceof Error ? cause.name : 'unknown'})`)
  }
  const parsed = Batch.safeParse(value)
  if (!parsed.success) {
    const path = parsed.error.issues[0]?.path.map(String).join('/') ?? ''
    throw invalid(`its batch is malformed at "${path.slice(0, 64)}"`)
  }
  const { sentDigests, ...rest } = parsed.data
  return {
    ...rest,
    events: observedEvents(rest.events),
    ...(sentDigests === undefined ? {} : { sentDigests }),
  }
}

/**
 * The one cast: who sealed the batch had validated the events, and the sequencer keeps an event that it cannot seal as
 * rejected. Validating every field again would cost more than all the rest of opening.
 */
function observedEvents(events: readonly z.infer<typeof Event>[]): readonly ObservedEvent[] {
  return events as readonly unknown[] as readonly ObservedEvent[]
}

function deriveKey(
  secret: Uint8Array,
  ephemeralPublic: Uint8Array,
  recipientPublic: Uint8Array,
  additional: Uint8Array,
): { key: Uint8Array; nonce: Uint8Array } {
  const salt = Buffer.concat([ephemeralPublic, recipientPublic])
  const info = Buffer.concat([utf8('sealtrail/bus-envelope/v1\0'), additional])
  const bytes = new Uint8Array(hkdfSync('sha256', secret, salt, info, 44))
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32) }
}

/** DER prefixes of X25519 keys (RFC 8410 sections 4 and 7). */
const pkcs8Prefix = fromHex('302e020100300506032b656e04220420')
const spkiPrefix = fromHex('302a300506032b656e032100')

function x25519PrivateKey(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, raw]), format: 'der', type: 'pkcs8' })
}

function x25519PublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([spkiPrefix, raw]), format: 'der', type: 'spki' })
}

function invalid(reason: string, cause?: unknown): SealtrailError {
  return new SealtrailError('ENVELOPE_INVALID', reason, { cause })
}
