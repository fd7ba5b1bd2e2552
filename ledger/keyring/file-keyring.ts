import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
} from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { fromHex, hex } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
  writeFully,
} from '../durable-file.ts'
import type { Keyring, SealingKey, TransportKey } from '../keyring.ts'

/** One key, or that one is gone. Later ones win. */
const Entry = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('subject'),
    logId: z.string(),
    id: z.string(),
    key: z.string(),
  }),
  z.strictObject({ kind: z.literal('erased'), logId: z.string(), id: z.string() }),
  z.strictObject({ kind: z.literal('token'), logId: z.string(), key: z.string() }),
  z.strictObject({ kind: z.literal('dedup'), logId: z.string(), day: z.string(), key: z.string() }),
  z.strictObject({
    kind: z.literal('transport'),
    logId: z.string(),
    id: z.string(),
    privateKey: z.string(),
  }),
  z.strictObject({ kind: z.literal('chain'), id: z.string(), key: z.string() }),
])
type Entry = z.infer<typeof Entry>
/** A line of the file, before encryption: what one sync made durable. */
const Line = z.union([z.array(Entry), Entry.transform((entry) => [entry])])

const maxCachedKeys = 100_000

/**
 * Keyring in one file, encrypted under the master key: a line a sync, AES-256-GCM with the line number as additional
 * data, so that lines cannot be swapped. New keys are appended with one fdatasync for all; destroying keys rewrites
 * the file, so that their bytes are gone from it.
 *
 * A last line that a power cut tore was never promised, and is cut: it does not end, or it holds the zeros that a
 * file system shows where it did not write. Any other line that does not authenticate is damage.
 *
 * @param readOnly nothing on disk is made or cut, and no key can be made durable: for whoever examines a directory
 * @throws SealtrailError `KEYRING_CORRUPT` when a line does not authenticate (also: wrong master key).
 */
export async function openFileKeyring(
  directory: string,
  masterKey: Uint8Array,
  files: DurableFiles = nodeFiles,
  readOnly = false,
): Promise<Keyring> {
  if (!readOnly) await makeDirectory(files, directory)
  const keyring = new FileKeyring(join(directory, 'keyring'), masterKey, files)
  await keyring.load(readOnly)
  return keyring
}

class FileKeyring implements Keyring {
  private readonly path: string
  private readonly files: DurableFiles
  private readonly fileKey: Uint8Array
  private readonly masterKey: Uint8Array
  private readonly entries = new Map<string, Entry>()
  private readonly derived = new Map<string, Uint8Array>()
  private readonly subjectIds = new Map<string, string>()
  /** By log, in the order in which they were made. */
  private readonly transport = new Map<string, TransportKey[]>()
  private pending: Entry[] = []
  private lines = 0
  private bytes = 0
  private handle: FileHandle | undefined
  private turn: Promise<void> = Promise.resolve()

  constructor(path: string, masterKey: Uint8Array, files: DurableFiles) {
    this.path = path
    this.files = files
    this.masterKey = masterKey
    this.fileKey = derive(masterKey, 'sealtrail/keyring-file/v1')
  }

  async load(readOnly: boolean): Promise<void> {
    if (!existsSync(this.path)) {
      if (readOnly) return
      await replaceFile(this.files, this.path, new Uint8Array())
    }
    const bytes = await readFile(this.path)
    while (this.bytes < bytes.length) {
      const newline = bytes.indexOf(0x0a, this.bytes)
      const until = newline < 0 ? bytes.length : newline + 1
      const line = bytes.subarray(this.bytes, until)
      if (newline < 0 || (until === bytes.length && line.includes(0))) break
      for (const entry of this.decrypt(line.toString('latin1').trimEnd(), this.lines)) {
        this.apply(entry)
      }
      this.lines++
      this.bytes = until
    }
    if (readOnly) return
    this.handle = await this.files.open(this.path, 'r+', 0o600)
    if (this.bytes === bytes.length) return
    // The rest of it must not stand behind the next line.
    await this.handle.truncate(this.bytes)
    await this.files.sync(this.handle)
  }

