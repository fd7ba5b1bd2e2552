import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { columnCleaning, directoryRegister } from '../../analytics/erasure/derived-data.ts'
import { dataPaths } from '../../ledger/data-directory.ts'
import { type RunningStore, runStore } from '../store/running-store.ts'

let store: RunningStore
beforeAll(async () => {
  store = await runStore()
})
afterAll(() => store.stop())

describe('the register of derived data', () => {
  test('names every folder of the data directory', () => {
    const { controlSocket: _socket, lock: _lock, ...folders } = dataPaths('/data')
    expect(Object.keys(directoryRegister).sort()).toEqual(Object.keys(folders).sort())
  })

  test('says of every column of every table what an erasure does with it', async () => {
    const rows = await store.client.query<{ table: string; name: string }>(
      `SELECT table, name FROM system.columns
WHERE database = currentDatabase() AND table IN (SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree')`,
      {},
      { readOnly: false },
    )
    expect(rows.length).toBeGreaterThan(250)
    const unknown = rows.filter(({ table, name }) => columnCleaning(table, name) === undefined)
    expect(unknown).toEqual([])
  })

  test('a table or column that nobody registered is noticed', () => {
    expect(columnCleaning('notifications', 'log_id')).toBeUndefined()
    expect(columnCleaning('observations', 'nickname')).toBeUndefined()
    expect(columnCleaning('calls_per_minute', 'user_id')).toBeUndefined()
    expect(columnCleaning('observations', 'user_name')).toBe('emptied')
    expect(columnCleaning('calls', 'search_text')).toBe('derived')
  })
})
