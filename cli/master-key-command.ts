import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dataPaths } from '../ledger/data-directory.ts'
import { nodeFiles, replaceFile } from '../ledger/durable-file.ts'
import { columnarDisk, formatMasterKey, readMasterKey } from '../ledger/keyring/master-key.ts'
import { rotateMasterKey } from '../ledger/keyring/rotate-master-key.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { loadExistingMasterKey, lockExistingDirectory } from './existing-directory.ts'

/**
 * Puts a data directory under a new master key.
 *
 * @param data absolute path
 * @param newKeyFile where the new key lies, or is made; needed where the key is kept outside of the directory
 * @throws SealtrailError `CONFIG_INVALID`, `DIRECTORY_LOCKED`, `KEYRING_CORRUPT`
 */
export async function rotateMasterKeyCommand(
  data: string,
  newKeyFile: string | undefined,
): Promise<void> {
  const external = process.env.SEALTRAIL_MASTER_KEY_FILE || undefined
  if ((external === undefined) !== (newKeyFile === undefined)) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      external === undefined
        ? '--new-key-file goes with SEALTRAIL_MASTER_KEY_FILE, which names the file of the present key'
        : `the present master key is ${external}: name the file of the new one with --new-key-file`,
    )
  }
  const unlock = await lockExistingDirectory(data)
  try {
    const paths = dataPaths(data)
    const from = await loadExistingMasterKey(data, external)
    const to = newKeyFile === undefined ? randomBytes(32) : await newKey(newKeyFile)
    await rotateMasterKey({
      keyring: paths.keyring,
      signer: paths.signer,
      from,
      to,
      inDirectory: newKeyFile === undefined,
      drop: async (name) => {
        if (name !== columnarDisk || !existsSync(paths.columnar)) return
        await rm(paths.columnar, { recursive: true })
        say(
          'The columnar store had a key that came from the old master key: it is emptied, and filled at the next start.',
        )
      },
    })
    say(
      newKeyFile === undefined
        ? `Rotated. ${paths.keyring}/master.key holds the new master key.`
        : `Rotated. Start Sealtrail with SEALTRAIL_MASTER_KEY_FILE=${newKeyFile} from now on, and destroy ${external}.`,
    )
    say(
      'The old key opens nothing in this directory any more. What was copied elsewhere under it (backups, snapshots of the\nvolume) it still opens; on flash and copy-on-write file systems overwritten bytes may remain until they are reused.',
    )
  } finally {
    unlock()
  }
}

async function newKey(path: string): Promise<Uint8Array> {
  if (!existsSync(path)) await replaceFile(nodeFiles, path, formatMasterKey(randomBytes(32)))
  return readMasterKey(path)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
