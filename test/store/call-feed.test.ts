import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { CallFeed, datedChanges } from '../../analytics/store/call-feed.ts'
import { openProjector, type Projector } from '../../analytics/store/projector.ts'
import type { CallChange } from '../../schemas/call.ts'
import { SyntheticLedger, syntheticEvent } from './committed-leaf-fixture.ts'
import { type RunningStore, runStore, silent } from './running-store.ts'

let store: RunningStore
let projector: Projector

beforeAll(async () => {
  store = await runStore()
})

beforeEach(async () => {
  await projector?.close()
  await store.client.command('TRUNCATE TABLE calls SYNC')
  await store.client.command('TRUNCATE TABLE calls_per_minute SYNC')
  projector = openProjector({
    client: store.client,
    reader: new SyntheticLedger(),
    logIds: [],
    logger: silent,
    clock: () => performance.now(),
  })
})

afterAll(async () => {
  await projector.close()
  await store.stop()
})

function change(
  sign: 1 | -1,
  version: number,
  observations: number[],
  outcome = 'success',
): CallChange {
  const event = syntheticEvent(observations[0] ?? 0, {
    'outcome.status': outcome === 'success' ? 'success' : 'denied',
  })
  return {
    sign,
    call: { logId: 'acme', callId: event['event.id'], version, observations, event },
  }
}

/** A call of leaf 0 that leaf 5 joins as a denial, and a call of leaf 3. */
const history: readonly CallChange[] = [
  change(1, 1, [0]),
  change(1, 1, [3]),
  change(-1, 1, [0]),
  change(1, 2, [0, 5], 'denied'),
]

async function state(): Promise<unknown> {
  const [calls, rollup] = await Promise.all([
    store.client.query(
      'SELECT leaf_index, call_version, outcome_status FROM calls FINAL ORDER BY leaf_index',
    ),
    store.client.query(
      'SELECT outcome_status, sum(calls) AS n FROM calls_per_minute GROUP BY outcome_status HAVING n != 0 ORDER BY outcome_status',
    ),
  ])
  return { calls, rollup }
}

const expected = {
  calls: [
    { leaf_index: '0', call_version: 2, outcome_status: 'denied' },
    { leaf_index: '3', call_version: 1, outcome_status: 'success' },
  ],
  rollup: [
    { outcome_status: 'denied', n: '1' },
    { outcome_status: 'success', n: '1' },
  ],
}

async function feedAll(changes: readonly CallChange[], until: number): Promise<void> {
  const feed = new CallFeed(projector, (error) => {
    throw error
  })
  feed.push('acme', changes)
  for (let wait = 0; wait < 100 && (await projector.callsCursor('acme')) < until; wait++) {
    await sleep(20)
  }
  await feed.close()
}

test('a join replaces the call and moves its count, and no count is doubled', async () => {
  await feedAll(history, 6)
  expect(await state()).toEqual(expected)
  expect(await projector.callsCursor('acme')).toBe(6)
})

test('a fold that begins again from the start adds only what the table lacks', async () => {
  await feedAll(history.slice(0, 2), 4)
  expect(await projector.callsCursor('acme')).toBe(4)
  await feedAll(history, 6)
  expect(await state()).toEqual(expected)
  await feedAll(history, 6)
  expect(await state()).toEqual(expected)
})

test('an old state that is taken back belongs to the leaf of the new one', () => {
  expect(datedChanges(history).map(({ leafIndex }) => leafIndex)).toEqual([0, 3, 5, 5])
})

test('a rollup that lost or doubled a part is filled anew', async () => {
  await feedAll(history, 6)
  await store.client.command('INSERT INTO calls_per_minute SELECT * FROM calls_per_minute')
  await projector.callsCursor('acme')
  expect(await state()).toEqual(expected)
  await store.client.command('TRUNCATE TABLE calls_per_minute SYNC')
  await projector.callsCursor('acme')
  expect(await state()).toEqual(expected)
})
