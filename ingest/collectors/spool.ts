import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
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
  private readonly key: Uint8Array
  private readonly maxBytes: number
  private handle: number | undefined
  private lines = 0
  private bytes = 0
  private broken = false

  private readonly directory: string

  constructor(directory: string, key: Uint8Array, maxBytes: number) {
    this.directory = directory
    this.path = join(directory, newName())
    this.key = key
    this.maxBytes = maxBytes
  }

  get isEmpty(): boolean {
    return this.lines === 0
  }

  /** False when the spool is full or cannot be written: the record is not kept. Never throws. */
  append(record: string): boolean {
    const line = Buffer.from(`${seal(this.key, this.lines, record)}\n`)
    if (this.broken || this.bytes + line.length > this.maxBytes) return false
    try {
      if (this.handle === undefined) {
        mkdirSync(this.directory, { recursive: true, mode: 0o700 })
        this.handle = openSync(this.path, 'a', 0o600)
      }
      for (let at = 0; at < line.length; ) at += writeSync(this.handle, line, at)
    } catch {
      // A line may stand half in the file now: nothing after it could be read.
      this.broken = this.handle !== undefined
      return false
    }
    this.lines++
    this.bytes += line.length
    return true
  }

  sync(): void {
    try {
      if (this.handle !== undefined) fsyncSync(this.handle)
    } catch {
      // What the disk refuses was written at least to the system's cache.
    }
  }

  /** Records in order, for delivery; the file stays until {@link clear}. */
  records(): string[] {
    return this.lines === 0 ? [] : readSpool(this.path, this.key).records
  }

  /** Everything was delivered. */
  clear(): void {
    if (this.handle !== undefined) closeSync(this.handle)
    this.handle = undefined
    rmSync(this.path, { force: true })
    this.lines = 0
    this.bytes = 0
    this.broken = false
  }
}

/** What a dead process left. */
export interface Orphan {
  readonly path: string
  readonly records: string[]
  /** Lines in the middle do not authenticate: the file is kept aside after delivery. */
  readonly damaged: boolean
}

/**
 * Files that dead processes left, claimed by renaming, so that two taps never deliver the same one. Those that another
 * key wrote are left for the source that holds it.
 */
export function claimOrphans(directory: string, key: Uint8Array): Orphan[] {
  if (!existsSync(directory)) return []
  const claimed: Orphan[] = []
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    try {
      if (!isOrphan(name, path)) continue
      const { records, damaged } = readSpool(path, key)
      if (records.length === 0) continue
      const mine = join(directory, newName())
      renameSync(path, mine)
      claimed.push({ path: mine, records, damaged })
    } catch {
      // Another tap was faster, or the file cannot be read.
    }
  }
  return claimed
}

/** Removes an orphan that was delivered; what could not be read of it stays for a person to look at. */
export function releaseOrphan({ path, damaged }: Orphan): void {
  if (damaged) renameSync(path, `${path}.damaged`)
  else rmSync(path, { force: true })
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

/** Lines that do not authenticate end the file: a torn last line was never whole. */
function readSpool(path: string, key: Uint8Array): { records: string[]; damaged: boolean } {
  const records: string[] = []
  const lines = readFileSync(path, 'utf8').split('\n')
  for (const [number, line] of lines.entries()) {
    const record = line === '' ? undefined : open(key, number, line)
    if (record === undefined) break
    records.push(record)
  }
  return { records, damaged: records.length < lines.length - 1 }
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
