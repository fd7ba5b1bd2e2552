import { hkdfSync, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  type DurableFiles,
  makeDirectory,
  nodeFiles,
  replaceFile,
  replaceSecretFile,
  wipeFile,
} from '../durable-file.ts'
import type { Keyring } from '../keyring.ts'
import { opensKeyring } from './keyring-lines.ts'

/**
 * Master key of the deployment, 32 bytes: read from `path` where one is given (a mounted secret), else from
 * `<directory>/master.key`, which is made at the first start, readable by its owner only.
 *
 * @throws SealtrailError `CONFIG_INVALID` when the file is not 64 hex digits.
 */
export async function loadMasterKey(directory: string, path?: string): Promise<Uint8Array> {
  if (path !== undefined) return readMasterKey(path)
  const file = masterKeyPath(directory)
  if (!existsSync(file) && !existsSync(nextMasterKeyPath(directory))) {
    await makeDirectory(nodeFiles, directory)
    await replaceFile(nodeFiles, file, formatMasterKey(randomBytes(32)))
  }
  await settleMasterKey(directory)
  return readMasterKey(file)
}

/** @throws SealtrailError `CONFIG_INVALID` when the file is not 64 hex digits */
export async function readMasterKey(file: string): Promise<Uint8Array> {
  const text = (await readFile(file, 'utf8')).trim()
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new SealtrailError('CONFIG_INVALID', `${file} does not hold 64 hexadecimal digits`, {
      hint: 'Make one with: openssl rand -hex 32',
    })
  }
  return Buffer.from(text, 'hex')
}

/** Master key of a directory that has it inside. */
export function masterKeyPath(directory: string): string {
  return join(directory, 'master.key')
}

export function nextMasterKeyPath(directory: string): string {
  return `${masterKeyPath(directory)}.next`
}

export function formatMasterKey(masterKey: Uint8Array): Uint8Array {
  return Buffer.from(`${Buffer.from(masterKey).toString('hex')}\n`)
}

/**
 * Ends a change of the master key that was cut off: the file `master.key` holds the key that opens the keyring, and the
 * other one is overwritten. Nothing changes where none was under way.
 */
export async function settleMasterKey(
  directory: string,
  files: DurableFiles = nodeFiles,
): Promise<void> {
  const file = masterKeyPath(directory)
  const next = nextMasterKeyPath(directory)
  await wipeFile(files, `${file}.old`)
  if (!existsSync(next)) return
  const key = await readMasterKey(next).catch(() => undefined)
  // The one in force is asked first: a keyring without a line opens under any.
  const keeps = existsSync(file) && (await opensKeyring(directory, await readMasterKey(file)))
  if (!keeps && key !== undefined && (await opensKeyring(directory, key))) {
    await replaceSecretFile(files, file, formatMasterKey(key))
  }
  await wipeFile(files, next)
}

/** Name of the disk of the columnar store in the keyring. */
export const columnarDisk = 'columnar-disk'

/** Key that the disk of the columnar store had before the keyring held one for it: derived from the master key. */
export function derivedColumnarDiskKey(masterKey: Uint8Array): Uint8Array {
  return Buffer.from(
    hkdfSync('sha256', masterKey, new Uint8Array(), 'sealtrail/columnar-disk/v1', 32),
  )
}

/**
 * Key of the columnar store's encrypted disk, 64 hex digits. It is of the keyring and not of the master key, which may
 * change.
 *
 * @param directory of the columnar store; one that is there already has the key that it had
 */
export async function columnarDiskKey(
  keyring: Pick<Keyring, 'storeKey'>,
  masterKey: Uint8Array,
  directory: string,
): Promise<string> {
  const inherited = existsSync(directory) ? derivedColumnarDiskKey(masterKey) : undefined
  return Buffer.from(await keyring.storeKey(columnarDisk, inherited)).toString('hex')
}
