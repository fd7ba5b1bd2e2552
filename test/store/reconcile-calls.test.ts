import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Assembler } from '../../analytics/fold/assembler.ts'
import { insertCalls } from '../../analytics/store/call-projection.ts'
import { callColumns } from '../../analytics/store/event-columns.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import {
  callDigest,
  callDigestSql,
  firstBadMinute,
  type ReconcileResult,
  reconcile,
} from '../../analytics/store/reconcile.ts'
import { hex } from '../../schemas/bytes.ts'
import type { CallChange } from '../../schemas/call.ts'
import { SyntheticLedger, syntheticLeaf } from './committed-leaf-fixture.ts'
import { type RunningStore, runStore } from './running-store.ts'

const leaves = 2500
const ledger = new SyntheticLedger()
let store: RunningStore

beforeAll(async () => {
  store = await runStore()
  ledger.grow(700)
  // What is no call has no row there.
  ledger.append([syntheticLeaf(700, { 'event.class': 'tool_list' })])
  ledger.grow(leaves - 701)
  await rebuild({ client: store.client, reader: ledger })
})

beforeEach(async () => {
  for (const table of ['calls', 'calls_per_minute']) await alter(`TRUNCATE TABLE ${table} SYNC`)
  await project(0, 1100)
  await project(1100, leaves)
})

afterAll(() => store.stop())

/** The calls of leaves [from, until), as the fold emits them. */
async function project(from: number, until: number, also: CallChange[] = []): Promise<void> {
  const assembler = new Assembler()
  const changes: CallChange[] = []
  for await (const run of ledger.read('acme', from, until)) {
    for (const leaf of run) changes.push(...assembler.observe(leaf))
  }
  const batch = { logId: 'acme', from, until, changes: [...changes, ...also] }
  await insertCalls(
    store.client,
    `epoch ${Math.random()}`,
    batch,
    AbortSignal.timeout(30_000),
    () => undefined,
  )
}

function alter(sql: string): Promise<void> {
  return store.client.command(sql)
}

function check(callsUntil = leaves): Promise<ReconcileResult> {
  return reconcile({
    client: store.client,
    reader: ledger,
    logId: 'acme',
    until: leaves,
    callsUntil,
  })
}

const bad = (leafIndex: number, reason: string) => ({
  table: 'calls',
  block: Math.floor(leafIndex / 8192),
  leafIndex,
  reason,
})

test('calls as the fold makes them equal the ledger, however they were batched', async () => {
  expect(await check()).toEqual({ logId: 'acme', checkedUntil: leaves })
  expect(await firstBadMinute(store.client, 'acme')).toBeUndefined()
})

test('a state that was taken back and added again is no difference', async () => {
  const leaf = await ledger.readOne('acme', 40)
  const [added] = leaf === undefined ? [] : new Assembler().observe(leaf)
  if (added === undefined) throw new Error('leaf 40 is a call')
  await project(leaves, leaves, [{ ...added, sign: -1 }, added])
  expect((await check()).firstBad).toBeUndefined()
})

test('calls that are not projected yet are not missing', async () => {
  await alter('TRUNCATE TABLE calls SYNC')
  await project(0, 1100)
  expect((await check(1100)).firstBad).toBeUndefined()
  expect((await check()).firstBad).toEqual(bad(1100, 'missing'))
})

test('one altered value in any column is named by the leaf of its call', async () => {
  const kinds: Readonly<Record<string, string>> = {
    string: "'tampered'",
    strings: "['tampered']",
    nullable_time: "toDateTime64('2001-01-01 00:00:00.000000001', 9, 'UTC')",
    nullable_int64: '-1',
    nullable_float64: '0.1',
    nullable_bool: '1',
    time: "toDateTime64('2001-01-01 00:00:00.000000001', 9, 'UTC')",
    uint64: `${leaves}`,
    uint64s: '[7]',
  }
  // What sorts or collapses rows cannot be updated.
  const fixed = new Set(['log_id', 'time_occurred', 'leaf_index', 'sign', 'call_version'])
  const columns = callColumns.filter(({ name }) => !fixed.has(name))
  const at = (column: number) => 3 * column
  await alter(
    `ALTER TABLE calls ${columns
      .map(
        ({ name, kind }, column) =>
          `UPDATE ${name} = ${kinds[kind]} WHERE leaf_index = ${at(column)}`,
      )
      .join(', ')}`,
  )
  const rows = await store.client.query<{ leaf: string; digest: string }>(
    `SELECT leaf_index AS leaf, lower(hex(${callDigestSql})) AS digest FROM calls`,
    { size: leaves },
  )
  const differing = new Set<number>()
  for (const { leaf, digest } of rows) {
    const expected = await ledger.readOne('acme', Number(leaf))
    const [added] = expected === undefined ? [] : new Assembler().observe(expected)
    if (added === undefined || hex(callDigest(added.call)) !== digest) differing.add(Number(leaf))
  }
  const unseen = columns.filter((_, column) => !differing.has(at(column)))
  expect(unseen.map(({ name }) => name)).toEqual([])
  expect(differing.size).toBe(columns.length)
  expect((await check()).firstBad).toEqual(bad(0, 'altered'))
})

test.each([
  [
    'a deleted call is missing',
    'ALTER TABLE calls DELETE WHERE leaf_index = 1234',
    bad(1234, 'missing'),
  ],
  [
    'the last call, deleted, is missing',
    `ALTER TABLE calls DELETE WHERE leaf_index = ${leaves - 1}`,
    bad(leaves - 1, 'missing'),
  ],
  [
    'a call that stands twice is doubled',
    'INSERT INTO calls SELECT * FROM calls WHERE leaf_index = 77',
    bad(77, 'doubled'),
  ],
  [
    'a call of a leaf that is none is extra',
    'INSERT INTO calls SELECT * REPLACE (700::UInt64 AS leaf_index) FROM (SELECT * FROM calls WHERE leaf_index = 77)',
    bad(700, 'extra'),
  ],
  [
    'a call beyond the end of the log is extra',
    'INSERT INTO calls SELECT * REPLACE (99999::UInt64 AS leaf_index) FROM (SELECT * FROM calls WHERE leaf_index = 77)',
    bad(99_999, 'extra'),
  ],
  [
    'a call that somebody took back is missing',
    'INSERT INTO calls SELECT * REPLACE (-1::Int8 AS sign) FROM (SELECT * FROM calls WHERE leaf_index = 500)',
    bad(500, 'missing'),
  ],
])('%s', async (_name, sql, expected) => {
  await alter(sql)
  expect((await check()).firstBad).toEqual(expected)
})

test('an altered count of the rollup is named by its minute', async () => {
  await alter(
    'ALTER TABLE calls_per_minute UPDATE calls = calls + 1 WHERE minute = (SELECT min(minute) FROM calls_per_minute) AND gen_ai_tool_name = (SELECT min(gen_ai_tool_name) FROM calls_per_minute)',
  )
  expect(await firstBadMinute(store.client, 'acme')).toBe('2026-11-01 00:00:00')
  expect((await check()).firstBad).toBeUndefined()
})
