import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callColumns, observationColumns } from '../../analytics/store/event-columns.ts'
import { migrate, readMigrations } from '../../analytics/store/migrate.ts'
import {
  addColumnsDdl,
  callsDdl,
  observationsDdl,
  youngerFields,
} from '../../analytics/store/table-ddl.ts'
import { type RunningStore, runStore } from './running-store.ts'

const folder = new URL('../../analytics/store/migrations/', import.meta.url)
let store: RunningStore

beforeAll(async () => {
  store = await runStore()
})

afterAll(async () => {
  await store.stop()
})

test('the committed DDL is what the field catalogue generates; a new field needs a new migration', async () => {
  expect(await readFile(new URL('0001_observations.sql', folder), 'utf8')).toBe(observationsDdl())
  expect(await readFile(new URL('0002_calls.sql', folder), 'utf8')).toBe(callsDdl())
  for (const [name, fields] of Object.entries(youngerFields))
    expect(await readFile(new URL(name, folder), 'utf8')).toBe(addColumnsDdl(fields))
})

test('the tables in the engine have exactly the generated columns', async () => {
  for (const [table, columns] of [
    ['observations', observationColumns],
    ['calls', callColumns],
  ] as const) {
    const rows = await store.client.query<{ name: string; type: string }>(
      'SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position',
      { table },
    )
    expect(rows).toEqual(columns.map(({ name, type }) => ({ name, type })))
  }
})

test('every table lies on the encrypted disk', async () => {
  const rows = await store.client.query<{ name: string; storage_policy: string }>(
    `SELECT name, storage_policy FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND storage_policy != 'encrypted'`,
  )
  expect(rows).toEqual([])
})

test('a second run does nothing and leaves one record of each migration', async () => {
  expect(await migrate({ client: store.client })).toEqual([])
  const rows = await store.client.query<{ number: number; n: string }>(
    'SELECT number, count() AS n FROM migrations GROUP BY number ORDER BY number',
  )
  expect(rows).toEqual((await readMigrations()).map(({ number }) => ({ number, n: '1' })))
})

test('a migration that was changed after it was run is refused', async () => {
  const copy = await copyOfMigrations()
  await writeFile(join(copy, '0003_findings_and_rollups.sql'), 'SELECT 1;\n')
  await expect(
    migrate({ client: store.client, folder: pathToFileURL(`${copy}/`) }),
  ).rejects.toMatchObject({ code: 'STORE_MIGRATION_FAILED' })
  await rm(copy, { recursive: true })
})

test('a further migration is run once', async () => {
  const copy = await copyOfMigrations()
  const next = (await readMigrations(folder)).length + 1
  await writeFile(
    join(copy, `${String(next).padStart(4, '0')}_more.sql`),
    'ALTER TABLE migrations ADD COLUMN IF NOT EXISTS more UInt8;\n\nSELECT 1;\n',
  )
  const client = store.client
  expect(await migrate({ client, folder: pathToFileURL(`${copy}/`) })).toEqual([next])
  expect(await migrate({ client, folder: pathToFileURL(`${copy}/`) })).toEqual([])
  await rm(copy, { recursive: true })
})

test('a hole in the numbers is refused', async () => {
  const copy = await copyOfMigrations()
  await rm(join(copy, '0002_calls.sql'))
  await expect(readMigrations(pathToFileURL(`${copy}/`))).rejects.toMatchObject({
    code: 'STORE_MIGRATION_FAILED',
  })
  await rm(copy, { recursive: true })
})

async function copyOfMigrations(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'sealtrail-migrations-'))
  for (const name of await readdir(folder)) await copyFile(new URL(name, folder), join(copy, name))
  return copy
}
