import { existsSync } from 'node:fs'
import { SealtrailError } from '../../schemas/errors.ts'
import { type DurableFiles, nodeFiles, replaceFile, replaceSecretFile } from '../durable-file.ts'
import { rewrapSigningKeys, settleSigningKeys } from '../signer/signing-key-files.ts'
import { keyringPath, opensKeyring, rewrappedKeyring } from './keyring-lines.ts'
import {
  columnarDisk,
  derivedColumnarDiskKey,
  formatMasterKey,
  nextMasterKeyPath,
  settleMasterKey,
} from './master-key.ts'

export interface RotationRequest {
  /** Folder of the keyring, and of the signer. The caller holds the lock of the data directory. */
  readonly keyring: string
  readonly signer: string
  readonly from: Uint8Array
  readonly to: Uint8Array
  /** Whether `keyring/master.key` holds the master key: it is then replaced too. */
  readonly inDirectory: boolean
  /** Empties stores whose key came from the old master key. They are filled again from the ledger. */
  readonly drop: (storeName: string) => Promise<void>
  readonly files?: DurableFiles
}

/**
 * Encrypts everything that the master key encrypts under another one: keyring and signing keys. Payloads stay as they
 * are: their keys are in the keyring.
 *
 * The step that decides is the one rename of the keyring. Before it everything opens under the old key, and what lies
 * beside is overwritten at the next start; after it everything opens under the new one, and the next start puts the rest
 * into force. Afterwards the old key opens nothing in the directory, and old copies are overwritten as far as the file
 * system lets one. Copies elsewhere (backups, snapshots of a volume) still open under the old key.
 *
 * @throws SealtrailError `KEYRING_CORRUPT` when the old key does not open what is there; `CONFIG_INVALID` for one key
 */
export async function rotateMasterKey(request: RotationRequest): Promise<void> {
  const { from, to, files = nodeFiles } = request
  if (Buffer.compare(from, to) === 0) {
    throw new SealtrailError('CONFIG_INVALID', 'the new master key is the old one', {
      hint: 'Make another one with: openssl rand -hex 32',
    })
  }
  const path = keyringPath(request.keyring)
  if (!existsSync(path)) {
    throw new SealtrailError('CONFIG_INVALID', `there is no keyring at ${path}`)
  }
  const derived = [{ name: columnarDisk, old: derivedColumnarDiskKey(from) }]
  const { bytes, replaced } = await rewrappedKeyring(request.keyring, { from, to }, derived)
  await rewrapSigningKeys(request.signer, { from, to }, files)
  for (const name of replaced) await request.drop(name)
  if (request.inDirectory) {
    await replaceFile(files, nextMasterKeyPath(request.keyring), formatMasterKey(to))
  }
  await replaceSecretFile(files, path, bytes)
  await settleSigningKeys(request.signer, to, files)
  if (request.inDirectory) await settleMasterKey(request.keyring, files)
  if (await opensKeyring(request.keyring, from)) {
    throw new SealtrailError('KEYRING_CORRUPT', 'the old master key still opens the keyring')
  }
}
