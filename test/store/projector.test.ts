import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openProjector, type Projector } from '../../analytics/store/projector.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { reconcile } from '../../analytics/store/reconcile.ts'
import type { CallChange } from '../../schemas/call.ts'
import { SyntheticLedger, syntheticEvent, syntheticLeaf } from './committed-leaf-fixture.ts'
import { countRows, type RunningStore, runStore, silent } from './running-store.ts'

let store: RunningStore
let projectors: Projector[] = []

beforeAll(async () => {
  store = await runStore()
})

beforeEach(async () => {
  await Promise.all(projectors.map((projector) => projector.close()))
  projectors = []
  for (const table of ['observations', 'calls', 'calls_per_minute']) {
    await store.client.command(`TRUNCATE TABLE ${table} SYNC`)
  }
})

afterAll(async () => {
  await Promise.all(projectors.map((projector) => projector.close()))
  await store.stop()
})

function project(ledger: SyntheticLedger, logIds: string[] = []): Projector {
  const projector = openProjector({
    client: store.client,
    reader: ledger,
    logIds,
    logger: silent,
    clock: () => performance.now(),
  })
  projectors.push(projector)
  return projector
}

async function indexes(): Promise<{ n: number; unique: number; last: number }> {
  const [row] = await store.client.query<Record<string, string>>(
    'SELECT count() AS n, uniqExact(leaf_index) AS u, max(leaf_index) AS last FROM observations',
  )
  return { n: Number(row?.n), unique: Number(row?.u), last: Number(row?.last) }
}

test('every committed leaf becomes one row, also when none comes after it', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger, ['acme'])
  for (let segment = 0; segment < 10; segment++) projector.observe(ledger.grow(37))
  expect(await projector.waitUntil('acme', 370, 5000)).toBe(true)
  expect(await indexes()).toEqual({ n: 370, unique: 370, last: 369 })
  projector.observe(ledger.grow(1))
  expect(await projector.waitUntil('acme', 371, 5000)).toBe(true)
})

test('what was in the ledger before the start is caught up with, while new commits arrive', async () => {
  const ledger = new SyntheticLedger()
  ledger.grow(20_000)
  const projector = project(ledger, ['acme'])
  for (let segment = 0; segment < 20; segment++) projector.observe(ledger.grow(100))
  expect(await projector.waitUntil('acme', 22_000, 30_000)).toBe(true)
  expect(await indexes()).toEqual({ n: 22_000, unique: 22_000, last: 21_999 })
})

test('a second start goes on where the table ends and doubles nothing', async () => {
  const ledger = new SyntheticLedger()
  const first = project(ledger, ['acme'])
  first.observe(ledger.grow(500))
  await first.waitUntil('acme', 500, 5000)
  await first.close()
  ledger.grow(300)
  const second = project(ledger, ['acme'])
  expect(await second.waitUntil('acme', 800, 5000)).toBe(true)
  expect(await indexes()).toEqual({ n: 800, unique: 800, last: 799 })
})

test('rows that were lost or doubled before a start are put right by it', async () => {
  const ledger = new SyntheticLedger()
  const first = project(ledger, ['acme'])
  first.observe(ledger.grow(9000))
  expect(await first.waitUntil('acme', 9000, 60_000)).toBe(true)
  await first.close()
  await store.client.command('ALTER TABLE observations DELETE WHERE leaf_index IN (5, 8500)')
  await store.client.command(
    'INSERT INTO observations SELECT * FROM observations WHERE leaf_index = 9',
  )
  const second = project(ledger, ['acme'])
  expect(await second.waitUntil('acme', 9000, 60_000)).toBe(true)
  expect(await indexes()).toEqual({ n: 9000, unique: 9000, last: 8999 })
  expect(
    await reconcile({ client: store.client, reader: ledger, logId: 'acme', until: 9000 }),
  ).toEqual({
    logId: 'acme',
    checkedUntil: 9000,
  })
})

test('the tail that was deleted before a start comes back although its rows are the same', async () => {
  const ledger = new SyntheticLedger()
  const first = project(ledger, ['acme'])
  first.observe(ledger.grow(100))
  await first.waitUntil('acme', 100, 5000)
  await first.close()
  await store.client.command('ALTER TABLE observations DELETE WHERE leaf_index >= 0')
  const second = project(ledger, ['acme'])
  expect(await second.waitUntil('acme', 100, 5000)).toBe(true)
  expect(await indexes()).toEqual({ n: 100, unique: 100, last: 99 })
})

test('logs are projected side by side and never mix', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger)
  projector.observe(ledger.grow(50, 'acme'))
  projector.observe(ledger.grow(70, '_system'))
  expect(await projector.waitUntil('acme', 50, 5000)).toBe(true)
  expect(await projector.waitUntil('_system', 70, 5000)).toBe(true)
  expect(await countRows(store.client, "log_id = 'acme'")).toBe(50)
  expect(await countRows(store.client, "log_id = '_system'")).toBe(70)
})

test('more commits than fit into memory are read from the ledger again', async () => {
  const ledger = new SyntheticLedger()
  const projector = openProjector({
    client: store.client,
    reader: ledger,
    logIds: ['acme'],
    logger: silent,
    clock: () => performance.now(),
    queueLimitBytes: 200_000,
  })
  projectors.push(projector)
  for (let segment = 0; segment < 40; segment++) projector.observe(ledger.grow(50))
  expect(await projector.waitUntil('acme', 2000, 10_000)).toBe(true)
  expect(await indexes()).toEqual({ n: 2000, unique: 2000, last: 1999 })
})

test('waiting for a size that does not come ends with false', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger, ['acme'])
  expect(await projector.waitUntil('acme', 1, 50)).toBe(false)
})

