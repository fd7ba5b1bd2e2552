import type { FileHandle } from 'node:fs/promises'
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import {
  appendSynced,
  createFile,
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
  writeFully,
} from '../durable-file.ts'
import { checkLogId } from '../log-id.ts'
import type { PayloadStore } from '../payload-store.ts'

/**
 * Payload file: batches one after the other. A batch is
 *
 * ```
 * "SPB1", uint48 first leaf index, uint32 count, uint32 bytes of all payloads     18 bytes, big-endian
 * count x uint32 length of each payload; 0 where the leaf has none
 * payloads
 * ```
 *
 * Files are numbered; a new one begins at 256 MiB. The index in memory is one entry a batch.
 */
const magic = Buffer.from('SPB1', 'ascii')
const batchHeaderBytes = 18
const rotateBytes = 256 * 1024 * 1024

interface Batch {
  readonly from: number
  readonly count: number
  readonly file: number
  /** Offset of the table of lengths. */
  readonly offset: number
  /** Bytes of all payloads, as the header says. */
  readonly total: number
}

interface PayloadLog {
  readonly directory: string
  readonly handles: FileHandle[]
  readonly batches: Batch[]
  end: number
  /** Puts of one log happen one after the other. */
  turn: Promise<void>
}

/**
 * The embedded payload store. The caller holds the lock of the data directory.
 *
 * @param readOnly nothing on disk is made or changed, and nothing can be put: for whoever examines a directory
 */
export async function openFilePayloadStore(
  directory: string,
  files: DurableFiles = nodeFiles,
  readOnly = false,
): Promise<PayloadStore> {
  if (!readOnly) await makeDirectory(files, directory)
  return new FilePayloadStore(directory, files, readOnly)
}

class FilePayloadStore implements PayloadStore {
  private readonly directory: string
  private readonly files: DurableFiles
  private readonly readOnly: boolean
  private readonly logs = new Map<string, Promise<PayloadLog>>()

  constructor(directory: string, files: DurableFiles, readOnly: boolean) {
    this.directory = directory
    this.files = files
    this.readOnly = readOnly
  }

  async put(
    logId: string,
    fromIndex: number,
    payloads: readonly (Uint8Array | undefined)[],
  ): Promise<void> {
    const log = await this.open(logId)
    const previous = log.turn
    const turn = previous.then(() => this.putBatch(log, fromIndex, payloads))
    log.turn = turn.catch(() => undefined)
    await turn
  }

  async get(logId: string, index: number): Promise<Uint8Array | undefined> {
    return (await this.getRange(logId, index, index + 1))[0]
  }

  async getRange(logId: string, from: number, until: number): Promise<(Uint8Array | undefined)[]> {
    const log = await this.open(logId)
    const result = new Array<Uint8Array | undefined>(Math.max(0, until - from)).fill(undefined)
    for (let at = firstHolding(log.batches, from); at < log.batches.length; at++) {
      const batch = log.batches[at]
      if (batch === undefined || batch.from >= until) break
      const payloads = await this.readBatch(log, batch)
      for (const [offset, payload] of payloads.entries()) {
        const index = batch.from + offset
        if (index >= from && index < until) result[index - from] = payload
      }
    }
    return result
  }

  async shred(logId: string, index: number): Promise<void> {
    const log = await this.open(logId)
    const batch = log.batches[firstHolding(log.batches, index)]
    if (batch === undefined || index < batch.from || index >= batch.from + batch.count) return
    const handle = this.handleOf(log, batch)
    const lengths = await this.readLengths(handle, batch)
    const at = index - batch.from
    let offset = batch.offset + batch.count * 4
    for (let i = 0; i < at; i++) offset += lengths[i] ?? 0
    await writeFully(this.files, handle, new Uint8Array(lengths[at] ?? 0), offset)
    await this.files.sync(handle)
  }

  async sweep(logId: string, committedSize: number): Promise<void> {
    const log = await this.open(logId)
    for (
      let last = log.batches.at(-1);
      last !== undefined && last.from >= committedSize;
      last = log.batches.at(-1)
    ) {
      log.batches.pop()
      const start = last.offset - batchHeaderBytes
      const handle = this.handleOf(log, last)
      await handle.truncate(start)
      await this.files.sync(handle)
      if (last.file === log.handles.length - 1) log.end = start
    }
  }

