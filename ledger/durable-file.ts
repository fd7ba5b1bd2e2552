import { existsSync } from 'node:fs'
import { type FileHandle, link, mkdir, open, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { SealtrailError } from '../schemas/errors.ts'

/** The few file operations that durability rests on, so that tests can make each fail before or after its effect. */
export interface DurableFiles {
  open(path: string, flags: string, mode: number): Promise<FileHandle>
  write(handle: FileHandle, bytes: Uint8Array, position: number): Promise<number>
  sync(handle: FileHandle): Promise<void>
  syncDirectory(path: string): Promise<void>
  rename(from: string, to: string): Promise<void>
}

export const nodeFiles: DurableFiles = {
  open: (path, flags, mode) => open(path, flags, mode),
  async write(handle, bytes, position) {
    return (await handle.write(bytes, 0, bytes.length, position)).bytesWritten
  },
  sync: (handle) => handle.datasync(),
  async syncDirectory(path) {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } catch (error) {
      // Windows cannot sync directories; its rename is durable with the file.
      if (process.platform !== 'win32') throw error
    } finally {
      await handle.close()
    }
  },
  rename: (from, to) => rename(from, to),
}

/** Writes all bytes at a position, however short single writes are. */
export async function writeFully(
  files: DurableFiles,
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const written = await files.write(handle, bytes.subarray(done), position + done)
    if (written <= 0) throw new SealtrailError('LEDGER_UNAVAILABLE', 'a write made no progress')
    done += written
  }
}

/**
 * Writes bytes behind the end of a file and syncs them. Where no room is left for them, what was written of them is cut
 * off again and the cut is synced: the file is as it was.
 *
 * @param end where the file ends, in bytes
 * @throws SealtrailError `DISK_FULL` (retryable) in that case; after any other error nothing may be assumed.
 */
export async function appendSynced(
  files: DurableFiles,
  handle: FileHandle,
  bytes: Uint8Array,
  end: number,
): Promise<void> {
  try {
    await writeFully(files, handle, bytes, end)
  } catch (error) {
    if (!isOutOfSpace(error)) throw error
    await handle.truncate(end)
    await files.sync(handle)
    throw diskFull(error)
  }
  // A sync that finds no room is like any other that fails: its pages may be taken for clean by the next one.
  await files.sync(handle)
}

/** Creates a file that must not be there yet. @throws SealtrailError `DISK_FULL` (retryable): it was not made */
export async function createFile(files: DurableFiles, path: string): Promise<FileHandle> {
  try {
    return await files.open(path, 'wx+', 0o600)
  } catch (error) {
    throw isOutOfSpace(error) ? diskFull(error) : error
  }
}

/** The file system has no room for a write, or the user's quota on it is used up. */
function isOutOfSpace(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    (error.code === 'ENOSPC' || error.code === 'EDQUOT')
  )
}

function diskFull(cause: unknown): SealtrailError {
  return new SealtrailError('DISK_FULL', 'no room is left on the disk of the data directory', {
    cause,
    retryable: true,
    hint: 'Make room. Nothing that was acknowledged is lost, and records are taken again by themselves.',
  })
}

/**
 * Creates a directory with those above it, and makes the names of all that were missing durable. Not by Node's
 * recursive mkdir, which never returns where the kernel says ENOENT to a name below a directory that is there, as in
 * /proc.
 */
export async function makeDirectory(files: DurableFiles, path: string): Promise<void> {
  const missing: string[] = []
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.push(at)
  for (const directory of missing.reverse()) {
    await mkdir(directory, { mode: 0o700 }).catch((error: unknown) => {
      // Another one made it meanwhile.
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    })
    await files.syncDirectory(dirname(directory))
  }
}

/**
 * Replaces a file as a whole: temporary file, fsync, rename, fsync of the directory.
 *
 * @throws SealtrailError `DISK_FULL` (retryable): the file is the one that it was.
 */
export async function replaceFile(
  files: DurableFiles,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = `${path}.tmp`
  try {
    const handle = await files.open(temporary, 'w', 0o600)
    try {
      await writeFully(files, handle, bytes, 0)
      await files.sync(handle)
    } finally {
      await handle.close()
    }
    await files.rename(temporary, path)
  } catch (error) {
    if (!isOutOfSpace(error)) throw error
    await rm(temporary, { force: true })
    throw diskFull(error)
  }
  await files.syncDirectory(dirname(path))
}

/**
 * Replaces a file that holds secrets, and overwrites what it held. A crash leaves the old file or the new one, and at
 * most a copy of the old one at `<path>.old`, for {@link wipeFile} at the next start.
 */
export async function replaceSecretFile(
  files: DurableFiles,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const old = `${path}.old`
  await wipeFile(files, old)
  await link(path, old).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
  await replaceFile(files, path, bytes)
  await wipeFile(files, old)
}

/**
 * Overwrites a file with zeros, syncs it and removes it; nothing when it is not there. On media that write elsewhere
 * than over the old bytes (flash, copy-on-write file systems, snapshots) old bytes may remain until the medium reuses
 * them: there only a disk that is encrypted as a whole helps. A name of a file that has another name too is only removed.
 */
export async function wipeFile(files: DurableFiles, path: string): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw error
  })
  if (found === undefined) return
  if (found.nlink === 1) {
    const handle = await files.open(path, 'r+', 0o600)
    try {
      const zeros = new Uint8Array(Math.min(found.size, 1024 * 1024))
      for (let at = 0; at < found.size; at += zeros.length) {
        await writeFully(files, handle, zeros.subarray(0, found.size - at), at)
      }
      await files.sync(handle)
    } finally {
      await handle.close()
    }
  }
  await unlink(path)
  await files.syncDirectory(dirname(path))
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
