import { existsSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { appendSynced, createFile, type DurableFiles, makeDirectory } from '../durable-file.ts'
import { crc32c } from './crc32c.ts'

/** Where a frame's content lies. */
export interface FramePlace {
  readonly file: number
  readonly offset: number
  readonly length: number
}

export interface FrameLogOptions {
  readonly files: DurableFiles
  /** A file is closed for good when it reaches this size. */
  readonly rotateBytes: number
  /** Nothing is created or cut: what is torn is left out. */
  readonly readOnly?: boolean
  /** Told of a torn end before it is cut; throws to keep it, and {@link FrameLog.open} fails with that. */
  readonly onTear: (message: string) => void
}

const headerBytes = 8
const maxFrameBytes = 64 * 1024 * 1024
const scanChunkBytes = 4 * 1024 * 1024

/**
 * Append-only frames in numbered files: uint32 length, uint32 CRC-32C of the content, content; big-endian. Each frame
 * is synced before the next one is written.
 *
 * So what stands behind the last whole frame of the newest file is a frame that was never acknowledged: parts of it,
 * in any order, or the zeros of a file that grew before its data was written. It is cut. Damage before a whole frame
 * hit what was acknowledged, and refuses to open.
 */
export class FrameLog {
  private readonly directory: string
  private readonly options: FrameLogOptions
  private handles: FileHandle[] = []
  private end = 0
  private waiting: {
    bytes: Uint8Array
    done: (place: FramePlace) => void
    fail: (e: Error) => void
  }[] = []
  private flushing: Promise<void> | undefined
  private broken: Error | undefined

  private constructor(directory: string, options: FrameLogOptions) {
    this.directory = directory
    this.options = options
  }

  /** Opens and scans; `onFrame` sees every frame in order. @throws SealtrailError `LEDGER_CORRUPT` naming file and offset */
  static async open(
    directory: string,
    options: FrameLogOptions,
    onFrame: (place: FramePlace, content: Uint8Array) => void,
  ): Promise<FrameLog> {
    if (options.readOnly !== true) await makeDirectory(options.files, directory)
    const log = new FrameLog(directory, options)
    const names = (existsSync(directory) ? await readdir(directory) : [])
      .filter((name) => /^\d{8}\.log$/.test(name))
      .sort()
    try {
      for (const [number, name] of names.entries()) {
        if (name !== fileName(number)) {
          throw new SealtrailError(
            'LEDGER_CORRUPT',
            `${join(directory, fileName(number))} is missing`,
          )
        }
        await log.scan(number, number === names.length - 1, onFrame)
      }
      if (options.readOnly === true) {
        log.broken = new SealtrailError('LEDGER_UNAVAILABLE', 'the log is open for reading only')
      } else if (names.length === 0) {
        await log.addFile()
      }
      return log
    } catch (error) {
      for (const handle of log.handles) await handle.close()
      throw error
    }
  }

  /**
   * Resolves when the frame is on stable storage.
   *
   * @throws SealtrailError `DISK_FULL` (retryable): the log is as it was, and what waited behind this frame is refused
   *   with it. After any other failure the log refuses everything.
   */
  append(content: Uint8Array): Promise<FramePlace> {
    if (this.broken !== undefined) return Promise.reject(this.broken)
    if (content.length > maxFrameBytes) {
      return Promise.reject(new SealtrailError('LEDGER_UNAVAILABLE', 'a frame is too large'))
    }
    const frame = new Uint8Array(headerBytes + content.length)
    const view = new DataView(frame.buffer)
    view.setUint32(0, content.length)
    view.setUint32(4, crc32c(content))
    frame.set(content, headerBytes)
    return new Promise((done, fail) => {
      this.waiting.push({ bytes: frame, done, fail })
      this.flushing ??= this.flush()
    })
  }

  /** Content of a frame; its checksum is checked again. */
  async read(place: FramePlace): Promise<Uint8Array> {
    const handle = this.handles[place.file]
    if (handle === undefined) throw new SealtrailError('LEDGER_CORRUPT', `no file ${place.file}`)
    const bytes = new Uint8Array(headerBytes + place.length)
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, place.offset - headerBytes)
    const view = new DataView(bytes.buffer)
    const content = bytes.subarray(headerBytes)
    if (
      bytesRead !== bytes.length ||
      view.getUint32(0) !== place.length ||
      view.getUint32(4) !== crc32c(content)
    ) {
      throw this.corrupt(
        place.file,
        place.offset - headerBytes,
        'a frame does not match its checksum',
      )
    }
    return content
  }

  async close(): Promise<void> {
    await this.flushing
    this.broken ??= new SealtrailError('LEDGER_UNAVAILABLE', 'the log is closed')
    for (const handle of this.handles) await handle.close()
    this.handles = []
  }

  private async flush(): Promise<void> {
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      try {
        next.done(await this.write(next.bytes))
      } catch (cause) {
        if (isSealtrailError(cause, 'DISK_FULL')) {
          for (const { fail } of [next, ...this.waiting.splice(0)]) fail(cause)
          continue
        }
        // A failed write or sync leaves pages in an unknown state: never retry, never append again.
        this.broken = new SealtrailError(
          'LEDGER_UNAVAILABLE',
          `writing ${join(this.directory, fileName(this.handles.length - 1))} failed; this process must stop`,
          { cause, hint: 'Check the disk, then start again: what was acknowledged is safe.' },
        )
        for (const { fail } of [next, ...this.waiting.splice(0)]) fail(this.broken)
      }
    }
    this.flushing = undefined
  }

  private async write(frame: Uint8Array): Promise<FramePlace> {
    if (this.end >= this.options.rotateBytes) await this.addFile()
    const file = this.handles.length - 1
    const handle = this.handles[file]
    if (handle === undefined) throw new Error('no open file')
    await appendSynced(this.options.files, handle, frame, this.end)
    const offset = this.end + headerBytes
    this.end += frame.length
    return { file, offset, length: frame.length - headerBytes }
  }

  private async addFile(): Promise<void> {
    const path = join(this.directory, fileName(this.handles.length))
    this.handles.push(await createFile(this.options.files, path))
    await this.options.files.syncDirectory(this.directory)
    this.end = 0
  }

  private async scan(
    file: number,
    newest: boolean,
    onFrame: (place: FramePlace, content: Uint8Array) => void,
  ): Promise<void> {
    const path = join(this.directory, fileName(file))
    const handle = await this.options.files.open(path, this.options.readOnly ? 'r' : 'r+', 0o600)
    this.handles.push(handle)
    const size = (await stat(path)).size
    let chunk = new Uint8Array(0)
    let chunkAt = 0
    const want = async (at: number, length: number): Promise<Uint8Array | undefined> => {
      if (at + length > size) return undefined
      if (at < chunkAt || at + length > chunkAt + chunk.length) {
        chunk = new Uint8Array(Math.min(Math.max(length, scanChunkBytes), size - at))
        chunkAt = at
        await handle.read(chunk, 0, chunk.length, at)
      }
      return chunk.subarray(at - chunkAt, at - chunkAt + length)
    }
    let at = 0
    while (at < size) {
      const header = await want(at, headerBytes)
      const view = header && new DataView(header.buffer, header.byteOffset, headerBytes)
      const length = view?.getUint32(0) ?? 0
      const sum = view?.getUint32(4) ?? 0
      const content =
        view && length <= maxFrameBytes ? await want(at + headerBytes, length) : undefined
      const whole = content !== undefined && length > 0 && crc32c(content) === sum
      if (!whole) {
        if (!newest) {
          throw this.corrupt(file, at, 'a frame is damaged, and newer files stand behind this one')
        }
        if (await this.holdsFrameAfter(handle, at, size)) {
          throw this.corrupt(file, at, 'a frame is damaged, and a whole one stands behind it')
        }
        this.options.onTear(`${path} at byte ${at}: a torn last frame of ${size - at} bytes`)
        if (this.options.readOnly !== true) {
          await handle.truncate(at)
          await this.options.files.sync(handle)
        }
        break
      }
      onFrame({ file, offset: at + headerBytes, length }, content)
      at += headerBytes + length
    }
    this.end = at
  }

  /** Tells damage from a torn end, behind which nothing whole can follow. */
  private async holdsFrameAfter(handle: FileHandle, from: number, size: number): Promise<boolean> {
    const bytes = new Uint8Array(Math.min(size - from, maxFrameBytes + headerBytes))
    await handle.read(bytes, 0, bytes.length, from)
    const view = new DataView(bytes.buffer)
    for (let at = 1; at + headerBytes < bytes.length; at++) {
      const length = view.getUint32(at)
      if (length === 0 || at + headerBytes + length > bytes.length) continue
      const content = bytes.subarray(at + headerBytes, at + headerBytes + length)
      if (looksLikeContent(content) && crc32c(content) === view.getUint32(at + 4)) return true
    }
    return false
  }

  private corrupt(file: number, offset: number, what: string): SealtrailError {
    return new SealtrailError(
      'LEDGER_CORRUPT',
      `${join(this.directory, fileName(file))} at byte ${offset}: ${what}`,
      {
        hint: 'This is no torn end, which would be cut: it was acknowledged, and is not repaired. Restore the file from a backup; sealtrail verify --offline says what it holds.',
      },
    )
  }
}

/** Cheap filter before a checksum is computed at every byte: our frames begin with a letter or a brace. */
function looksLikeContent(content: Uint8Array): boolean {
  const first = content[0]
  return first === 0x53 || first === 0x7b
}

function fileName(number: number): string {
  return `${String(number).padStart(8, '0')}.log`
}
