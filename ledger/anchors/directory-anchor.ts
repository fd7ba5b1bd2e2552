import { type FileHandle, open, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import type { Anchor, AnchorReceipt, CheckpointToAnchor } from '../anchor.ts'
import { type DurableFiles, makeDirectory, nodeFiles, writeFully } from '../durable-file.ts'
import { systemErrorMessage } from './system-error-message.ts'

/** One checkpoint of a log, as it stands in a file. */
export interface AnchoredNote {
  /** When it was put there, by the clock of the machine that put it. */
  readonly at: string
  readonly note: string
  readonly size: number
  readonly path: string
}

const Line = z.object({ at: z.string(), checkpoint: z.string() })

const rotateBytes = 4 * 1024 * 1024
const readBytes = 1024 * 1024

/**
 * Anchor in a directory of another disk, best one that this machine may only append to (`chattr +a`, a WORM share):
 * `<deployment>/<log>/NNNNNNNN.ndjson`, a line {at, checkpoint} a checkpoint, appended and synced, never written again.
 *
 * What counts is the largest checkpoint anywhere in the files: whoever may append could append an old one.
 *
 * The directory itself must exist: a disk that is not mounted must not be taken for one that holds nothing.
 */
export function openDirectoryAnchor(
  directory: string,
  clock: () => number,
  files: DurableFiles = nodeFiles,
): Anchor {
  return new DirectoryAnchor(directory, clock, files)
}

/** Checkpoints of a log in an anchor directory, in the order of the files. @throws SealtrailError `ANCHOR_UNAVAILABLE` */
export async function* readAnchorDirectory(
  directory: string,
  origin: string,
): AsyncGenerator<AnchoredNote> {
  try {
    await checkMounted(directory)
    for (const path of await anchorFiles(directory, origin)) yield* readNotes(path, 0)
  } catch (cause) {
    throw unavailable(directory, cause)
  }
}

class DirectoryAnchor implements Anchor {
  readonly kind = 'directory'
  readonly readable = true
  readonly target: string
  private readonly clock: () => number
  private readonly files: DurableFiles
  /** Of each file, how far it was read and the largest checkpoint up to there. */
  private readonly read = new Map<string, { bytes: number; newest: AnchoredNote | undefined }>()

  constructor(directory: string, clock: () => number, files: DurableFiles) {
    this.target = directory
    this.clock = clock
    this.files = files
  }

  async put(checkpoint: CheckpointToAnchor): Promise<AnchorReceipt> {
    try {
      const known = await this.largest(checkpoint.origin)
      if (known?.note === checkpoint.note)
        return { at: known.at, answer: known.path, cosignatures: [] }
      const folder = folderOf(this.target, checkpoint.origin)
      await makeDirectory(this.files, folder)
      const last = (await anchorFiles(this.target, checkpoint.origin)).at(-1)
      const path =
        last === undefined || (await stat(last)).size >= rotateBytes
          ? join(folder, nameAfter(last))
          : last
      const at = new Date(this.clock()).toISOString()
      await this.append(path, `${JSON.stringify({ at, checkpoint: checkpoint.note })}\n`)
      return { at, answer: path, cosignatures: [] }
    } catch (cause) {
      throw unavailable(this.target, cause)
    }
  }

  async newest(origin: string): Promise<string | undefined> {
    try {
      return (await this.largest(origin))?.note
    } catch (cause) {
      throw unavailable(this.target, cause)
    }
  }

  async close(): Promise<void> {}

  private async largest(origin: string): Promise<AnchoredNote | undefined> {
    await checkMounted(this.target)
    let largest: AnchoredNote | undefined
    for (const path of await anchorFiles(this.target, origin)) {
      const known = this.read.get(path)
      const { size } = await stat(path)
      // A file that shrank was written over: it is read anew.
      const from = known !== undefined && known.bytes <= size ? known.bytes : 0
      let newest = from === 0 ? undefined : known?.newest
      let bytes = from
      for await (const each of readNotes(path, from, (end) => (bytes = end))) {
        if (newest === undefined || each.size > newest.size) newest = each
      }
      this.read.set(path, { bytes, newest })
      if (newest !== undefined && (largest === undefined || newest.size > largest.size))
        largest = newest
    }
    return largest
  }

  /** Opened for appending only, so that the kernel may forbid anything else. */
  private async append(path: string, line: string): Promise<void> {
    const handle = await this.files.open(path, 'a+', 0o600)
    try {
      const { size } = await handle.stat()
      // A line that a power cut tore is ended, so that the next one stands by itself.
      const whole = size === 0 || (await lastByte(handle, size)) === 0x0a ? line : `\n${line}`
      await writeFully(this.files, handle, Buffer.from(whole), size)
      await this.files.sync(handle)
      if (size === 0) await this.files.syncDirectory(dirname(path))
    } finally {
      await handle.close()
    }
  }
}

async function checkMounted(directory: string): Promise<void> {
  if (!(await stat(directory)).isDirectory()) throw new Error('it is no directory')
}

/** An origin is `<deployment>/<log>`. Nothing of it may lead elsewhere. */
function folderOf(directory: string, origin: string): string {
  return join(directory, ...origin.split('/').map((part) => part.replace(/[^A-Za-z0-9_-]/g, '_')))
}

async function anchorFiles(directory: string, origin: string): Promise<string[]> {
  const folder = folderOf(directory, origin)
  const names = await readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  return names
    .filter((name) => /^\d{8}\.ndjson$/.test(name))
    .sort()
    .map((name) => join(folder, name))
}

function nameAfter(previous: string | undefined): string {
  const number = previous === undefined ? 0 : Number(previous.slice(-15, -7)) + 1
  return `${String(number).padStart(8, '0')}.ndjson`
}

/** Whole lines that hold a checkpoint. A torn one was never promised; others are left to whoever looks. */
async function* readNotes(
  path: string,
  from: number,
  onRead: (end: number) => void = () => undefined,
): AsyncGenerator<AnchoredNote> {
  const handle = await open(path, 'r')
  try {
    let rest = Buffer.alloc(0)
    for (let at = from; ; ) {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(readBytes), 0, readBytes, at)
      if (bytesRead === 0) return
      at += bytesRead
      const bytes = Buffer.concat([rest, buffer.subarray(0, bytesRead)])
      const end = bytes.lastIndexOf(0x0a) + 1
      rest = bytes.subarray(end)
      for (const line of bytes.subarray(0, end).toString('utf8').split('\n')) {
        const parsed = parseLine(line)
        if (parsed !== undefined) yield { ...parsed, path }
      }
      onRead(at - rest.length)
    }
  } finally {
    await handle.close()
  }
}

function parseLine(line: string): Omit<AnchoredNote, 'path'> | undefined {
  try {
    const { at, checkpoint } = Line.parse(JSON.parse(line))
    return { at, note: checkpoint, size: readCheckpoint(checkpoint).size }
  } catch {
    return undefined
  }
}

async function lastByte(handle: FileHandle, size: number): Promise<number | undefined> {
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
  return buffer[0]
}

function unavailable(directory: string, cause: unknown): SealtrailError {
  if (isSealtrailError(cause)) return cause
  return new SealtrailError(
    'ANCHOR_UNAVAILABLE',
    `anchor directory ${directory}: ${systemErrorMessage(cause)}`,
    { cause, retryable: true, hint: 'Mount it, and let the user of Sealtrail append to it.' },
  )
}
