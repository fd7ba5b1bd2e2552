import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { CallFeed } from '../../analytics/store/call-feed.ts'
import type { ColumnarClient } from '../../analytics/store/columnar-client.ts'
import { openProjector, type Projector } from '../../analytics/store/projector.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { firstBadMinute, reconcile } from '../../analytics/store/reconcile.ts'
import type { CallChange } from '../../schemas/call.ts'
import { SyntheticLedger, syntheticEvent, syntheticLeaf } from './committed-leaf-fixture.ts'
import { countRows, type RunningStore, runStore, silent } from './running-store.ts'

let store: RunningStore
const projectors: Projector[] = []
beforeAll(async () => {
  store = await runStore()
})
afterEach(async () => {
  await Promise.all(projectors.splice(0).map((projector) => projector.close()))
  for (const table of ['observations', 'calls', 'calls_per_minute']) {
    await store.client.command(`TRUNCATE TABLE ${table} SYNC`)
  }
})
afterAll(() => store.stop())

function callOf(index: number): CallChange {
  const event = syntheticEvent(index)
  return {
    sign: 1,
    call: { logId: 'acme', callId: event['event.id'], version: 1, observations: [index], event },
  }
}

/** A log that is projected and folded. */
async function projected(size: number) {
  const ledger = new SyntheticLedger()
  const projector = openProjector({
    client: store.client,
    reader: ledger,
    logIds: ['acme'],
    logger: silent,
    clock: () => performance.now(),
  })
  projectors.push(projector)
  const feed = new CallFeed(projector, () => undefined)
  const grow = async (count: number) => {
    const segment = ledger.grow(count)
    projector.observe(segment)
    await feed.push(
      'acme',
      segment.leaves.map(({ index }) => callOf(index)),
    )
  }
  await grow(size)
  const settle = async (until: number) => {
    expect(await projector.waitUntil('acme', until, 20_000)).toBe(true)
    await expect.poll(() => projector.callsProjected('acme'), { timeout: 20_000 }).toBe(until)
  }
  await settle(size)
  return { ledger, projector, grow, settle }
}

async function expectEqual(ledger: SyntheticLedger, size: number): Promise<void> {
  const { client } = store
  expect(
    await reconcile({ client, reader: ledger, logId: 'acme', until: size, callsUntil: size }),
  ).toEqual({ logId: 'acme', checkedUntil: size })
  expect(await firstBadMinute(client, 'acme')).toBeUndefined()
}

async function rebuildTables(): Promise<number> {
  const [row] = await store.client.query<{ n: string }>(
    "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name LIKE '%_rebuild'",
    {},
    { readOnly: false },
  )
  return Number(row?.n)
}

test('altered tables are made anew while they are read and written, and readers never see less', async () => {
  const { ledger, projector, grow, settle } = await projected(9000)
  for (const table of ['observations', 'calls']) {
    await store.client.command(`ALTER TABLE ${table} UPDATE user_id = 'mallory' WHERE 1`)
  }
  await store.client.command('ALTER TABLE calls_per_minute UPDATE calls = 7 WHERE 1')
  let reading = true
  const seen: number[] = []
  const reader = (async () => {
    while (reading) {
      seen.push(await countRows(store.client, "log_id = 'acme'"))
      const [calls] = await store.client.query<{ n: string }>('SELECT sum(sign) AS n FROM calls')
      seen.push(Number(calls?.n))
    }
  })()
  const progress: number[] = []
  let grown: Promise<void> | undefined
  await rebuild({
    client: store.client,
    reader: ledger,
    projector,
    onProgress: ({ done }) => {
      progress.push(done)
      grown ??= grow(600)
    },
  })
  await grown
  reading = false
  await reader
  await settle(9600)
  expect(Math.min(...seen)).toBeGreaterThanOrEqual(9000)
  expect(seen.length).toBeGreaterThan(2)
  expect(progress).toEqual(progress.toSorted((a, b) => a - b))
  expect(await countRows(store.client, "user_id = 'mallory'")).toBe(0)
  await expectEqual(ledger, 9600)
  expect(await rebuildTables()).toBe(0)
  // The view that feeds the rollup still hangs on the table.
  await grow(50)
  await settle(9650)
  await expectEqual(ledger, 9650)
})

test('what is erased meanwhile does not come back', async () => {
  const { ledger, projector } = await projected(300)
  const { 'user.id': _user, 'user.email': _email, ...clear } = syntheticLeaf(7).event
  let erased: Promise<void> | undefined
  let begun = 0
  await rebuild({
    client: store.client,
    reader: ledger,
    projector,
    tailLeaves: 100,
    onProgress: ({ done }) => {
      if (done === 0) begun++
      // The row beside is written, and the exchange is to come.
      if (done !== 300 || erased !== undefined) return
      ledger.replace({ ...syntheticLeaf(7), event: clear, opened: 'erased' })
      erased = projector.erase('acme', [7])
    },
  })
  await erased
  expect(begun).toBe(2)
  expect(
    await countRows(store.client, "user_email = 'user-7@example.com' AND leaf_index = 7"),
  ).toBe(0)
  expect(await countRows(store.client, 'leaf_index = 7')).toBe(1)
})

test('one that was interrupted changed nothing, and the next one begins again', async () => {
  const { ledger, projector } = await projected(300)
  const stop = new AbortController()
  const options = { client: store.client, reader: ledger, projector }
  const interrupted = rebuild({
    ...options,
    onProgress: ({ done }) => {
      if (done > 0) stop.abort()
    },
    signal: stop.signal,
  })
  await expect(interrupted).rejects.toThrow()
  await expectEqual(ledger, 300)
  // As a kill leaves it.
  await store.client.command('CREATE TABLE observations_rebuild AS observations')
  await rebuild(options)
  await expectEqual(ledger, 300)
  expect(await rebuildTables()).toBe(0)
})

test('an engine that refuses an exchange leaves the old rows', async () => {
  const { ledger, projector } = await projected(300)
  const refusing: ColumnarClient = {
    ...bound(store.client),
    command: (sql, params) =>
      sql.includes('REPLACE PARTITION')
        ? Promise.reject(new Error('refused'))
        : store.client.command(sql, params),
  }
  await expect(rebuild({ client: refusing, reader: ledger, projector })).rejects.toThrow('refused')
  await expectEqual(ledger, 300)
  expect(await rebuildTables()).toBe(0)
})

function bound(client: ColumnarClient): ColumnarClient {
  return {
    insertRows: (...given) => client.insertRows(...given),
    insertBlock: (...given) => client.insertBlock(...given),
    fence: (writer) => client.fence(writer),
    query: (...given) => client.query(...given),
    createDatabase: () => client.createDatabase(),
    command: (...given) => client.command(...given),
    ping: () => client.ping(),
    close: () => client.close(),
  }
}