  async putBlob(logId: string, sha256: string, bytes: Uint8Array): Promise<void> {
    const path = this.blobPath(logId, sha256)
    await makeDirectory(this.files, dirname(path))
    if (await exists(path)) return
    await replaceFile(this.files, path, bytes)
  }

  async getBlob(logId: string, sha256: string): Promise<Uint8Array | undefined> {
    const path = this.blobPath(logId, sha256)
    return (await exists(path)) ? readFile(path) : undefined
  }

  async close(): Promise<void> {
    for (const opening of this.logs.values()) {
      const log = await opening
      await log.turn
      for (const handle of log.handles) await handle.close()
    }
    this.logs.clear()
  }

  private async putBatch(
    log: PayloadLog,
    fromIndex: number,
    payloads: readonly (Uint8Array | undefined)[],
  ): Promise<void> {
    const header = Buffer.alloc(batchHeaderBytes + payloads.length * 4)
    let total = 0
    for (const [i, payload] of payloads.entries()) {
      header.writeUInt32BE(payload?.length ?? 0, batchHeaderBytes + i * 4)
      total += payload?.length ?? 0
    }
    if (total === 0) return
    magic.copy(header)
    header.writeUIntBE(fromIndex, 4, 6)
    header.writeUInt32BE(payloads.length, 10)
    header.writeUInt32BE(total, 14)
    if (log.end >= rotateBytes) await this.addFile(log)
    const file = log.handles.length - 1
    const handle = log.handles[file]
    if (handle === undefined)
      throw new SealtrailError('LEDGER_UNAVAILABLE', 'no payload file is open')
    const bytes = Buffer.concat([header, ...payloads.filter((payload) => payload !== undefined)])
    const start = log.end
    try {
      await appendSynced(this.files, handle, bytes, start)
    } catch (cause) {
      if (isSealtrailError(cause, 'DISK_FULL')) throw cause
      throw new SealtrailError(
        'LEDGER_UNAVAILABLE',
        'writing payloads failed; this process must stop',
        { cause },
      )
    }
    log.end = start + bytes.length
    // A later put of the same index replaces what a failed commit left behind.
    while ((log.batches.at(-1)?.from ?? -1) >= fromIndex) log.batches.pop()
    log.batches.push({
      from: fromIndex,
      count: payloads.length,
      file,
      offset: start + batchHeaderBytes,
      total,
    })
  }

  private async readBatch(log: PayloadLog, batch: Batch): Promise<(Uint8Array | undefined)[]> {
    const handle = this.handleOf(log, batch)
    const lengths = await this.readLengths(handle, batch)
    const total = lengths.reduce((sum, length) => sum + length, 0)
    const bytes = Buffer.alloc(total)
    await handle.read(bytes, 0, total, batch.offset + batch.count * 4)
    let at = 0
    return lengths.map((length) => {
      const payload = bytes.subarray(at, at + length)
      at += length
      // Every payload begins with its version; shredded ones are zeros.
      return length === 0 || payload[0] === 0 ? undefined : payload
    })
  }

  private async readLengths(handle: FileHandle, batch: Batch): Promise<number[]> {
    const table = Buffer.alloc(batch.count * 4)
    const { bytesRead } = await handle.read(table, 0, table.length, batch.offset)
    if (bytesRead !== table.length) {
      throw new SealtrailError('PAYLOAD_MISSING', `payloads from leaf ${batch.from} on are cut off`)
    }
    const lengths = Array.from({ length: batch.count }, (_, i) => table.readUInt32BE(i * 4))
    const total = lengths.reduce((sum, length) => sum + length, 0)
    if (total !== batch.total) {
      throw new SealtrailError(
        'PAYLOAD_MISSING',
        `the header of the payloads from leaf ${batch.from} on says ${batch.total} bytes, and their lengths say ${total}`,
      )
    }
    return lengths
  }

