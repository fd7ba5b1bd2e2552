import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { checkManifest, readManifest } from '../ledger/backup/backup-manifest.ts'
import { type ErasedList, readErasedList } from '../ledger/backup/erased-list.ts'
import { writeBackup } from '../ledger/backup/write-backup.ts'
import { dataPaths } from '../ledger/data-directory.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { masterKeyPath, readMasterKey } from '../ledger/keyring/master-key.ts'
import { openFilePayloadStore } from '../ledger/payloads/file-payload-store.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { ControlClient } from './control-client.ts'
import { lockExistingDirectory } from './existing-directory.ts'
import { ProgressLine } from './progress-line.ts'
import { verifyCommand } from './verify-command.ts'
import { version } from './version.ts'

export interface BackupFlags {
  /** Absolute. */
  readonly data: string
  readonly keys?: string | undefined
  readonly verify?: boolean | undefined
}

/** Lines of `POST /control/backup`. */
export const BackupProgress = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('progress'), done: z.number(), total: z.number() }),
  z.strictObject({ kind: z.literal('result'), files: z.int(), sizeBytes: z.number() }),
  z.strictObject({ kind: z.literal('failed'), message: z.string() }),
])
export type BackupProgress = z.infer<typeof BackupProgress>

/**
 * Copies what cannot be made again into a new folder: by the Sealtrail that runs, else here.
 *
 * @returns exit code: 0, or 1 when the copy does not verify
 * @throws SealtrailError `CONFIG_INVALID`, `DIRECTORY_LOCKED`
 */
export async function backupCommand(
  folder: string,
  flags: BackupFlags,
  running: ControlClient | undefined,
): Promise<number> {
  const target = resolve(folder)
  const keys = flags.keys === undefined ? undefined : resolve(flags.keys)
  const progress = new ProgressLine()
  const show = (done: number, total: number) => progress.update('backup', mib(done), mib(total))
  try {
    if (running === undefined) {
      const unlock = await lockExistingDirectory(flags.data)
      try {
        const now = new Date()
        const product = `sealtrail ${version}`
        await writeBackup({ data: flags.data, target, keys, product, now, onProgress: show })
      } finally {
        unlock()
      }
    } else {
      const body = { target, ...(keys === undefined ? {} : { keys }) }
      for await (const line of running.lines(BackupProgress, 'POST', '/control/backup', body)) {
        if (line.kind === 'progress') show(line.done, line.total)
        if (line.kind === 'failed') throw new SealtrailError('CONFIG_INVALID', line.message)
      }
    }
  } finally {
    progress.done()
  }
  const manifest = await readManifest(target)
  const sizeBytes = manifest.files.reduce((sum, each) => sum + each.sizeBytes, 0)
  say(`${manifest.files.length} files, ${mib(sizeBytes)} MiB, in ${target}`)
  say(
    'The master key is not in it. Keep it elsewhere, with the list of what is erased (sealtrail erasures --list): a restore needs both.',
  )
  return flags.verify === true ? verifyBackup(target, keys ?? target) : 0
}

/** Compares a backup with its manifest, and recomputes its logs. */
async function verifyBackup(target: string, keys: string): Promise<number> {
  const progress = new ProgressLine()
  const manifest = await readManifest(target)
  try {
    await checkManifest(target, keys, manifest, (done, total) =>
      progress.update('reading it again', mib(done), mib(total)),
    )
  } finally {
    progress.done()
  }
  say('Every file is what the manifest says.')
  return verifyCommand({ data: target, treeOnly: true }, undefined)
}

export interface RestoreFlags {
  /** Absolute. */
  readonly data: string
  readonly keys?: string | undefined
  readonly masterKey?: string | undefined
  readonly erased?: string | undefined
  readonly nothingErasedSince?: boolean | undefined
}