  sealingKey(logId: string, subjectId: string, day: string): SealingKey {
    const id = this.subjectKeyId(logId, subjectId)
    if (this.isErasedId(logId, id)) {
      throw new SealtrailError('KEY_DESTROYED', 'the key of this subject was destroyed')
    }
    const name = `subject/${logId}/${id}`
    if (!this.entries.has(name)) {
      this.add({ kind: 'subject', logId, id, key: hex(randomBytes(32)) })
    }
    const keyId = `${id}.${day}`
    const key = this.openingKey(logId, keyId)
    if (key === undefined) throw new SealtrailError('KEYRING_CORRUPT', 'a subject has no key')
    return { keyId, key }
  }

  openingKey(logId: string, keyId: string): Uint8Array | undefined {
    const cacheName = `${logId}/${keyId}`
    const cached = this.derived.get(cacheName)
    if (cached !== undefined) return cached
    const dot = keyId.indexOf('.')
    const entry = this.entries.get(`subject/${logId}/${keyId.slice(0, dot)}`)
    if (dot < 0 || entry?.kind !== 'subject') return undefined
    const key = derive(fromHex(entry.key), `sealtrail/seal/v1/${keyId.slice(dot + 1)}`)
    if (this.derived.size >= maxCachedKeys) this.derived.clear()
    this.derived.set(cacheName, key)
    return key
  }

  sync(): Promise<void> {
    if (this.pending.length === 0) return this.turn
    this.turn = this.turn.then(() => this.flush())
    return this.turn
  }

  tokenKey(logId: string): Uint8Array {
    const entry = this.entries.get(`token/${logId}`)
    if (entry?.kind === 'token') return fromHex(entry.key)
    const key = randomBytes(32)
    this.add({ kind: 'token', logId, key: hex(key) })
    return key
  }

  dedupKey(logId: string, day: string): Uint8Array {
    const entry = this.entries.get(`dedup/${logId}/${day}`)
    if (entry?.kind === 'dedup') return fromHex(entry.key)
    const key = randomBytes(32)
    this.add({ kind: 'dedup', logId, day, key: hex(key) })
    return key
  }

  async destroyDedupKeysBefore(logId: string, day: string): Promise<void> {
    const old = [...this.entries].filter(
      ([, entry]) => entry.kind === 'dedup' && entry.logId === logId && entry.day < day,
    )
    if (old.length === 0) return
    for (const [name] of old) this.entries.delete(name)
    await this.rewrite()
  }

