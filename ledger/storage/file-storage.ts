import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fromUtf8Strict, utf8 } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { readCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { type DurableFiles, makeDirectory, nodeFiles } from '../durable-file.ts'
import type { LedgerStorage } from '../ledger-storage.ts'
import { checkLogId } from '../log-id.ts'
import type { Segment, SegmentHeader } from '../segment.ts'
import { FrameLog, type FramePlace } from './frame-log.ts'
import { compressSegment, decodeSegmentHeader, unpackSegment } from './segment-codec.ts'

export interface FileStorageOptions {
  readonly files?: DurableFiles
  readonly rotateBytes?: number
  /** For whoever examines a ledger: nothing is created, cut or appended. */
  readonly readOnly?: boolean
  /** Told of a torn last frame, which was never acknowledged. It is cut, unless `readOnly`. */
  readonly onTear?: (message: string) => void
}

/** Segments that are read before a reader asks for them, once he came back for a second one. */
const segmentsAhead = 4

interface StoredLog {
  readonly segments: FrameLog
  readonly checkpoints: FrameLog
  /** First index of each segment, ascending, and where it lies. */
  readonly fromIndexes: number[]
  readonly places: FramePlace[]
  readonly checkpointPlaces: Map<number, FramePlace>
  readonly checkpointSizes: number[]
  size: number
  /** Index of an append that is under way: a second one at the same index has lost. */
  pendingFrom: number
  /** First index that no frame was written or queued for. */
  handedOver: number
  /** Segments go to the disk in the order in which they were appended. */
  turn: Promise<unknown>
}

/**
 * The embedded ledger: `<directory>/<log>/segments/` and `<directory>/<log>/checkpoints/`, each a {@link FrameLog}.
 * The caller holds the lock of the data directory.
 *
 * @throws SealtrailError `LEDGER_CORRUPT` naming file, offset and leaf index.
 */
export async function openFileStorage(
  directory: string,
  options: FileStorageOptions = {},
): Promise<LedgerStorage> {
  const storage = new FileStorage(directory, options)
  if (options.readOnly !== true) await makeDirectory(options.files ?? nodeFiles, directory)
  try {
    for (const name of (await readdir(directory)).sort()) {
      const parts = ['segments', 'checkpoints'].map((part) => join(directory, name, part))
      if (parts.some((part) => existsSync(part))) await storage.openLog(name)
    }
    return storage
  } catch (error) {
    await storage.close()
    throw error
  }
}

class FileStorage implements LedgerStorage {
  private readonly directory: string
  private readonly options: FileStorageOptions
  private readonly logs = new Map<string, Promise<StoredLog>>()

  constructor(directory: string, options: FileStorageOptions) {
    this.directory = directory
    this.options = options
  }

  openLog(logId: string): Promise<StoredLog> {
    let log = this.logs.get(logId)
    if (log === undefined) {
      log = this.load(checkLogId(logId)).catch((error: unknown) => {
        // A disk that answers again must not need a restart.
        this.logs.delete(logId)
        throw error
      })
      this.logs.set(logId, log)
    }
    return log
  }

  async appendSegment(logId: string, segment: Segment): Promise<void> {
    const log = await this.openLog(logId)
    const expected = log.pendingFrom
    if (segment.fromIndex !== expected) {
      throw new SealtrailError(
        'LEDGER_CONFLICT',
        `log ${logId} continues at ${expected}, not at ${segment.fromIndex}`,
      )
    }
    if (
      segment.nextIndex !== segment.fromIndex + segment.leaves.length ||
      segment.leaves.length === 0
    ) {
      throw new SealtrailError(
        'LEDGER_CONFLICT',
        `segment ${segment.fromIndex} of ${logId} miscounts`,
      )
    }
    log.pendingFrom = segment.nextIndex
    const compressed = compressSegment(segment)
    // In order, however long each of them takes to compress.
    const turn = log.turn.then(() => compressed)
    log.turn = turn.catch(() => undefined)
    const bytes = await turn
    if (segment.fromIndex !== log.handedOver) {
      throw new SealtrailError(
        'DISK_FULL',
        `segment ${segment.fromIndex} of ${logId} waited behind one that was refused`,
        { retryable: true },
      )
    }
    log.handedOver = segment.nextIndex
    const place = await log.segments.append(bytes).catch((error: unknown) => {
      // Refused, and the log is as it was: the next one begins there again.
      if (isSealtrailError(error, 'DISK_FULL')) {
        log.pendingFrom = log.size
        log.handedOver = log.size
      }
      throw error
    })
    log.fromIndexes.push(segment.fromIndex)
    log.places.push(place)
    log.size = segment.nextIndex
  }

  async readSegment(logId: string, fromIndex: number): Promise<Segment | undefined> {
    const log = await this.known(logId)
    const at = log === undefined ? -1 : segmentHolding(log.fromIndexes, fromIndex)
    if (log === undefined || log.fromIndexes[at] !== fromIndex) return undefined
    return this.segmentAt(logId, log, at)
  }

  async *readSegments(logId: string, fromIndex: number): AsyncIterable<Segment> {
    const log = await this.known(logId)
    if (log === undefined || fromIndex >= log.size) return
    const until = log.places.length
    let next = Math.max(0, segmentHolding(log.fromIndexes, fromIndex))
    const ahead: Promise<Segment>[] = []
    // Whoever wants one segment reads one; whoever comes back for more finds some that were read meanwhile.
    for (let window = 1; next < until || ahead.length > 0; window = segmentsAhead) {
      while (next < until && ahead.length < window) {
        const segment = this.segmentAt(logId, log, next++)
        // Its error is that of the one who reaches it.
        segment.catch(() => undefined)
        ahead.push(segment)
      }
      const segment = await ahead.shift()
      if (segment !== undefined) yield segment
    }
  }

  async *readHeaders(logId: string): AsyncIterable<SegmentHeader> {
    const log = await this.known(logId)
    if (log === undefined) return
    const until = log.places.length
    for (let at = 0; at < until; at++) {
      yield await this.at(logId, log, at, decodeSegmentHeader)
    }
  }

  async size(logId: string): Promise<number> {
    return (await this.known(logId))?.size ?? 0
  }

  async writeCheckpoint(logId: string, size: number, note: string): Promise<void> {
    const log = await this.openLog(logId)
    const stored = await this.readCheckpoint(logId, size)
    if (stored === note) return
    if (stored !== undefined) {
      throw new SealtrailError(
        'LEDGER_CONFLICT',
        `log ${logId} has another checkpoint of size ${size}`,
      )
    }
    if (size < (log.checkpointSizes.at(-1) ?? 0)) {
      throw new SealtrailError(
        'LEDGER_CONFLICT',
        `log ${logId} has a newer checkpoint than ${size}`,
      )
    }
    const place = await log.checkpoints.append(utf8(`{"size":${size}}\n${note}`))
    log.checkpointPlaces.set(size, place)
    log.checkpointSizes.push(size)
  }

  async readCheckpoint(logId: string, size: number): Promise<string | undefined> {
    const log = await this.known(logId)
    const place = log?.checkpointPlaces.get(size)
    if (log === undefined || place === undefined) return undefined
    const { note } = splitCheckpoint(logId, await log.checkpoints.read(place))
    return note
  }

  async checkpointSizes(logId: string): Promise<number[]> {
    return [...((await this.known(logId))?.checkpointSizes ?? [])]
  }

  async logIds(): Promise<string[]> {
    const ids: string[] = []
    for (const [logId, opening] of this.logs) {
      const log = await opening
      if (log.size > 0 || log.checkpointSizes.length > 0) ids.push(logId)
    }
    return ids.sort()
  }

  async close(): Promise<void> {
    for (const log of this.logs.values()) {
      const { segments, checkpoints } = await log
      await segments.close()
      await checkpoints.close()
    }
    this.logs.clear()
  }

  private async known(logId: string): Promise<StoredLog | undefined> {
    return this.logs.get(logId)
  }

  private segmentAt(logId: string, log: StoredLog, at: number): Promise<Segment> {
    return this.at(logId, log, at, unpackSegment)
  }

  private async at<Part extends SegmentHeader>(
    logId: string,
    log: StoredLog,
    at: number,
    decode: (content: Uint8Array) => Part | Promise<Part>,
  ): Promise<Part> {
    const place = log.places[at]
    const fromIndex = log.fromIndexes[at] ?? -1
    if (place === undefined) throw corrupt(logId, fromIndex, 'is missing')
    const content = await log.segments.read(place)
    const part = await decodedAt(logId, fromIndex, () => decode(content))
    if (part.fromIndex !== fromIndex) throw corrupt(logId, part.fromIndex, 'is misplaced')
    return part
  }

  private async load(logId: string): Promise<StoredLog> {
    const onTear = this.options.onTear ?? (() => undefined)
    const frames = {
      files: this.options.files ?? nodeFiles,
      rotateBytes: this.options.rotateBytes ?? 64 * 1024 * 1024,
      readOnly: this.options.readOnly ?? false,
      onTear,
    }
    // The checkpoints first: what one of them covers was promised, and is never taken for torn.
    const checkpointPlaces = new Map<number, FramePlace>()
    const checkpointSizes: number[] = []
    const checkpoints = await FrameLog.open(
      join(this.directory, logId, 'checkpoints'),
      frames,
      (place, content) => {
        const { size: checkpointSize } = splitCheckpoint(logId, content)
        const newest = checkpointSizes.at(-1) ?? 0
        if (checkpointSize <= newest) {
          throw new SealtrailError(
            'LEDGER_CORRUPT',
            `log ${logId}: a checkpoint of size ${checkpointSize} stands behind one of size ${newest}`,
          )
        }
        checkpointPlaces.set(checkpointSize, place)
        checkpointSizes.push(checkpointSize)
      },
    )
    const fromIndexes: number[] = []
    const places: FramePlace[] = []
    let size = 0
    const segments = await FrameLog.open(
      join(this.directory, logId, 'segments'),
      {
        ...frames,
        onTear: (message) => {
          const promised = checkpointSizes.at(-1) ?? 0
          if (size < promised) {
            throw new SealtrailError(
              'LEDGER_CORRUPT',
              `${message}, and a checkpoint covers ${promised} leaves: what is damaged was promised`,
              {
                hint: 'Restore the file from a backup; run sealtrail verify to see what it holds.',
              },
            )
          }
          onTear(message)
        },
      },
      (place, content) => {
        const segment = headerAt(logId, size, content)
        if (segment.fromIndex !== size)
          throw corrupt(logId, segment.fromIndex, `does not follow ${size}`)
        fromIndexes.push(segment.fromIndex)
        places.push(place)
        size = segment.nextIndex
      },
    ).catch(async (error: unknown) => {
      await checkpoints.close()
      throw error
    })
    return {
      segments,
      checkpoints,
      fromIndexes,
      places,
      checkpointPlaces,
      checkpointSizes,
      size,
      pendingFrom: size,
      handedOver: size,
      turn: Promise.resolve(),
    }
  }
}

/** Names the segment that does not decode, although its checksum is right. */
async function decodedAt<T>(
  logId: string,
  fromIndex: number,
  decode: () => T | Promise<T>,
): Promise<T> {
  try {
    return await decode()
  } catch (cause) {
    throw undecodable(logId, fromIndex, cause)
  }
}

function headerAt(logId: string, fromIndex: number, content: Uint8Array): SegmentHeader {
  try {
    return decodeSegmentHeader(content)
  } catch (cause) {
    throw undecodable(logId, fromIndex, cause)
  }
}

function undecodable(logId: string, fromIndex: number, cause: unknown): SealtrailError {
  return new SealtrailError(
    'LEDGER_CORRUPT',
    `log ${logId}: segment ${fromIndex} cannot be decoded`,
    { cause },
  )
}

/** Position of the segment that holds a leaf index, by binary search; -1 in an empty log. */
function segmentHolding(fromIndexes: readonly number[], index: number): number {
  let low = 0
  let high = fromIndexes.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((fromIndexes[middle] ?? 0) <= index) low = middle + 1
    else high = middle
  }
  return low - 1
}

function splitCheckpoint(logId: string, content: Uint8Array): { size: number; note: string } {
  try {
    const text = fromUtf8Strict(content)
    const newline = text.indexOf('\n')
    const size = Number(/^\{"size":(\d+)\}$/.exec(text.slice(0, newline))?.[1])
    const note = text.slice(newline + 1)
    if (readCheckpoint(note).size !== size) throw new RangeError('its size is another one')
    return { size, note }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SealtrailError(
      'LEDGER_CORRUPT',
      `log ${logId}: a stored checkpoint is damaged: ${why}`,
      { cause },
    )
  }
}

function corrupt(logId: string, fromIndex: number, what: string): SealtrailError {
  return new SealtrailError('LEDGER_CORRUPT', `log ${logId}: segment ${fromIndex} ${what}`)
}
