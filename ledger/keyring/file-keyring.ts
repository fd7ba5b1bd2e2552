import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  randomBytes,
} from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, readFile } from 'node:fs/promises'
import { fromHex, hex } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import {
  appendSynced,
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
  replaceSecretFile,
  wipeFile,
} from '../durable-file.ts'
import type { ErasedKey, Keyring, SealingKey, TransportKey } from '../keyring.ts'
import {
  decryptLines,
  encryptAll,
  encryptLine,
  type KeyringEntry,
  keyringFileKey,
  keyringPath,
  nameOf,
} from './keyring-lines.ts'

const maxCachedKeys = 100_000

/**
 * Keyring in one file, encrypted under the master key: a line a sync, AES-256-GCM with the line number as additional
 * data, so that lines cannot be swapped. New keys are appended with one fdatasync for all; destroying keys rewrites
 * the file and overwrites the old one, so that their bytes are gone, as far as the file system lets one overwrite.
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
  onTear: (message: string) => void = () => undefined,
): Promise<Keyring> {
  if (!readOnly) await makeDirectory(files, directory)
  const keyring = new FileKeyring(keyringPath(directory), masterKey, files)
  await keyring.load(readOnly, onTear)
  return keyring
}

class FileKeyring implements Keyring {
  private readonly path: string
  private readonly files: DurableFiles
  private readonly fileKey: Uint8Array
  private namingKey: Uint8Array
  private readonly entries = new Map<string, KeyringEntry>()
  private readonly derived = new Map<string, Uint8Array>()
  /** Root keys in use, by log and subject. */
  private readonly subjectIds = new Map<string, string>()
  /** By log, in the order in which they were made. */
  private readonly transport = new Map<string, TransportKey[]>()
  private pending: KeyringEntry[] = []
  private lines = 0
  private bytes = 0
  private handle: FileHandle | undefined
  /** Keys that are destroyed in memory stand in the file still: the rewrite without them failed. */
  private owesRewrite = false
  private turn: Promise<void> = Promise.resolve()

  constructor(path: string, masterKey: Uint8Array, files: DurableFiles) {
    this.path = path
    this.files = files
    this.namingKey = masterKey
    this.fileKey = keyringFileKey(masterKey)
  }

  async load(readOnly: boolean, onTear: (message: string) => void): Promise<void> {
    if (!existsSync(this.path)) {
      if (readOnly) return
      await replaceFile(this.files, this.path, new Uint8Array())
    }
    const bytes = await readFile(this.path)
    const { entries, lines, sizeBytes } = decryptLines(bytes, this.fileKey, this.path)
    for (const entry of entries) this.apply(entry)
    this.lines = lines
    this.bytes = sizeBytes
    if (sizeBytes < bytes.length) {
      onTear(
        `${this.path} at byte ${sizeBytes}: a torn last line of ${bytes.length - sizeBytes} bytes`,
      )
    }
    if (readOnly) return
    // What a rewrite left behind that was cut off: keys that were destroyed since, or never used.
    await wipeFile(this.files, `${this.path}.tmp`)
    await wipeFile(this.files, `${this.path}.old`)
    this.handle = await this.files.open(this.path, 'r+', 0o600)
    if (lines === 0) this.add({ kind: 'naming', key: hex(randomBytes(32)) })
    if (this.bytes === bytes.length) return
    // The rest of it must not stand behind the next line.
    await this.handle.truncate(this.bytes)
    await this.files.sync(this.handle)
  }

  sealingKey(logId: string, subjectId: string, day: string): SealingKey {
    const id = this.subjectKeyId(logId, subjectId)
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
    return this.pending.length === 0 ? this.turn : this.inTurn(() => this.flush())
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

  /** The payload names its subject by a keyed hash, so that ciphertexts do not say whose they are. */
  subjectKeyId(logId: string, subjectId: string): string {
    const name = `${logId}/${subjectId}`
    const known = this.subjectIds.get(name)
    if (known !== undefined) return known
    let id = this.generation(name, 0)
    for (let erased = 1; this.isErasedId(logId, id); erased++) id = this.generation(name, erased)
    if (this.subjectIds.size >= maxCachedKeys) this.subjectIds.clear()
    this.subjectIds.set(name, id)
    return id
  }

  async destroyKeys(logId: string, rootKeyIds: readonly string[]): Promise<void> {
    const live = rootKeyIds.filter((id) => !this.isErasedId(logId, id))
    for (const id of live) {
      this.entries.delete(`subject/${logId}/${id}`)
      this.entries.set(`erased/${logId}/${id}`, { kind: 'erased', logId, id })
    }
    this.subjectIds.clear()
    this.derived.clear()
    if (live.length > 0) return this.rewrite()
    await this.turn
    // Somebody else was told that it failed; whoever asks again must not hear that it is done.
    if (this.owesRewrite) await this.rewrite()
  }

  erasedKeys(): readonly ErasedKey[] {
    return [...this.entries.values()]
      .flatMap((entry) =>
        entry.kind === 'erased' ? [{ logId: entry.logId, rootKeyId: entry.id }] : [],
      )
      .sort((a, b) => (a.logId + a.rootKeyId < b.logId + b.rootKeyId ? -1 : 1))
  }

  wasDestroyed(logId: string, keyId: string): boolean {
    return this.isErasedId(logId, keyId.slice(0, keyId.indexOf('.')))
  }

  async storeKey(name: string, inherited?: Uint8Array): Promise<Uint8Array> {
    const entry = this.entries.get(`store/${name}`)
    if (entry?.kind === 'store') return fromHex(entry.key)
    const key = inherited ?? randomBytes(32)
    this.add({ kind: 'store', name, key: hex(key) })
    await this.sync()
    return key
  }

  async close(): Promise<void> {
    await this.sync()
    await this.handle?.close()
    this.handle = undefined
  }

  private isErasedId(logId: string, id: string): boolean {
    return this.entries.has(`erased/${logId}/${id}`)
  }

  /** Id of the root key of a subject after so many erasures. JSON holds no NUL, so that no two names are one. */
  private generation(name: string, erasures: number): string {
    return createHmac('sha256', this.namingKey)
      .update(erasures === 0 ? `subject/${name}` : `subject/${name}\0${erasures}`)
      .digest('hex')
      .slice(0, 32)
  }

  private add(entry: KeyringEntry): void {
    this.apply(entry)
    this.pending.push(entry)
  }

  private apply(entry: KeyringEntry): void {
    this.entries.set(nameOf(entry), entry)
    if (entry.kind === 'transport') {
      this.transport.set(entry.logId, [...this.transportKeys(entry.logId), transportKey(entry)])
    }
    if (entry.kind === 'naming') this.namingKey = fromHex(entry.key)
  }

  private async flush(): Promise<void> {
    const batch = this.pending
    if (batch.length === 0) return
    this.pending = []
    const bytes = Buffer.from(`${encryptLine(batch, this.lines, this.fileKey)}\n`)
    if (this.handle === undefined)
      throw new SealtrailError('LEDGER_UNAVAILABLE', 'the keyring is closed')
    try {
      await appendSynced(this.files, this.handle, bytes, this.bytes)
    } catch (error) {
      this.pending = [...batch, ...this.pending]
      throw error
    }
    this.lines++
    this.bytes += bytes.length
  }

  /** One write after the other. One that found no room may be tried again; after any other failure none is. */
  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.turn.then(work)
    this.turn = done.catch((error: unknown) => {
      if (!isSealtrailError(error, 'DISK_FULL')) throw error
    })
    // Whoever asked is told; nobody has to wait for the next one.
    this.turn.catch(() => undefined)
    return done
  }

  private rewrite(): Promise<void> {
    return this.inTurn(async () => {
      const entries = [...this.entries.values()]
      const bytes = encryptAll(entries, this.fileKey)
      const pending = this.pending.splice(0)
      this.owesRewrite = false
      try {
        await replaceSecretFile(this.files, this.path, bytes)
      } catch (error) {
        this.owesRewrite = true
        this.pending = [...pending, ...this.pending]
        throw error
      }
      await this.handle?.close()
      this.handle = await this.files.open(this.path, 'r+', 0o600)
      this.lines = entries.length
      this.bytes = bytes.length
    })
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
