import { createHash, type Hash } from 'node:crypto'
import { existsSync, readSync } from 'node:fs'
import { type FileHandle, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { hashBytes } from '../../schemas/tlog/digest.ts'
import { nodeHash } from '../../schemas/tlog/merkle.ts'
import {
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
  writeFully,
} from '../durable-file.ts'
import { sha256 } from '../sha256.ts'
import type { SavedTree } from './saved-tree.ts'

const Meta = z.strictObject({
  version: z.literal(1),
  size: z.int().nonnegative(),
  /** SHA-256, hex, of the hashes of each level. */
  levels: z.array(z.string()),
  beside: z.unknown(),
})

/** Hashes in a piece of memory; even, so that two siblings never lie apart. */
const chunkHashes = 1024
/** Hashes read from a file at once. */
const pageHashes = 128
const maxPages = 1024
const readBytes = 1024 * 1024

interface Level {
  count: number
  /** Hashes in the file. */
  saved: number
  /** Of the saved ones. */
  digest: Hash
  /** Chunks in memory, the first of which begins at `chunksFrom`. */
  chunks: Uint8Array[]
  chunksFrom: number
}

/**
 * A cache of the tree of a log: a file a level with its hashes one after the other, and a file that says how many of
 * them are whole, with a hash over each. What is not whole is not there: the owner builds the tree again from the
 * ledger, and compares the root of what he gets here with the one that the ledger states.
 *
 * Memory holds what is not saved yet and some pages that were read: it does not grow with the log.
 */
export async function openStoredHashTree(
  directory: string,
  files: DurableFiles = nodeFiles,
): Promise<SavedTree> {
  await makeDirectory(files, directory)
  const tree = new StoredHashTree(directory, files)
  await tree.load()
  return tree
}

class StoredHashTree implements SavedTree {
  saved: { readonly beside: unknown } | undefined
  private readonly directory: string
  private readonly files: DurableFiles
  private levels: Level[] = []
  /** By level. */
  private readonly handles: FileHandle[] = []
  /** By level and number; least recently used first. */
  private readonly pages = new Map<number, Uint8Array>()

  constructor(directory: string, files: DurableFiles) {
    this.directory = directory
    this.files = files
  }

  get size(): number {
    return this.levels[0]?.count ?? 0
  }

  async load(): Promise<void> {
    const meta = await this.readMeta()
    if (meta === undefined) return
    for (let level = 0; meta.size >= 2 ** level; level++) {
      const row = await this.readLevel(level, Math.floor(meta.size / 2 ** level))
      if (row === undefined || row.digest.copy().digest('hex') !== meta.levels[level]) {
        this.clear()
        return
      }
      this.levels.push(row)
    }
    this.saved = { beside: meta.beside }
  }

  append(hash: Uint8Array): void {
    let top = hash
    for (let level = 0; ; level++) {
      const count = this.push(level, top)
      if (count % 2 === 1) return
      top = nodeHash(sha256, this.hash(level, count - 2), top)
    }
  }

  hash(level: number, index: number): Uint8Array {
    const row = this.levels[level]
    if (row === undefined || index < 0 || index >= row.count) {
      throw new RangeError(`no complete subtree ${index} at level ${level}`)
    }
    if (index < row.chunksFrom) return this.readHash(level, row, index)
    return hashAt(
      row.chunks[Math.floor((index - row.chunksFrom) / chunkHashes)],
      index % chunkHashes,
    )
  }

  async save(beside: JsonValue): Promise<void> {
    const { size } = this
    // Of this very moment: what is appended later belongs to the next time.
    const parts = this.levels.map((row, level) => {
      const bytes = unsavedBytes(row)
      return { row, level, bytes, digest: row.digest.copy().update(bytes), until: row.count }
    })
    for (const { row, level, bytes } of parts) {
      if (bytes.length === 0) continue
      const handle = await this.handle(level)
      await writeFully(this.files, handle, bytes, row.saved * hashBytes)
      await this.files.sync(handle)
    }
    const meta: z.infer<typeof Meta> = {
      version: 1,
      size,
      levels: parts.map(({ digest }) => digest.copy().digest('hex')),
      beside,
    }
    await replaceFile(this.files, this.metaPath(), Buffer.from(JSON.stringify(meta)))
    for (const { row, digest, until } of parts) {
      row.saved = until
      row.digest = digest
      while (row.chunks.length > 1 && row.chunksFrom + chunkHashes <= until) {
        row.chunks.shift()
        row.chunksFrom += chunkHashes
      }
    }
  }

  clear(): void {
    this.levels = []
    this.pages.clear()
    this.saved = undefined
  }

  async close(): Promise<void> {
    for (const handle of this.handles) await handle.close()
    this.handles.length = 0
    this.clear()
  }

  private push(level: number, hash: Uint8Array): number {
    let row = this.levels[level]
    if (row === undefined) {
      row = emptyLevel()
      this.levels.push(row)
    }
    const at = row.count - row.chunksFrom
    let chunk = row.chunks[Math.floor(at / chunkHashes)]
    if (chunk === undefined) {
      chunk = new Uint8Array(chunkHashes * hashBytes)
      row.chunks.push(chunk)
    }
    chunk.set(hash, (row.count % chunkHashes) * hashBytes)
    return ++row.count
  }

  private readHash(level: number, row: Level, index: number): Uint8Array {
    const number = Math.floor(index / pageHashes)
    const key = level * 2 ** 40 + number
    let page = this.pages.get(key)
    this.pages.delete(key)
    if (page === undefined) {
      const handle = this.handles[level]
      if (handle === undefined) throw new RangeError(`level ${level} has no file`)
      const hashes = Math.min(pageHashes, row.saved - number * pageHashes)
      page = new Uint8Array(hashes * hashBytes)
      const read = readSync(handle.fd, page, 0, page.length, number * pageHashes * hashBytes)
      if (read !== page.length) throw new RangeError(`level ${level} of the tree is cut off`)
      const [oldest] = this.pages.keys()
      if (this.pages.size >= maxPages && oldest !== undefined) this.pages.delete(oldest)
    }
    // A page that was not whole when it was read is read again.
    if (page.length === pageHashes * hashBytes) this.pages.set(key, page)
    return hashAt(page, index % pageHashes)
  }

  /** A level with its newest chunk in memory; undefined when the file holds fewer hashes. */
  private async readLevel(level: number, count: number): Promise<Level | undefined> {
    if (!existsSync(this.levelPath(level))) return undefined
    const handle = await this.handle(level)
    const row: Level = { ...emptyLevel(), count, saved: count }
    row.chunksFrom = Math.floor((count - 1) / chunkHashes) * chunkHashes
    const until = count * hashBytes
    for (let at = 0; at < until; ) {
      const bytes = new Uint8Array(Math.min(readBytes, until - at))
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, at)
      if (bytesRead !== bytes.length) return undefined
      row.digest.update(bytes)
      at += bytes.length
    }
    const chunk = new Uint8Array(chunkHashes * hashBytes)
    const from = row.chunksFrom * hashBytes
    await handle.read(chunk, 0, until - from, from)
    row.chunks.push(chunk)
    return row
  }

  private async readMeta(): Promise<z.infer<typeof Meta> | undefined> {
    if (!existsSync(this.metaPath())) return undefined
    try {
      return Meta.parse(JSON.parse(await readFile(this.metaPath(), 'utf8')))
    } catch {
      // Of another version, or damaged: as if it was not there.
      return undefined
    }
  }

  private async handle(level: number): Promise<FileHandle> {
    let handle = this.handles[level]
    if (handle === undefined) {
      const path = this.levelPath(level)
      handle = await this.files.open(path, existsSync(path) ? 'r+' : 'wx+', 0o600)
      this.handles[level] = handle
      await this.files.syncDirectory(this.directory)
    }
    return handle
  }

  private levelPath(level: number): string {
    return join(this.directory, `${String(level).padStart(2, '0')}.hashes`)
  }

  private metaPath(): string {
    return join(this.directory, 'saved.json')
  }
}

function emptyLevel(): Level {
  return { count: 0, saved: 0, digest: createHash('sha256'), chunks: [], chunksFrom: 0 }
}

function hashAt(bytes: Uint8Array | undefined, index: number): Uint8Array {
  if (bytes === undefined) throw new RangeError('a piece of the tree is missing')
  return bytes.subarray(index * hashBytes, (index + 1) * hashBytes)
}

function unsavedBytes(row: Level): Uint8Array {
  const bytes = new Uint8Array((row.count - row.saved) * hashBytes)
  for (let at = row.saved; at < row.count; ) {
    const chunk = row.chunks[Math.floor((at - row.chunksFrom) / chunkHashes)]
    const from = at % chunkHashes
    const hashes = Math.min(chunkHashes - from, row.count - at)
    if (chunk === undefined) throw new RangeError('a piece of the tree is missing')
    bytes.set(
      chunk.subarray(from * hashBytes, (from + hashes) * hashBytes),
      (at - row.saved) * hashBytes,
    )
    at += hashes
  }
  return bytes
}
