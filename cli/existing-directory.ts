import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { dataPaths, lockDataDirectory } from '../ledger/data-directory.ts'
import { loadMasterKey } from '../ledger/keyring/master-key.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { systemErrorCode } from './system-error.ts'

/**
 * Takes the lock of a data directory. @returns releases it
 *
 * @throws SealtrailError `DIRECTORY_LOCKED`, `CONFIG_INVALID` for a place that cannot be written
 */
export async function lockDirectory(directory: string): Promise<() => void> {
  try {
    return await lockDataDirectory(directory)
  } catch (cause) {
    if (isSealtrailError(cause)) throw cause
    throw new SealtrailError(
      'CONFIG_INVALID',
      `the data directory ${directory} cannot be used: ${systemErrorCode(cause) ?? String(cause)}`,
      { cause, hint: 'Name a directory that this user may write to with --data.' },
    )
  }
}

/**
 * Locks a data directory that was filled before: a mistyped name must not become a new, empty one.
 *
 * @throws SealtrailError `CONFIG_INVALID`, `DIRECTORY_LOCKED`
 */
export async function lockExistingDirectory(directory: string): Promise<() => void> {
  if (!existsSync(join(directory, 'ledger'))) {
    throw new SealtrailError('CONFIG_INVALID', `${directory} holds no ledger`, {
      hint: 'Name the data directory with --data.',
    })
  }
  return lockDirectory(directory)
}

/**
 * Master key of a data directory that was filled before. One that is not there is not made: it would open nothing.
 *
 * @param file from `SEALTRAIL_MASTER_KEY_FILE`; else the one in the directory
 * @throws SealtrailError `CONFIG_INVALID`
 */
export async function loadExistingMasterKey(
  directory: string,
  file: string | undefined,
): Promise<Uint8Array> {
  const { keyring } = dataPaths(directory)
  const path = file || join(keyring, 'master.key')
  if (!existsSync(path)) {
    throw new SealtrailError('CONFIG_INVALID', `there is no master key at ${path}`, {
      hint: 'Name its file with SEALTRAIL_MASTER_KEY_FILE.',
    })
  }
  return loadMasterKey(keyring, path)
}
