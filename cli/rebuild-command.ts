import { randomBytes } from 'node:crypto'
import { pino } from 'pino'
import { openColumnarClient } from '../analytics/store/columnar-client.ts'
import { startColumnarProcess } from '../analytics/store/columnar-process.ts'
import { migrate } from '../analytics/store/migrate.ts'
import { rebuild } from '../analytics/store/rebuild.ts'
import { dataPaths } from '../ledger/data-directory.ts'
import { openFileKeyring } from '../ledger/keyring/file-keyring.ts'
import { columnarDiskKey } from '../ledger/keyring/master-key.ts'
import { createLedgerReader } from '../ledger/ledger-reader.ts'
import { openFilePayloadStore } from '../ledger/payloads/file-payload-store.ts'
import { openFileStorage } from '../ledger/storage/file-storage.ts'
import { loadExistingMasterKey, lockExistingDirectory } from './existing-directory.ts'
import { ProgressLine } from './progress-line.ts'

/**
 * Fills the columnar store from the ledger alone. Calls follow at the next start, when the fold runs again.
 *
 * @param data absolute path
 * @throws SealtrailError `CONFIG_INVALID`, `DIRECTORY_LOCKED`
 */
export async function rebuildCommand(data: string): Promise<void> {
  const unlock = await lockExistingDirectory(data)
  const paths = dataPaths(data)
  const progress = new ProgressLine()
  try {
    const masterKey = await loadExistingMasterKey(data, process.env.SEALTRAIL_MASTER_KEY_FILE)
    const storage = await openFileStorage(paths.ledger)
    const payloads = await openFilePayloadStore(paths.payloads)
    const keyring = await openFileKeyring(paths.keyring, masterKey)
    const password = randomBytes(24).toString('base64url')
    const columnar = await startColumnarProcess({
      directory: paths.columnar,
      password,
      diskKey: await columnarDiskKey(keyring, masterKey, paths.columnar),
      memoryLimitBytes: 2 * 1024 ** 3,
      logger: pino({ level: 'silent' }),
    })
    const client = openColumnarClient({ url: columnar.url, user: columnar.user, password })
    try {
      await migrate({ client })
      await rebuild({
        client,
        reader: createLedgerReader({ storage, payloads, keyring }),
        onProgress: ({ logId, done, total }) => progress.update(`rows of ${logId}`, done, total),
      })
    } finally {
      await client.close()
      await columnar.stop()
    }
    progress.done()
    process.stdout.write('Rebuilt. The calls follow at the next start.\n')
  } finally {
    progress.done()
    unlock()
  }
}
