import { hkdfSync, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SealtrailError } from '../../schemas/errors.ts'
import { makeDirectory, nodeFiles, replaceFile } from '../durable-file.ts'

/**
 * Master key of the deployment, 32 bytes: read from `path` where one is given (a mounted secret), else from
 * `<directory>/master.key`, which is made at the first start, readable by its owner only.
 *
 * @throws SealtrailError `CONFIG_INVALID` when the file is not 64 hex digits.
 */
export async function loadMasterKey(directory: string, path?: string): Promise<Uint8Array> {
  const file = path ?? join(directory, 'master.key')
  if (path === undefined && !existsSync(file)) {
    await makeDirectory(nodeFiles, directory)
    await replaceFile(nodeFiles, file, Buffer.from(`${randomBytes(32).toString('hex')}\n`))
  }
  const text = (await readFile(file, 'utf8')).trim()
  if (!/^[0-9a-f]{64}$/.test(text)) {
    throw new SealtrailError('CONFIG_INVALID', `${file} does not hold 64 hexadecimal digits`, {
      hint: 'Make one with: openssl rand -hex 32',
    })
  }
  return Buffer.from(text, 'hex')
}

/** Key of the columnar store's encrypted disk, 64 hex digits, derived from the master key. */
export function columnarDiskKey(masterKey: Uint8Array): string {
  const key = hkdfSync('sha256', masterKey, new Uint8Array(), 'sealtrail/columnar-disk/v1', 32)
  return Buffer.from(key).toString('hex')
}