/**
 * Makes a data directory out of a backup, applies what was erased since, and verifies it.
 *
 * @returns exit code: 0, or 1 when it does not verify
 * @throws SealtrailError `CONFIG_INVALID`, `LEDGER_CORRUPT`, `KEYRING_CORRUPT`
 */
export async function restoreCommand(folder: string, flags: RestoreFlags): Promise<number> {
  const source = resolve(folder)
  const keys = flags.keys === undefined ? source : resolve(flags.keys)
  const external = process.env.SEALTRAIL_MASTER_KEY_FILE || undefined
  const masterKeyFile = flags.masterKey ?? external
  if (masterKeyFile === undefined) {
    throw new SealtrailError('CONFIG_INVALID', 'a backup has no master key: name its file', {
      hint: 'With --master-key FILE it is copied into the directory; with SEALTRAIL_MASTER_KEY_FILE it stays where it is.',
    })
  }
  if ((flags.erased === undefined) === (flags.nothingErasedSince !== true)) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      'what was erased after the backup is not said: a restore would bring it back',
      {
        hint: 'Name the newest list with --erased FILE (sealtrail erasures --list), or say --nothing-erased-since.',
      },
    )
  }
  const erased = flags.erased === undefined ? undefined : await readErasedList(flags.erased)
  const manifest = await readManifest(source)
  const masterKey = await readMasterKey(masterKeyFile)
  await mkdir(flags.data, { recursive: true, mode: 0o700 })
  if ((await readdir(flags.data)).length > 0) {
    throw new SealtrailError('CONFIG_INVALID', `${flags.data} is not empty`, {
      hint: 'Restore into a new directory, verify it, and start Sealtrail with it.',
    })
  }
  const progress = new ProgressLine()
  try {
    // Before anything is written: a damaged backup must not become a directory.
    await checkManifest(source, keys, manifest, (done, total) =>
      progress.update('reading the backup', mib(done), mib(total)),
    )
    for (const { name, inKeys } of manifest.files) {
      const to = join(flags.data, name)
      await mkdir(dirname(to), { recursive: true, mode: 0o700 })
      await writeFile(to, '', { mode: 0o600, flag: 'wx' })
      await copyFile(join(inKeys ? keys : source, name), to)
    }
  } finally {
    progress.done()
  }
  const paths = dataPaths(flags.data)
  if (flags.masterKey !== undefined) {
    await writeFile(masterKeyPath(paths.keyring), await readFile(flags.masterKey), { mode: 0o600 })
  }
  await settle(flags.data, masterKey, erased)
  say(`Restored the backup of ${manifest.madeAt} into ${flags.data}.`)
  if (erased !== undefined)
    say(`Erased again: ${erased.keys.length} keys, ${erased.leaves.length} payloads.`)
  return verifyCommand({ data: flags.data }, undefined)
}

/** Cuts what was being written when the backup was made, and applies erasures: before anything reads the directory. */
async function settle(
  data: string,
  masterKey: Uint8Array,
  erased: ErasedList | undefined,
): Promise<void> {
  const paths = dataPaths(data)
  const storage = await openFileStorage(paths.ledger, {
    onTear: (message) => say(`note: ${message} was not acknowledged when the backup began`),
  })
  const payloads = await openFilePayloadStore(paths.payloads)
  const keyring = await openFileKeyring(paths.keyring, masterKey)
  try {
    for (const logId of await storage.logIds()) {
      await payloads.sweep(logId, await storage.size(logId))
    }
    const logIds = new Set(erased?.keys.map((each) => each.logId))
    for (const logId of logIds) {
      const ids = erased?.keys.flatMap((each) => (each.logId === logId ? [each.rootKeyId] : []))
      await keyring.destroyKeys(logId, ids ?? [])
    }
    for (const { logId, leaf } of erased?.leaves ?? []) await payloads.shred(logId, leaf)
  } finally {
    await keyring.close()
    await payloads.close()
    await storage.close()
  }
}

function mib(bytes: number): number {
  return Math.ceil(bytes / (1024 * 1024))
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
