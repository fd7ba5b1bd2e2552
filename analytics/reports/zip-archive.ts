import { PassThrough, type Readable } from 'node:stream'
import { ReadableStream, WritableStream } from 'node:stream/web'
import { ZipWriter } from '@zip.js/zip.js'

export interface ArchivedFile {
  readonly name: string
  /** Called when its turn comes, so that one file is open at a time. */
  open(): Readable
}

/** Earliest time that a ZIP can hold: equal files make equal archives, whenever and wherever they were packed. */
const fixedTime = new Date(1980, 0, 1)

/**
 * Files as one ZIP (PKWARE APPNOTE 6.3; ZIP64 where one is larger than 4 GiB), in the order given, below one folder.
 * It is packed as fast as it is read, in memory that does not grow with it. Destroying it ends the packing.
 */
export function zipArchive(folder: string, files: readonly ArchivedFile[]): Readable {
  const archive = new PassThrough()
  let source: Readable | undefined
  archive.once('close', () => source?.destroy())
  const writer = new ZipWriter(slowly(archive), {
    extendedTimestamp: false,
    lastModDate: fixedTime,
    level: 6,
    // In this process: the compression itself is zlib's, on threads of its own.
    useWebWorkers: false,
  })
  const pack = async () => {
    for (const { name, open } of files) {
      if (archive.destroyed) return
      source = open()
      await writer.add(`${folder}/${name}`, ReadableStream.from(source))
    }
    await writer.close()
  }
  pack().catch((error: unknown) =>
    archive.destroy(error instanceof Error ? error : new Error(String(error))),
  )
  return archive
}

/** Takes a chunk when the one before was taken. `Writable.toWeb` counts chunks where it means bytes, and never waits. */
function slowly(archive: PassThrough): WritableStream<Uint8Array> {
  let proceed: () => void = () => undefined
  for (const event of ['drain', 'close']) archive.on(event, () => proceed())
  return new WritableStream({
    async write(chunk) {
      if (!archive.write(chunk)) {
        await new Promise<void>((resolve) => {
          proceed = resolve
        })
      }
      if (archive.destroyed) throw new Error('nobody reads the archive any more')
    },
    close() {
      archive.end()
    },
    abort(reason) {
      archive.destroy(reason)
    },
  })
}
