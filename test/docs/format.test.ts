import {
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  hkdfSync,
  verify as verifySignature,
} from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync, inflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'

/**
 * A verifier as a stranger would write it from docs/format.md: it imports nothing of Sealtrail. What it cannot read, the
 * page does not say, or says wrongly.
 */
const data = join(import.meta.dirname, '../golden/data')
const expected: {
  logs: {
    logId: string
    treeSize: number
    root: string
    checkpoints: number[]
    verifierKey: string
  }[]
  testMasterKey: string
} = JSON.parse(readFileSync(join(data, 'expected.json'), 'utf8'))
const masterKey = Buffer.from(expected.testMasterKey, 'hex')
const groupNames = ['identity', 'arguments', 'result', 'addresses', 'text', 'raw']

const sha256 = (...parts: (string | Uint8Array)[]): Buffer => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}
const hkdf = (key: Uint8Array, info: string): Buffer =>
  Buffer.from(hkdfSync('sha256', key, '', info, 32))

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

function root(hashes: readonly Buffer[]): Buffer {
  const [only] = hashes
  if (only === undefined) return sha256()
  if (hashes.length === 1) return only
  let half = 1
  while (half * 2 < hashes.length) half *= 2
  return sha256(Buffer.of(1), root(hashes.slice(0, half)), root(hashes.slice(half)))
}

function framesOf(folder: string): Buffer[] {
  const frames: Buffer[] = []
  readdirSync(folder)
    .sort()
    .forEach((name, number) => {
      expect(name).toBe(`${String(number).padStart(8, '0')}.log`)
      const bytes = readFileSync(join(folder, name))
      for (let at = 0; at < bytes.length; ) {
        const content = bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at))
        expect(crc32c(content)).toBe(bytes.readUInt32BE(at + 4))
        frames.push(content)
        at += 8 + content.length
      }
    })
  return frames
}

interface SegmentHeader {
  fromIndex: number
  nextIndex: number
  rootAfter: string
  entriesBytes?: number
}

function readSegment(content: Buffer): { header: SegmentHeader; leaves: Buffer[] } {
  expect(content.subarray(0, 6).toString('hex')).toBe('535453454700')
  const version = content.readUInt8(6)
  const headerEnd = 11 + content.readUInt32BE(7)
  const header: SegmentHeader = JSON.parse(content.toString('utf8', 11, headerEnd))
  const stored = content.subarray(headerEnd)
  const entries = version === 2 ? brotliDecompressSync(stored) : stored
  const leaves: Buffer[] = []
  let at = 0
  for (let index = header.fromIndex; index < header.nextIndex; index++) {
    const length = entries.readUInt16BE(at)
    leaves.push(entries.subarray(at + 2, at + 2 + length))
    at += 2 + length
  }
  expect(at).toBe(entries.length)
  const names = ['dedup', 'fromIndex', 'nextIndex', 'positions', 'rootAfter']
  expect(Object.keys(header).sort()).toEqual(
    version === 2 ? [...names, 'entriesBytes'].sort() : names,
  )
  if (version === 2) expect(header.entriesBytes).toBe(entries.length)
  return { header, leaves }
}

function payloadsOf(logId: string): Map<number, Buffer> {
  const payloads = new Map<number, Buffer>()
  const folder = join(data, 'payloads', logId)
  for (const name of readdirSync(folder)
    .filter((each) => each.endsWith('.payloads'))
    .sort()) {
    const bytes = readFileSync(join(folder, name))
    for (let at = 0; at < bytes.length; ) {
      expect(bytes.toString('latin1', at, at + 4)).toBe('SPB1')
      const from = bytes.readUIntBE(at + 4, 6)
      const count = bytes.readUInt32BE(at + 10)
      const total = bytes.readUInt32BE(at + 14)
      for (const index of payloads.keys()) if (index >= from) payloads.delete(index)
      let payloadAt = at + 18 + count * 4
      for (let i = 0; i < count; i++) {
        const length = bytes.readUInt32BE(at + 18 + i * 4)
        if (length > 0) payloads.set(from + i, bytes.subarray(payloadAt, payloadAt + length))
        payloadAt += length
      }
      at += 18 + count * 4 + total
      expect(payloadAt).toBe(at)
    }
  }
  return payloads
}

