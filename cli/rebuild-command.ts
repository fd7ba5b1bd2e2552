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
import { RebuildProgress } from '../schemas/api/integrity.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { ControlClient } from './control-client.ts'
import { loadExistingMasterKey, lockExistingDirectory } from './existing-directory.ts'
import { ProgressLine } from './progress-line.ts'

/**
 * Fills the columnar store from the ledger alone: by the Sealtrail that runs, while people go on reading, else here.
 *
 * @param data absolute path
 * @returns exit code: 0, or 1 when what was filled differs from the ledger
 * @throws SealtrailError `CONFIG_INVALID`, `DIRECTORY_LOCKED`, `STORE_UNAVAILABLE`
 */
export async function rebuildCommand(data: string): Promise<number> {
  const control = new ControlClient(dataPaths(data).controlSocket)
  const progress = new ProgressLine()
  try {
    if (await control.answers()) return await rebuildRunning(control, progress)
    await rebuildStopped(data, progress)
    return 0
  } finally {
    progress.done()
  }
}

async function rebuildRunning(control: ControlClient, progress: ProgressLine): Promise<number> {
  for await (const line of control.lines(RebuildProgress, 'POST', '/control/rebuild')) {
    if (line.kind === 'progress') {
      if (line.logId !== '') progress.update(`rows of ${line.logId}`, line.done, line.total)
      continue
    }
    progress.done()
    if (line.kind === 'failed') {
      throw new SealtrailError('STORE_UNAVAILABLE', `nothing was exchanged: ${line.message}`)
    }
    for (const { logId, rows, firstDifference } of line.logs) {
      process.stdout.write(
        firstDifference === null
          ? `${logId}: ${rows} rows, equal to the ledger\n`
          : `${logId}: ${firstDifference}\n`,
      )
    }
    process.stdout.write('Rebuilt, and read from all the time.\n')
    return line.logs.every(({ firstDifference }) => firstDifference === null) ? 0 : 1
  }
  throw new SealtrailError('SERVER_UNREACHABLE', 'the rebuild was not told to its end', {
    hint: 'It may go on: the Integrity page says so. Run the command again to follow it.',
  })
}

async function rebuildStopped(data: string, progress: ProgressLine): Promise<void> {
  const unlock = await lockExistingDirectory(data)
  const paths = dataPaths(data)
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
    process.stdout.write('Rebuilt.\n')
  } finally {
    unlock()
  }
}
