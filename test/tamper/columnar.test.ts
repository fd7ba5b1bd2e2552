import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { blockLeaves } from '../../analytics/store/projected-prefix.ts'
import { openProjector, type Projector } from '../../analytics/store/projector.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { Reconciler } from '../../analytics/store/reconciler.ts'
import { SyntheticLedger, syntheticLeaf } from '../store/committed-leaf-fixture.ts'
import { type RunningStore, runStore, silent } from '../store/running-store.ts'

/** Damage in the second block of the table, and in the calls, by whoever can write to the engine or to its files. */
const leaves = blockLeaves + 600
const ledger = new SyntheticLedger()
let store: RunningStore
let projector: Projector
let reconciler: Reconciler

beforeAll(async () => {
  store = await runStore()
  ledger.grow(blockLeaves + 100)
  ledger.append([
    syntheticLeaf(blockLeaves + 100, {
      'event.class': 'finding',
      'finding.id': 'f1',
      'finding.detector': 'first-scope@1',
      'finding.evidence': ['7'],
      'finding.sentence': 'agent used the scope mail:admin for the first time',
    }),
  ])
  ledger.grow(leaves - blockLeaves - 101)
  await rebuild({ client: store.client, reader: ledger })
  projector = openProjector({
    client: store.client,
    reader: ledger,
    logIds: ['acme'],
    logger: silent,
    clock: () => performance.now(),
  })
  await projector.waitUntil('acme', leaves, 20_000)
  await projector.callsCursor('acme')
  await store.client.command('CREATE TABLE observations_whole AS observations')
  await store.client.command('CREATE TABLE calls_whole AS calls')
  for (const table of ['observations', 'calls']) {
    await store.client.command(`OPTIMIZE TABLE ${table} FINAL`)
    await store.client.command(`ALTER TABLE ${table}_whole REPLACE PARTITION 'acme' FROM ${table}`)
  }
  reconciler = new Reconciler({
    client: store.client,
    reader: ledger,
    projector,
    clock: () => 0,
    onDifference: () => undefined,
  })
  expect(await reconciler.check('acme')).toMatchObject({ state: 'equal', checkedUntil: leaves })
}, 120_000)

beforeEach(async () => {
  for (const table of ['observations', 'calls']) {
    await store.client.command(`ALTER TABLE ${table} REPLACE PARTITION 'acme' FROM ${table}_whole`)
  }
})

afterAll(async () => {
  await projector.close()
  await store.stop()
})

const at = blockLeaves + 77

test.each([
  [
    'one row is updated',
    `ALTER TABLE observations UPDATE user_id = 'mallory' WHERE leaf_index = ${at}`,
    `leaf ${at} is altered in the table observations of the columnar store (block 1)`,
  ],
  [
    'one row is deleted the light way',
    `DELETE FROM observations WHERE leaf_index = ${at}`,
    `leaf ${at} is missing in the table observations of the columnar store (block 1)`,
  ],
  [
    'the partition is dropped',
    "ALTER TABLE observations DROP PARTITION 'acme'",
    'leaf 0 is missing in the table observations of the columnar store (block 0)',
  ],
  [
    'the partition is detached',
    "ALTER TABLE observations DETACH PARTITION 'acme'",
    'leaf 0 is missing in the table observations of the columnar store (block 0)',
  ],
  [
    'a row with a fresh leaf index is put in',
    `INSERT INTO observations SELECT * REPLACE (${leaves + 5}::UInt64 AS leaf_index) FROM (SELECT * FROM observations_whole WHERE leaf_index = ${at})`,
    `leaf ${leaves + 5} is extra in the table observations of the columnar store (block 1)`,
  ],
  [
    'a range is inserted twice',
    `INSERT INTO observations SELECT * FROM observations_whole WHERE leaf_index >= ${at} AND leaf_index < ${at + 50}`,
    `leaf ${at} is doubled in the table observations of the columnar store (block 1)`,
  ],
  [
    'a call is updated',
    `ALTER TABLE calls UPDATE trace_id = '' WHERE leaf_index = ${blockLeaves + 3}`,
    `leaf ${blockLeaves + 3} is altered in the table calls of the columnar store (block 1)`,
  ],
  [
    'a call of an older block is deleted',
    'ALTER TABLE calls DELETE WHERE leaf_index = 12',
    'leaf 12 is missing in the table calls of the columnar store (block 0)',
  ],
])('when %s, the block is named', async (_what, sql, expected) => {
  await store.client.command(sql)
  expect(await reconciler.compareNow('acme')).toMatchObject({
    state: 'different',
    firstDifference: expected,
  })
})

test('what was compared before is found from memory too, without reading the ledger for what is equal', async () => {
  let read = 0
  const counting = {
    size: (logId: string) => ledger.size(logId),
    logIds: () => ledger.logIds(),
    readOne: (logId: string, index: number) => ledger.readOne(logId, index),
    read: (logId: string, from: number, until: number) => {
      read += until - from
      return ledger.read(logId, from, until)
    },
  }
  const remembering = new Reconciler({
    client: store.client,
    reader: counting,
    projector,
    clock: () => 0,
    onDifference: () => undefined,
  })
  expect(await remembering.compareNow('acme')).toMatchObject({ state: 'equal' })
  expect(read).toBe(leaves)
  expect(await remembering.compareNow('acme')).toMatchObject({ state: 'equal' })
  expect(read).toBe(leaves)
  await store.client.command('ALTER TABLE calls DELETE WHERE leaf_index = 12')
  expect(await remembering.compareNow('acme')).toMatchObject({
    firstDifference: 'leaf 12 is missing in the table calls of the columnar store (block 0)',
  })
  expect(read).toBe(leaves + blockLeaves)
})

test('a view of findings that leaves one out is named', async () => {
  const [view] = await store.client.query<{ as_select: string }>(
    "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = 'findings'",
    {},
    { readOnly: false },
  )
  await store.client.command(
    `CREATE OR REPLACE VIEW findings AS ${view?.as_select} AND finding_id != 'f1'`,
  )
  expect(await reconciler.check('acme')).toMatchObject({
    firstDifference: `the finding of leaf ${blockLeaves + 100} is altered in the view findings of the columnar store`,
  })
  await store.client.command(`CREATE OR REPLACE VIEW findings AS ${view?.as_select}`)
})

test('a file of columns that was cut is named', async () => {
  const [part] = await store.client.query<{ path: string }>(
    "SELECT path FROM system.parts WHERE database = currentDatabase() AND table = 'observations' AND active ORDER BY rows DESC LIMIT 1",
    {},
    { readOnly: false },
  )
  const file = join(part?.path ?? '', 'data.bin')
  truncateSync(file, 4096)
  expect(await reconciler.check('acme')).toMatchObject({
    state: 'different',
    firstDifference:
      'block 0, from leaf 0 on, cannot be read in the table observations of the columnar store',
  })
})