function decrypt(key: Uint8Array, additional: Uint8Array | string, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
  decipher.setAAD(Buffer.from(additional))
  decipher.setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
}

interface KeyEntry {
  kind: string
  logId?: string
  id?: string
  key?: string
}

function subjectKeys(): Map<string, Buffer> {
  const keys = new Map<string, Buffer>()
  const fileKey = hkdf(masterKey, 'sealtrail/keyring-file/v1')
  const text = readFileSync(join(data, 'keyring/keyring'), 'latin1')
  text
    .trimEnd()
    .split('\n')
    .forEach((line, number) => {
      const plain = decrypt(fileKey, String(number), Buffer.from(line, 'base64'))
      const entries: KeyEntry | KeyEntry[] = JSON.parse(plain.toString('utf8'))
      for (const { kind, logId, id, key } of [entries].flat())
        if (kind === 'subject') keys.set(`${logId}/${id}`, Buffer.from(key ?? '', 'hex'))
    })
  return keys
}

/** Groups of a sealed payload with the salts of their commitments. */
function openPayload(payload: Buffer, logId: string, keys: ReadonlyMap<string, Buffer>) {
  expect(payload[0]).toBe(1)
  const header = payload.subarray(0, 2 + (payload[1] ?? 0))
  const keyId = header.toString('ascii', 2)
  const [subject = '', day = ''] = keyId.split('.')
  const key = hkdf(keys.get(`${logId}/${subject}`) ?? Buffer.of(), `sealtrail/seal/v1/${day}`)
  const plain = decrypt(key, header, payload.subarray(header.length))
  const body = plain[0] === 1 ? inflateRawSync(plain.subarray(1)) : plain.subarray(1)
  const groups: { group: string; salt: Buffer; plaintext: string }[] = []
  for (let at = 32; at < body.length; ) {
    const group = groupNames[body.readUInt8(at)] ?? ''
    const until = at + 5 + body.readUInt32BE(at + 1)
    const salt = sha256('sealtrail/salt/v1', '\0', group, '\0', body.subarray(0, 32))
    groups.push({ group, salt, plaintext: body.toString('utf8', at + 5, until) })
    at = until
  }
  return { subject, day, flag: plain[0], groups }
}

function subjectOf(event: Readonly<Record<string, unknown>>): string {
  if (event['user.id'] !== undefined)
    return JSON.stringify(['sub', event['user.issuer'] ?? '', event['user.id']])
  if (typeof event['user.email'] === 'string')
    return JSON.stringify(['email', event['user.email'].toLowerCase()])
  return JSON.stringify(['source', event['source.id']])
}

