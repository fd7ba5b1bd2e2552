import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { type ColumnarClient, openColumnarClient } from '../../analytics/store/columnar-client.ts'
import {
  type ColumnarProcess,
  startColumnarProcess,
} from '../../analytics/store/columnar-process.ts'
import { migrate } from '../../analytics/store/migrate.ts'

export const silent = pino({ level: 'silent' })

export interface RunningStore {
  readonly directory: string
  readonly process: ColumnarProcess
  readonly client: ColumnarClient
  stop(): Promise<void>
}

export const storeOptions = {
  password: 'a password of the test run',
  diskKey: '5a'.repeat(32),
  memoryLimitBytes: 1024 * 1024 * 1024,
  logger: silent,
}

/** The real engine in a fresh folder, migrated. */
export async function runStore(): Promise<RunningStore> {
  const directory = await mkdtemp(join(tmpdir(), 'sealtrail-columnar-'))
  const process = await startColumnarProcess({ ...storeOptions, directory })
  const client = openColumnarClient(process)
  await migrate({ client })
  return {
    directory,
    process,
    client,
    async stop() {
      await client.close()
      await process.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

export async function countRows(client: ColumnarClient, where = '1'): Promise<number> {
  const [row] = await client.query<{ n: string }>(
    `SELECT count() AS n FROM observations WHERE ${where}`,
  )
  return Number(row?.n)
}