test('a rebuild of one log leaves the other log alone and equals the ledger', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger)
  projector.observe(ledger.grow(900, 'acme'))
  projector.observe(ledger.grow(40, '_system'))
  await projector.waitUntil('acme', 900, 5000)
  await projector.waitUntil('_system', 40, 5000)
  await projector.close()
  await store.client.command("ALTER TABLE observations UPDATE user_id = 'mallory' WHERE 1")
  const seen: number[] = []
  await rebuild({
    client: store.client,
    reader: ledger,
    logId: 'acme',
    onProgress: ({ done }) => seen.push(done),
  })
  expect(seen.at(-1)).toBe(900)
  expect(await countRows(store.client, "user_id = 'mallory' AND log_id = '_system'")).toBe(40)
  const acme = { client: store.client, reader: ledger, logId: 'acme', until: 900 }
  expect(await reconcile(acme)).toEqual({ logId: 'acme', checkedUntil: 900 })
  await rebuild({ client: store.client, reader: ledger })
  const system = { client: store.client, reader: ledger, logId: '_system', until: 40 }
  expect(await reconcile(system)).toEqual({ logId: '_system', checkedUntil: 40 })
})

test('an erased event loses its personal columns and keeps its row', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger, ['acme'])
  projector.observe(ledger.grow(20))
  await projector.waitUntil('acme', 20, 5000)
  const changes = Array.from({ length: 20 }, (_, index): CallChange => {
    const event = syntheticEvent(index)
    const callId = event['event.id']
    return { sign: 1, call: { logId: 'acme', callId, version: 1, observations: [index], event } }
  })
  await projector.projectCalls({ logId: 'acme', from: 0, until: 20, changes })
  const leaf = syntheticLeaf(7)
  const {
    'user.id': _user,
    'user.email': _email,
    'gen_ai.conversation.id': _conversation,
    'mcp.client.name': _client,
    'gen_ai.tool.call.arguments': _arguments,
    'gen_ai.tool.call.result': _result,
    ...clear
  } = leaf.event
  ledger.replace({ ...leaf, event: clear, opened: 'erased' })
  await projector.erase('acme', [7])
  expect(projector.callsProjected('acme')).toBe(20)
  expect(await indexes()).toEqual({ n: 20, unique: 20, last: 19 })
  for (const table of ['observations', 'calls FINAL']) {
    const [row] = await store.client.query<Record<string, unknown>>(
      `SELECT user_email, gen_ai_tool_call_arguments AS arguments, argument_values,
  position(search_text, 'user-7@') AS found, has(present, 'user.email') AS present, gen_ai_tool_name AS tool
FROM ${table} WHERE leaf_index = 7`,
    )
    expect(row).toEqual({
      user_email: '',
      arguments: '',
      argument_values: [],
      found: '0',
      present: 0,
      tool: 'run_query',
    })
  }
  expect(
    await reconcile({
      client: store.client,
      reader: ledger,
      logId: 'acme',
      until: 20,
      callsUntil: projector.callsProjected('acme'),
    }),
  ).toEqual({
    logId: 'acme',
    checkedUntil: 20,
  })
})

test('a refill replaces what somebody altered', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger, ['acme'])
  projector.observe(ledger.grow(100))
  await projector.waitUntil('acme', 100, 5000)
  await store.client.command(
    "ALTER TABLE observations UPDATE outcome_status = 'success' WHERE leaf_index = 44",
  )
  await projector.refill('acme', 0, 100)
  expect(
    await reconcile({ client: store.client, reader: ledger, logId: 'acme', until: 100 }),
  ).toEqual({
    logId: 'acme',
    checkedUntil: 100,
  })
})

test('a leaf of class finding is a finding, once, with its evidence as numbers', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger, ['acme'])
  ledger.grow(3)
  ledger.append([
    syntheticLeaf(3, {
      'event.class': 'finding',
      'finding.id': 'ab'.repeat(32),
      'finding.detector': 'first-scope@1',
      'finding.severity': 'high',
      'finding.p': 0.00125,
      'finding.evidence': ['1', '2'],
      'finding.sentence': 'user-1 used repo:admin for the first time',
    }),
  ])
  projector.observe(ledger.grow(1))
  expect(await projector.waitUntil('acme', 5, 5000)).toBe(true)
  expect(
    await store.client.query(
      'SELECT finding_id, leaf_index, detector, severity, p, evidence FROM findings WHERE hasAny(evidence, {indexes:Array(UInt64)})',
      { indexes: [2] },
    ),
  ).toEqual([
    {
      finding_id: 'ab'.repeat(32),
      leaf_index: '3',
      detector: 'first-scope@1',
      severity: 'high',
      p: 0.00125,
      evidence: ['1', '2'],
    },
  ])
})

test('words, argument paths and exact values find their rows', async () => {
  const ledger = new SyntheticLedger()
  const projector = project(ledger, ['acme'])
  projector.observe(ledger.grow(500))
  await projector.waitUntil('acme', 500, 5000)
  for (const condition of [
    "has(argument_paths, 'options.limit') AND arrayExists((p, v) -> p = 'options.limit' AND v = '321', argument_paths, argument_values)",
    "hasToken(search_text, 'module') AND position(search_text, 'module-321.ts') > 0",
    "has(present, 'user.id') AND user_id = 'user-30' AND duration_ms = 321.125",
  ]) {
    expect(await countRows(store.client, condition)).toBe(1)
  }
})

test('a log of single events is rebuilt in few inserts', async () => {
  const ledger = new SyntheticLedger(1)
  ledger.grow(1000)
  await rebuild({ client: store.client, reader: ledger })
  const [row] = await store.client.query<{ parts: string }>(
    'SELECT uniqExact(_part) AS parts FROM observations',
  )
  expect(row?.parts).toBe('1')
})
