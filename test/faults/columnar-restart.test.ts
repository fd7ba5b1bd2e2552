import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openProjector } from '../../analytics/store/projector.ts'
import { reconcile } from '../../analytics/store/reconcile.ts'
import type { Call } from '../../schemas/call.ts'
import { SyntheticLedger, syntheticEvent } from '../store/committed-leaf-fixture.ts'
import { type RunningStore, runStore, silent } from '../store/running-store.ts'

let store: RunningStore

beforeAll(async () => {
  store = await runStore()
})

afterAll(async () => {
  await store.stop()
})

function kill(): void {
  const { pid } = store.process
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
}

test('an engine that is killed again and again during inserts loses and doubles nothing', async () => {
  const ledger = new SyntheticLedger()
  const projector = openProjector({
    client: store.client,
    reader: ledger,
    logIds: ['acme'],
    logger: silent,
    clock: () => performance.now(),
  })
  const foldedCalls: Promise<void>[] = []
  let slowestObserveMs = 0
  for (let segment = 0; segment < 120; segment++) {
    const committed = ledger.grow(50)
    // CPU, not the clock: other work on the machine must not look like a wait.
    const before = process.cpuUsage()
    projector.observe(committed)
    const { user, system } = process.cpuUsage(before)
    slowestObserveMs = Math.max(slowestObserveMs, (user + system) / 1000)
    const from = committed.fromIndex
    foldedCalls.push(
      projector.projectCalls({
        logId: 'acme',
        from,
        until: committed.treeSize,
        changes: committed.leaves.map(({ index }) => ({ sign: 1, call: callOf(index) })),
      }),
    )
    await sleep(25)
    if (segment % 30 === 12) kill()
  }
  expect(await projector.waitUntil('acme', 6000, 45_000)).toBe(true)
  await Promise.all(foldedCalls)
  const [row] = await store.client.query<Record<string, string>>(
    `SELECT count() AS n, uniqExact(leaf_index) AS u, max(leaf_index) AS last FROM observations`,
  )
  expect(row).toEqual({ n: '6000', u: '6000', last: '5999' })
  expect(
    await reconcile({ client: store.client, reader: ledger, logId: 'acme', until: 6000 }),
  ).toEqual({ logId: 'acme', checkedUntil: 6000 })
  expect(await projector.callsCursor('acme')).toBe(6000)
  const [calls] = await store.client.query<Record<string, string>>(
    `SELECT (SELECT count() FROM calls) AS n, (SELECT uniqExact(leaf_index) FROM calls) AS u,
  (SELECT sum(calls) FROM calls_per_minute) AS rollup`,
  )
  expect(calls).toEqual({ n: '6000', u: '6000', rollup: '6000' })
  expect(slowestObserveMs).toBeLessThan(50)
  await projector.close()
}, 120_000)

test('while the engine is away the projector lags, keeps its memory and catches up', async () => {
  const ledger = new SyntheticLedger()
  const lost = openProjector({
    client: store.client,
    reader: ledger,
    logIds: ['acme2'],
    logger: silent,
    clock: () => performance.now(),
    queueLimitBytes: 1_000_000,
  })
  kill()
  for (let segment = 0; segment < 50; segment++) lost.observe(ledger.grow(100, 'acme2'))
  expect(lost.indexed('acme2')).toBe(0)
  expect(await lost.waitUntil('acme2', 5000, 45_000)).toBe(true)
  expect(
    await reconcile({ client: store.client, reader: ledger, logId: 'acme2', until: 5000 }),
  ).toEqual({ logId: 'acme2', checkedUntil: 5000 })
  await lost.close()
}, 120_000)

function callOf(index: number): Call {
  const event = syntheticEvent(index)
  return { logId: 'acme', callId: event['event.id'], version: 1, observations: [index], event }
}
