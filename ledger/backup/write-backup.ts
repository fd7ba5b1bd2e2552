import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { SealtrailError } from '../../schemas/errors.ts'
import { dataPaths } from '../data-directory.ts'
import { nodeFiles, replaceFile } from '../durable-file.ts'
import { type BackupManifest, manifestName } from './backup-manifest.ts'

export interface BackupRequest {
  /** Absolute. It may be in use; no erasure may run meanwhile. */
  readonly data: string
  /** Absolute; a new or empty folder. */
  readonly target: string
  /** Where the keyring goes; into the target when absent. The master key is never copied. */
  readonly keys?: string | undefined
  readonly product: string
  readonly now: Date
  readonly onProgress: (doneBytes: number, totalBytes: number) => void
}

const chunkBytes = 1024 * 1024

/**
 * Copies everything of a data directory that cannot be made again: ledger, payloads, keyring, signer and anchors.
 *
 * It is consistent while Sealtrail runs, because of the order: what speaks of leaves is copied before the leaves, and
 * what leaves need after them. Checkpoints and anchors, then the state of the signer, then segments, then payloads
 * (durable before their segment), then the keyring (durable before its payloads). What is appended meanwhile is in it, or
 * not; a last frame that is cut in the middle was not acknowledged when the backup began.
 *
 * @throws SealtrailError `CONFIG_INVALID` for a folder that is not empty or not there
 */
export async function writeBackup(request: BackupRequest): Promise<BackupManifest> {
  const { data, target, keys } = request
  const paths = dataPaths(data)
  if (!existsSync(paths.ledger)) {
    throw new SealtrailError('CONFIG_INVALID', `${data} holds no ledger`)
  }
  for (const folder of [target, ...(keys === undefined ? [] : [keys])]) await emptyFolder(folder)
  const steps: { from: string[]; to: string }[] = [
    { from: await filesOf(paths.anchors), to: target },
    { from: await filesOf(paths.ledger, /checkpoints\//), to: target },
    { from: await filesOf(paths.signer, /^(?!.*\.(?:tmp|next|old)$)/), to: target },
  ]
  const files: BackupManifest['files'] = []
  let done = 0
  const copy = async (from: string, to: string) => {
    const name = relative(data, from)
    const copied = await copyHashed(from, join(to, name), (bytes) => {
      done += bytes
      request.onProgress(done, Math.max(done, total))
    })
    if (copied !== undefined) files.push({ name, inKeys: to !== target, ...copied })
  }
  let total = 0
  for (const { from, to } of steps) for (const each of from) await copy(each, to)
  // Listed only now: a file that was begun meanwhile belongs to it.
  const segments = await filesOf(paths.ledger, /segments\//)
  for (const each of segments) total += await sizeOf(each)
  for (const each of await filesOf(paths.payloads)) total += await sizeOf(each)
  for (const each of segments) await copy(each, target)
  for (const each of await filesOf(paths.payloads, /^(?!.*\.tmp$)/)) await copy(each, target)
  await copy(join(paths.keyring, 'keyring'), keys ?? target)
  const manifest: BackupManifest = {
    format: 'sealtrail-backup/v1',
    product: request.product,
    madeAt: request.now.toISOString(),
    files,
  }
  const text = `${JSON.stringify(manifest, undefined, 1)}\n`
  await replaceFile(nodeFiles, join(target, manifestName), Buffer.from(text))
  return manifest
}

/** @throws SealtrailError `CONFIG_INVALID` */
async function emptyFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length === 0) return
  throw new SealtrailError('CONFIG_INVALID', `${folder} is not empty`, {
    hint: 'Name a new folder: a backup never takes the place of another one.',
  })
}

/** Files of a folder and below, by name, whose path below it matches. */
async function filesOf(folder: string, matches = /./): Promise<string[]> {
  if (!existsSync(folder)) return []
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => matches.test(`${relative(folder, path).replaceAll('\\', '/')}`))
    .sort()
}

async function sizeOf(path: string): Promise<number> {
  const handle = await open(path, 'r')
  try {
    return (await handle.stat()).size
  } finally {
    await handle.close()
  }
}

/** Copies as many bytes as there were when it began, and syncs them. Undefined for a file that is gone meanwhile. */
async function copyHashed(
  from: string,
  to: string,
  onBytes: (bytes: number) => void,
): Promise<{ sizeBytes: number; sha256: string } | undefined> {
  let source: FileHandle
  try {
    source = await open(from, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  await mkdir(dirname(to), { recursive: true, mode: 0o700 })
  const target = await open(to, 'wx', 0o600)
  try {
    const { size } = await source.stat()
    const hash = createHash('sha256')
    const chunk = Buffer.alloc(chunkBytes)
    let at = 0
    while (at < size) {
      const { bytesRead } = await source.read(chunk, 0, Math.min(chunk.length, size - at), at)
      if (bytesRead === 0) break
      const bytes = chunk.subarray(0, bytesRead)
      await target.writeFile(bytes)
      hash.update(bytes)
      at += bytesRead
      onBytes(bytesRead)
    }
    await target.sync()
    return { sizeBytes: at, sha256: hash.digest('hex') }
  } finally {
    await source.close()
    await target.close()
  }
}
