import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { uptime } from 'node:os'
import { join } from 'node:path'

/** Files of this process: a process of the same id before it (containers begin at 1 again) had others. */
const own = new Set<string>()

/**
 * Records that wait for their receiver, in a file: one line a record, AES-256-GCM with the line number as additional
 * data. A file belongs to one process; what a dead one left is taken over whole.
 */
export class Spool {
  readonly path: string
  private readonly directory: string
  private readonly key: Uint8Array
  private readonly maxBytes: number
  private handle: number | undefined
  private reader: SpoolReader
  private lines = 0
  private bytes = 0
  /** What other processes have in the folder: the limit is one for all of them. */
  private othersBytes = 0
  private broken = false

  /** @param maxBytes limit of the whole folder, files of other processes included. */
  constructor(directory: string, key: Uint8Array, maxBytes: number) {
    this.directory = directory
    this.path = join(directory, newName())
    this.key = key
    this.maxBytes = maxBytes
    this.reader = new SpoolReader(this.path, key)
  }

  get isEmpty(): boolean {
    return this.lines === 0
  }

  /** False when the spool is full or cannot be written: the record is not kept. Never throws. */
  append(record: string): boolean {
    if (this.broken) return false
    const line = Buffer.from(`${seal(this.key, this.lines, record)}\n`)
    try {
      if (this.handle === undefined) {
        mkdirSync(this.directory, { recursive: true, mode: 0o700 })
        this.othersBytes = bytesIn(this.directory)
        this.handle = openSync(this.path, 'a', 0o600)
      }
      if (this.othersBytes + this.bytes + line.length > this.maxBytes) return false
      for (let at = 0; at < line.length; ) at += writeSync(this.handle, line, at)
    } catch {
      this.takeBack()
      return false
    }
    this.lines++
    this.bytes += line.length
    return true
  }

  /** A line may stand half in the file: nothing after it could be read. When the disk has room again it goes on. */
  private takeBack(): void {
    if (this.handle === undefined) return
    try {
      ftruncateSync(this.handle, this.bytes)
    } catch {
      this.broken = true
    }
  }

  /** True while the folder has room for so many bytes more, as far as this process knows. */
  hasRoomFor(bytes: number): boolean {
    return !this.broken && this.othersBytes + this.bytes + bytes <= this.maxBytes
  }

  sync(): void {
    try {
      if (this.handle !== undefined) fsyncSync(this.handle)
    } catch {
      // What the disk refuses was written at least to the system's cache.
    }
  }

  /** The oldest records that are not delivered, see {@link SpoolReader.peek}. */
  peek(maxRecords: number, maxBytes: number): SpoolBatch {
    return this.reader.peek(maxRecords, maxBytes)
  }

  /** The batch was delivered. */
  advance(batch: SpoolBatch): void {
    this.reader.advance(batch)
  }

  /**
   * Everything that could be read was delivered: the file goes, and stays aside where somebody changed it.
   *
   * @returns true when lines were left that could not be read.
   */
  clear(): boolean {
    const damaged = this.reader.line < this.lines
    if (this.handle !== undefined) closeSync(this.handle)
    this.handle = undefined
    if (damaged) setAside(this.path)
    else rmSync(this.path, { force: true })
    this.reader = new SpoolReader(this.path, this.key)
    this.lines = 0
    this.bytes = 0
    this.broken = false
    return damaged
  }
}

/** Records as they stand one after the other in a spool, and where the next ones begin. */
export interface SpoolBatch {
  readonly records: string[]
  readonly offset: number
  readonly line: number
}

const chunkBytes = 64 * 1024
/** A record is at most some hundred KiB; a file without newlines is no spool. */
const maxLineBytes = 8 * 1024 * 1024

/** Reads a spool batch by batch: a full one is large, and whoever waits for the pipe must not wait for it. */
export class SpoolReader {
  readonly path: string
  /** Lines that were delivered. */
  line = 0
  private readonly key: Uint8Array
  private offset = 0

  constructor(path: string, key: Uint8Array) {
    this.path = path
    this.key = key
  }