describe.each(expected.logs)('docs/format.md, by the golden log $logId', (log) => {
  const { logId } = log
  const segments = framesOf(join(data, 'ledger', logId, 'segments')).map(readSegment)
  const leaves = segments.flatMap((segment) => segment.leaves)
  const leafHashes = leaves.map((leaf) => sha256(Buffer.of(0), leaf))

  test('each segment begins where the last one ended and gives the root that it states', () => {
    let next = 0
    for (const { header } of segments) {
      expect(header.fromIndex).toBe(next)
      next = header.nextIndex
      expect(root(leafHashes.slice(0, next)).toString('hex')).toBe(header.rootAfter)
    }
    expect({ next, root: root(leafHashes).toString('hex') }).toEqual({
      next: log.treeSize,
      root: log.root,
    })
  })

  test('each checkpoint is signed over the root of its size', () => {
    const [name = '', id = '', encoded = ''] = log.verifierKey.split('+')
    const key = Buffer.from(encoded, 'base64')
    expect(sha256(name, '\n', key).toString('hex', 0, 4)).toBe(id)
    const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.subarray(1)])
    const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
    expect(readFileSync(join(data, 'signer', `${logId}.vkey`), 'utf8').trim()).toBe(log.verifierKey)
    const deployment = readFileSync(join(data, 'signer/deployment'), 'utf8').trim()
    expect(name).toBe(`${deployment}/${logId}`)
    const frames = framesOf(join(data, 'ledger', logId, 'checkpoints'))
    const sizes = frames.map((frame) => {
      const [first = '', ...rest] = frame.toString('utf8').split('\n')
      const note = rest.join('\n')
      const { size }: { size: number } = JSON.parse(first)
      const signed = note.slice(0, note.indexOf('\n\n') + 1)
      expect(signed).toBe(
        `${name}\n${size}\n${root(leafHashes.slice(0, size)).toString('base64')}\n`,
      )
      const signature = Buffer.from(note.trimEnd().split(' ').at(-1) ?? '', 'base64')
      expect(signature.toString('hex', 0, 4)).toBe(id)
      expect(verifySignature(null, Buffer.from(signed), publicKey, signature.subarray(4))).toBe(
        true,
      )
      return size
    })
    expect(sizes).toEqual(log.checkpoints)
    const last = JSON.parse(readFileSync(join(data, 'signer', `${logId}.signed`), 'utf8'))
    expect(last).toEqual({ size: log.treeSize, root: log.root })
  })

  test('each payload is the one of its leaf, opens, and matches the commitments', () => {
    const payloads = payloadsOf(logId)
    const keys = subjectKeys()
    const seen = { opened: 0, deflated: 0 }
    for (const [index, bytes] of leaves.entries()) {
      expect(bytes.length).toBeLessThanOrEqual(8192)
      const {
        'leaf.v': version,
        'leaf.commitments': commitments = {},
        'leaf.payload_sha256': hash,
        'leaf.payload_bytes': size,
        ...event
      }: Record<string, unknown> = JSON.parse(bytes.toString('utf8'))
      expect(version).toBe(1)
      const payload = payloads.get(index)
      if (hash === undefined) {
        expect([payload, commitments]).toEqual([undefined, {}])
        continue
      }
      expect([payload && sha256(payload).toString('hex'), payload?.length]).toEqual([hash, size])
      const opened = openPayload(payload ?? Buffer.of(), logId, keys)
      const computed = Object.fromEntries(
        opened.groups.map(({ group, salt, plaintext }) => [
          group,
          sha256('sealtrail/commitment/v1', '\0', group, '\0', salt, plaintext).toString('hex'),
        ]),
      )
      expect(computed).toEqual(commitments)
      for (const { plaintext } of opened.groups) {
        for (const [key, value] of Object.entries(JSON.parse(plaintext))) {
          expect(Object.hasOwn(event, key)).toBe(false)
          event[key] = value
        }
      }
      const subject = createHmac('sha256', masterKey)
        .update(`subject/${logId}/${subjectOf(event)}`)
        .digest('hex')
      expect(opened.subject).toBe(subject.slice(0, 32))
      expect(opened.day).toBe(String(event['time.recorded']).slice(0, 10))
      seen.opened++
      if (opened.flag === 1) seen.deflated++
    }
    expect(seen.opened).toBeGreaterThan(0)
    // Of both kinds, where there is more than a handful.
    if (log.treeSize > 10) expect(seen.deflated).toBeGreaterThan(0)
  })

  test('the signing key is that of the verifier key', () => {
    const sealed = readFileSync(join(data, 'signer', `${logId}.key`))
    const seed = decrypt(hkdf(masterKey, 'sealtrail/signer/v1'), logId, sealed)
    const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
    const spki = createPublicKey(
      createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }),
    ).export({
      format: 'der',
      type: 'spki',
    })
    const encoded = log.verifierKey.split('+')[2] ?? ''
    expect(Buffer.concat([Buffer.of(1), spki.subarray(-32)]).toString('base64')).toBe(encoded)
  })
})