  private handleOf(log: PayloadLog, batch: Batch): FileHandle {
    const handle = log.handles[batch.file]
    if (handle === undefined)
      throw new SealtrailError('PAYLOAD_MISSING', `payload file ${batch.file} is gone`)
    return handle
  }

  private open(logId: string): Promise<PayloadLog> {
    let log = this.logs.get(logId)
    if (log === undefined) {
      log = this.load(checkLogId(logId))
      this.logs.set(logId, log)
    }
    return log
  }

  private async load(logId: string): Promise<PayloadLog> {
    const directory = join(this.directory, logId)
    if (!this.readOnly) await makeDirectory(this.files, directory)
    const log: PayloadLog = { directory, handles: [], batches: [], end: 0, turn: Promise.resolve() }
    const listed = (await exists(directory)) ? await readdir(directory) : []
    const names = listed.filter((name) => /^\d{6}\.payloads$/.test(name)).sort()
    for (const [file, name] of names.entries()) {
      const path = join(directory, name)
      const handle = await this.files.open(path, this.readOnly ? 'r' : 'r+', 0o600)
      log.handles.push(handle)
      log.end = await this.scan(log, handle, file, (await stat(path)).size)
    }
    if (names.length === 0 && !this.readOnly) await this.addFile(log)
    return log
  }

  /**
   * Reads the batch headers only. What is torn at the end was never acknowledged and is written over; behind damage in
   * the middle the next whole batch is looked for, so that damage never costs more than what it hit.
   */
  private async scan(
    log: PayloadLog,
    handle: FileHandle,
    file: number,
    size: number,
  ): Promise<number> {
    let at = 0
    while (at < size) {
      const batch = await readHeader(handle, at, size)
      if (batch === undefined) {
        const next = await nextBatch(handle, at + 1, size)
        if (next === undefined) return at
        at = next
        continue
      }
      while ((log.batches.at(-1)?.from ?? -1) >= batch.from) log.batches.pop()
      log.batches.push({
        from: batch.from,
        count: batch.count,
        file,
        offset: at + batchHeaderBytes,
        total: batch.total,
      })
      at = batch.end
    }
    return at
  }

  private async addFile(log: PayloadLog): Promise<void> {
    const name = `${String(log.handles.length).padStart(6, '0')}.payloads`
    log.handles.push(await createFile(this.files, join(log.directory, name)))
    await this.files.syncDirectory(log.directory)
    log.end = 0
  }

  private blobPath(logId: string, sha256: string): string {
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new RangeError('not a SHA-256 in hex')
    return join(this.directory, checkLogId(logId), 'blobs', sha256.slice(0, 2), sha256)
  }
}

/** Header of a batch that lies wholly within the file; undefined for anything else. */
async function readHeader(
  handle: FileHandle,
  at: number,
  size: number,
): Promise<{ from: number; count: number; total: number; end: number } | undefined> {
  if (at + batchHeaderBytes > size) return undefined
  const header = Buffer.alloc(batchHeaderBytes)
  await handle.read(header, 0, batchHeaderBytes, at)
  if (!header.subarray(0, 4).equals(magic)) return undefined
  const count = header.readUInt32BE(10)
  const total = header.readUInt32BE(14)
  const end = at + batchHeaderBytes + count * 4 + total
  return end > size ? undefined : { from: header.readUIntBE(4, 6), count, total, end }
}

/** Where the next whole batch begins; undefined when none follows. */
async function nextBatch(
  handle: FileHandle,
  from: number,
  size: number,
): Promise<number | undefined> {
  const chunk = Buffer.alloc(1024 * 1024)
  for (let at = from; at < size; at += chunk.length - magic.length + 1) {
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at)
    const bytes = chunk.subarray(0, bytesRead)
    for (let found = bytes.indexOf(magic); found >= 0; found = bytes.indexOf(magic, found + 1)) {
      if ((await readHeader(handle, at + found, size)) !== undefined) return at + found
    }
  }
  return undefined
}

/** First batch that may hold an index. */
function firstHolding(batches: readonly Batch[], index: number): number {
  let low = 0
  let high = batches.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((batches[middle]?.from ?? 0) <= index) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