  /**
   * At least one record, up to the limits; none at the end, or where a line does not authenticate or the file cannot
   * be read. The same again until {@link advance}. A last line without its end was never whole.
   */
  peek(maxRecords: number, maxBytes: number): SpoolBatch {
    const records: string[] = []
    let { offset, line } = this
    let bytes = 0
    for (const text of linesFrom(this.path, offset)) {
      const record = open(this.key, line, text)
      if (record === undefined) break
      bytes += Buffer.byteLength(record)
      if (records.length > 0 && bytes > maxBytes) break
      records.push(record)
      offset += text.length + 1
      line++
      if (records.length >= maxRecords) break
    }
    return { records, offset, line }
  }

  advance({ offset, line }: SpoolBatch): void {
    this.offset = offset
    this.line = line
  }

  /** True when a whole line stands where nothing more could be read: somebody changed it. */
  get isDamaged(): boolean {
    return linesFrom(this.path, this.offset).next().done !== true
  }
}

/** Whole lines of a file from an offset on, without their ends; none where it cannot be read. */
function* linesFrom(path: string, offset: number): Generator<string, void> {
  let handle: number
  try {
    handle = openSync(path, 'r')
  } catch {
    return
  }
  try {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    let rest = Buffer.alloc(0)
    for (let at = offset; rest.length < maxLineBytes; ) {
      const count = readSync(handle, chunk, 0, chunkBytes, at)
      if (count === 0) return
      at += count
      rest = Buffer.concat([rest, chunk.subarray(0, count)])
      let from = 0
      for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a, from)) {
        yield rest.toString('latin1', from, end)
        from = end + 1
      }
      rest = rest.subarray(from)
    }
  } finally {
    closeSync(handle)
  }
}

/**
 * Files that dead processes left, claimed by renaming, so that two taps never deliver the same one. Those that another
 * key wrote are left for the source that holds it.
 */
export function claimOrphans(directory: string, key: Uint8Array): SpoolReader[] {
  if (!existsSync(directory)) return []
  const claimed: SpoolReader[] = []
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    try {
      if (!isOrphan(name, path)) continue
      if (new SpoolReader(path, key).peek(1, 0).records.length === 0) continue
      const mine = join(directory, newName())
      renameSync(path, mine)
      claimed.push(new SpoolReader(mine, key))
    } catch {
      // Another tap was faster, or the file cannot be read.
    }
  }
  return claimed
}

/**
 * Removes an orphan that was delivered; what could not be read of it stays for a person to look at.
 *
 * @returns true when there was such a line.
 */
export function releaseOrphan(orphan: SpoolReader): boolean {
  const damaged = orphan.isDamaged
  if (damaged) setAside(orphan.path)
  else rmSync(orphan.path, { force: true })
  return damaged
}

function setAside(path: string): void {
  try {
    renameSync(path, `${path}.damaged`)
  } catch {
    // Somebody took the file away: there is nothing to keep.
  }
}

function bytesIn(directory: string): number {
  let bytes = 0
  for (const name of readdirSync(directory)) {
    if (!/\.spool(?:\.damaged)?$/.test(name)) continue
    try {
      bytes += statSync(join(directory, name)).size
    } catch {
      // Its owner has just delivered it.
    }
  }
  return bytes
}

function newName(): string {
  const name = `${process.pid}-${randomBytes(4).toString('hex')}.spool`
  own.add(name)
  return name
}

/** A process id counts only for files that were written since the machine started. */
function isOrphan(name: string, path: string): boolean {
  const pid = /^(\d+)-[0-9a-f]{8}\.spool$/.exec(name)?.[1]
  if (pid === undefined || own.has(name)) return false
  if (Number(pid) === process.pid || !isAlive(Number(pid))) return true
  return statSync(path).mtimeMs < Date.now() - uptime() * 1000
}

function seal(key: Uint8Array, line: number, record: string): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(String(line)))
  const body = Buffer.concat([cipher.update(record, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, body, cipher.getAuthTag()]).toString('base64')
}

function open(key: Uint8Array, line: number, text: string): string | undefined {
  try {
    const bytes = Buffer.from(text, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
    decipher.setAAD(Buffer.from(String(line)))
    decipher.setAuthTag(bytes.subarray(-16))
    return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString(
      'utf8',
    )
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
