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
  writeSync,
} from 'node:fs'
import { join } from 'node:path'

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

  constructor(directory: string, key: Uint8Array, maxBytes: number) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.path = join(directory, `${process.pid}-${randomBytes(4).toString('hex')}.spool`)
    this.key = key
    this.maxBytes = maxBytes
  }

  get isEmpty(): boolean {
    return this.lines === 0
  }

  /** False when the spool is full: the record is not kept. */
  append(record: string): boolean {
    const line = `${seal(this.key, this.lines, record)}\n`
    if (this.bytes + line.length > this.maxBytes) return false
    this.handle ??= openSync(this.path, 'a', 0o600)
    writeSync(this.handle, line)
    this.lines++
    this.bytes += line.length
    return true
  }

  sync(): void {
    if (this.handle !== undefined) fsyncSync(this.handle)
  }

  /** Records in order, for delivery; the file stays until {@link clear}. */
  records(): string[] {
    return this.lines === 0 ? [] : readSpool(this.path, this.key)
  }

  /** Everything was delivered. */
  clear(): void {
    if (this.handle !== undefined) closeSync(this.handle)
    this.handle = undefined
    rmSync(this.path, { force: true })
    this.lines = 0
    this.bytes = 0
  }
}

/**
 * Files that dead processes left, claimed by renaming, so that two taps never deliver the same one.
 */
export function claimOrphans(
  directory: string,
  key: Uint8Array,
): { path: string; records: string[] }[] {
  if (!existsSync(directory)) return []
  const claimed: { path: string; records: string[] }[] = []
  for (const name of readdirSync(directory)) {
    const pid = /^(\d+)-[0-9a-f]{8}\.spool$/.exec(name)?.[1]
    if (pid === undefined || Number(pid) === process.pid || isAlive(Number(pid))) continue
    const mine = join(directory, `${process.pid}-${randomBytes(4).toString('hex')}.spool`)
    try {
      renameSync(join(directory, name), mine)
    } catch {
      continue
    }
    claimed.push({ path: mine, records: readSpool(mine, key) })
  }
  return claimed
}

/** Lines that do not authenticate end the file: a torn last line was never whole. */
function readSpool(path: string, key: Uint8Array): string[] {
  const records: string[] = []
  for (const [number, line] of readFileSync(path, 'utf8').split('\n').entries()) {
    const record = line === '' ? undefined : open(key, number, line)
    if (record === undefined) break
    records.push(record)
  }
  return records
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