  transportKey(logId: string): TransportKey {
    const current = this.transportKeys(logId).at(-1)
    if (current !== undefined) return current
    const { privateKey } = generateKeyPairSync('x25519')
    const raw = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32)
    const made = { logId, id: hex(randomBytes(4)), privateKey: hex(raw) }
    this.add({ kind: 'transport', ...made })
    return transportKey(made)
  }

  transportKeys(logId: string): readonly TransportKey[] {
    return this.transport.get(logId) ?? []
  }

  sourceChainKey(sourceId: string): Uint8Array | undefined {
    const entry = this.entries.get(`chain/${sourceId}`)
    return entry?.kind === 'chain' ? fromHex(entry.key) : undefined
  }

  async setSourceChainKey(sourceId: string, key: Uint8Array): Promise<void> {
    this.add({ kind: 'chain', id: sourceId, key: hex(key) })
    await this.sync()
  }

  async destroySubject(logId: string, subjectId: string): Promise<void> {
    const id = this.subjectKeyId(logId, subjectId)
    this.entries.delete(`subject/${logId}/${id}`)
    this.entries.set(`erased/${logId}/${id}`, { kind: 'erased', logId, id })
    this.pending = this.pending.filter((entry) => !(entry.kind === 'subject' && entry.id === id))
    this.derived.clear()
    await this.rewrite()
  }

  wasDestroyed(logId: string, keyId: string): boolean {
    return this.isErasedId(logId, keyId.slice(0, keyId.indexOf('.')))
  }

  isErased(logId: string, subjectId: string): boolean {
    return this.isErasedId(logId, this.subjectKeyId(logId, subjectId))
  }

  async close(): Promise<void> {
    await this.sync()
    await this.handle?.close()
    this.handle = undefined
  }

  private isErasedId(logId: string, id: string): boolean {
    return this.entries.has(`erased/${logId}/${id}`)
  }

  /** The payload names its subject by a keyed hash, so that ciphertexts do not say whose they are. */
  private subjectKeyId(logId: string, subjectId: string): string {
    const name = `${logId}/${subjectId}`
    const known = this.subjectIds.get(name)
    if (known !== undefined) return known
    const id = createHmac('sha256', this.masterKey)
      .update(`subject/${name}`)
      .digest('hex')
      .slice(0, 32)
    if (this.subjectIds.size >= maxCachedKeys) this.subjectIds.clear()
    this.subjectIds.set(name, id)
    return id
  }

  private add(entry: Entry): void {
    this.apply(entry)
    this.pending.push(entry)
  }

  private apply(entry: Entry): void {
    switch (entry.kind) {
      case 'subject':
      case 'erased':
        this.entries.set(`${entry.kind}/${entry.logId}/${entry.id}`, entry)
        return
      case 'transport':
        this.entries.set(`transport/${entry.logId}/${entry.id}`, entry)
        this.transport.set(entry.logId, [...this.transportKeys(entry.logId), transportKey(entry)])
        return
      case 'token':
        this.entries.set(`token/${entry.logId}`, entry)
        return
      case 'dedup':
        this.entries.set(`dedup/${entry.logId}/${entry.day}`, entry)
        return
      case 'chain':
        this.entries.set(`chain/${entry.id}`, entry)
    }
  }

  private async flush(): Promise<void> {
    const batch = this.pending
    if (batch.length === 0) return
    this.pending = []
    const bytes = Buffer.from(`${this.encrypt(batch, this.lines++)}\n`)
    if (this.handle === undefined)
      throw new SealtrailError('LEDGER_UNAVAILABLE', 'the keyring is closed')
    await writeFully(this.files, this.handle, bytes, this.bytes)
    await this.files.sync(this.handle)
    this.bytes += bytes.length
  }

  private rewrite(): Promise<void> {
    this.turn = this.turn.then(async () => {
      this.pending = []
      this.lines = 0
      const text = [...this.entries.values()]
        .map((entry) => `${this.encrypt([entry], this.lines++)}\n`)
        .join('')
      const bytes = Buffer.from(text)
      await this.handle?.close()
      await replaceFile(this.files, this.path, bytes)
      this.handle = await this.files.open(this.path, 'r+', 0o600)
      this.bytes = bytes.length
    })
    return this.turn
  }

  private encrypt(entries: readonly Entry[], line: number): string {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', this.fileKey, nonce)
    cipher.setAAD(Buffer.from(String(line)))
    const body = Buffer.concat([cipher.update(JSON.stringify(entries)), cipher.final()])
    return Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64')
  }

  private decrypt(line: string, number: number): Entry[] {
    try {
      const bytes = Buffer.from(line, 'base64')
      const decipher = createDecipheriv('aes-256-gcm', this.fileKey, bytes.subarray(0, 12))
      decipher.setAAD(Buffer.from(String(number)))
      decipher.setAuthTag(bytes.subarray(-16))
      const body = Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])
      return Line.parse(JSON.parse(body.toString('utf8')))
    } catch (cause) {
      throw new SealtrailError(
        'KEYRING_CORRUPT',
        `line ${number} of ${this.path} does not authenticate`,
        {
          cause,
          hint: 'Check that the master key is the one this keyring was made with.',
        },
      )
    }
  }
}

function derive(key: Uint8Array, info: string): Uint8Array {
  return Buffer.from(hkdfSync('sha256', key, new Uint8Array(), info, 32))
}

/** DER prefix of an X25519 PKCS #8 private key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')

function transportKey(entry: { id: string; privateKey: string }): TransportKey {
  const privateKey = fromHex(entry.privateKey)
  const key = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, privateKey]),
    format: 'der',
    type: 'pkcs8',
  })
  const publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32)
  return { id: entry.id, publicKey, privateKey }
}
