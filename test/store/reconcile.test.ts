import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { observationColumns } from '../../analytics/store/event-columns.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import {
  type ReconcileResult,
  reconcile,
  rowDigest,
  rowDigestSql,
} from '../../analytics/store/reconcile.ts'
import { hex } from '../../schemas/bytes.ts'
import { SyntheticLedger } from './committed-leaf-fixture.ts'
import { type RunningStore, runStore } from './running-store.ts'

const leaves = 3000
let store: RunningStore
const ledger = new SyntheticLedger()

beforeAll(async () => {
  store = await runStore()
  ledger.grow(leaves)
})

beforeEach(async () => {
  await rebuild({ client: store.client, reader: ledger })
})

afterAll(async () => {
  await store.stop()
})

function check(until = leaves): Promise<ReconcileResult> {
  return reconcile({ client: store.client, reader: ledger, logId: 'acme', until })
}

function tamper(sql: string): Promise<void> {
  return store.client.command(sql)
}

test('an untouched table equals the ledger', async () => {
  expect(await check()).toEqual({ logId: 'acme', checkedUntil: leaves })
})

test('one altered value in any column is named by its leaf index', async () => {
  const changes: Readonly<Record<string, string>> = {
    string: "'tampered'",
    strings: "['tampered']",
    hash: "unhex(repeat('00', 32))",
    nullable_time: "toDateTime64('2001-01-01 00:00:00.000000001', 9, 'UTC')",
    nullable_int64: '-1',
    nullable_float64: '0.1',
    nullable_bool: '1',
    time: "toDateTime64('2001-01-01 00:00:00.000000001', 9, 'UTC')",
  }
  // The sorting key cannot be updated: those columns are altered by delete and insert below.
  const fixed = new Set(['log_id', 'time_occurred', 'leaf_index'])
  const columns = observationColumns.filter(({ name }) => !fixed.has(name))
  const altered = columns.map(({ name, kind }, at) => ({ name, at: 7 * at, to: changes[kind] }))
  await tamper(
    `ALTER TABLE observations ${altered
      .map(({ name, at, to }) => `UPDATE ${name} = ${to} WHERE leaf_index = ${at}`)
      .join(', ')}`,
  )
  const rows = await store.client.query<{ leaf: string; digest: string }>(
    `SELECT leaf_index AS leaf, lower(hex(${rowDigestSql})) AS digest FROM observations`,
  )
  const differing = new Set<number>()
  for (const { leaf, digest } of rows) {
    const expected = await ledger.readOne('acme', Number(leaf))
    if (expected === undefined || hex(rowDigest(expected)) !== digest) {
      differing.add(Number(leaf))
    }
  }
  expect(altered.filter(({ at }) => !differing.has(at)).map(({ name }) => name)).toEqual([])
  expect(differing.size).toBe(altered.length)
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: 0,
    reason: 'altered',
  })
})

test('a deleted row is missing', async () => {
  await tamper('ALTER TABLE observations DELETE WHERE leaf_index = 1234')
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: 1234,
    reason: 'missing',
  })
})

test('the last row, deleted, is missing', async () => {
  await tamper(`ALTER TABLE observations DELETE WHERE leaf_index = ${leaves - 1}`)
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: leaves - 1,
    reason: 'missing',
  })
})

test('a row that stands twice is doubled', async () => {
  await tamper('INSERT INTO observations SELECT * FROM observations WHERE leaf_index = 77')
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: 77,
    reason: 'doubled',
  })
})

test('a row beyond the end of the log is extra', async () => {
  await tamper(
    'INSERT INTO observations SELECT * REPLACE (99999 AS leaf_index) FROM (SELECT * FROM observations WHERE leaf_index = 77)',
  )
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 12,
    leafIndex: 99_999,
    reason: 'extra',
  })
})

test('two rows whose contents were swapped are altered', async () => {
  await tamper(
    'INSERT INTO observations SELECT * REPLACE (if(leaf_index = 10, 11, 10)::UInt64 AS leaf_index) FROM (SELECT * FROM observations WHERE leaf_index IN (10, 11))',
  )
  await tamper(
    'ALTER TABLE observations DELETE WHERE (leaf_index = 10 AND source_seq = 10) OR (leaf_index = 11 AND source_seq = 11)',
  )
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: 10,
    reason: 'altered',
  })
})

test('a moved time is altered', async () => {
  await tamper(
    'INSERT INTO observations SELECT * REPLACE (time_occurred + INTERVAL 1 NANOSECOND AS time_occurred) FROM observations WHERE leaf_index = 500',
  )
  await tamper(
    'ALTER TABLE observations DELETE WHERE leaf_index = 500 AND time_occurred = time_recorded',
  )
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: 500,
    reason: 'altered',
  })
})

test('a dropped part shows its first leaf', async () => {
  // One part, so that no merge takes its name away.
  await tamper('OPTIMIZE TABLE observations FINAL')
  const [part] = await store.client.query<{ name: string }>(
    "SELECT name FROM system.parts WHERE database = currentDatabase() AND table = 'observations' AND active",
    {},
    { readOnly: false },
  )
  await tamper(`ALTER TABLE observations DROP PART '${part?.name}'`)
  expect((await check()).firstBad).toEqual({
    table: 'observations',
    block: 0,
    leafIndex: 0,
    reason: 'missing',
  })
})

test('any one altered row of a random choice is named', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: leaves - 1 }),
      fc.constantFrom('user_id', 'search_text', 'trace_id', 'mcp_client_name'),
      async (index, column) => {
        await tamper(
          `ALTER TABLE observations UPDATE ${column} = concat(${column}, ' ') WHERE leaf_index = ${index}`,
        )
        expect((await check()).firstBad).toEqual({
          table: 'observations',
          block: 0,
          leafIndex: index,
          reason: 'altered',
        })
        await tamper(
          `ALTER TABLE observations UPDATE ${column} = substring(${column}, 1, length(${column}) - 1) WHERE leaf_index = ${index}`,
        )
      },
    ),
    { numRuns: 8 },
  )
  expect((await check()).firstBad).toBeUndefined()
})
