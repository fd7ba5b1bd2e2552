import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openColumnarClient } from '../../analytics/store/columnar-client.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { SyntheticLedger } from './committed-leaf-fixture.ts'
import { type RunningStore, runStore } from './running-store.ts'

let store: RunningStore

beforeAll(async () => {
  store = await runStore()
  await store.client.command(`CREATE TABLE things (n UInt64, t String, s UInt8 DEFAULT 7) ENGINE = MergeTree ORDER BY n
SETTINGS non_replicated_deduplication_window = 100`)
})

afterAll(async () => {
  await store.stop()
})

async function things(): Promise<number> {
  const [row] = await store.client.query<{ n: string }>('SELECT count() AS n FROM things')
  return Number(row?.n)
}

test('a repeat with the same token changes nothing, the same rows with another token are added', async () => {
  const before = await things()
  const rows = [{ n: 1, t: 'a' }]
  await store.client.insertRows('things', rows, { token: 'aa' })
  await store.client.insertRows('things', rows, { token: 'aa' })
  expect(await things()).toBe(before + 1)
  await store.client.insertRows('things', rows, { token: 'bb' })
  expect(await things()).toBe(before + 2)
})

test('an insert with an unknown column or a wrong number is refused with all its rows', async () => {
  const before = await things()
  for (const bad of [
    { n: 2, t: 'a', unknown: 1 },
    { n: -1, t: 'a' },
    { n: 'x', t: 'a' },
  ]) {
    await expect(
      store.client.insertRows('things', [{ n: 2, t: 'good' }, bad], {
        token: JSON.stringify(bad).length.toString(16),
      }),
    ).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: false })
  }
  expect(await things()).toBe(before)
})

test('any text and any 64-bit number come back through parameters as they went in', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ unit: 'binary' }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      async (text, number) => {
        const [row] = await store.client.query<{ text: string; number: string }>(
          'SELECT {text:String} AS text, {number:UInt64} AS number',
          { text, number: number.toString() },
        )
        expect(row).toEqual({ text, number: number.toString() })
      },
    ),
    { numRuns: 60 },
  )
})

test('a parameter is never SQL', async () => {
  const rows = await store.client.query<{ n: string }>(
    'SELECT count() AS n FROM things WHERE t = {t:String}',
    { t: "' OR 1=1 --" },
  )
  expect(rows).toEqual([{ n: '0' }])
})

test('a query beyond its time limit is too expensive', async () => {
  await expect(
    store.client.query(
      'SELECT sleepEachRow(0.2) FROM numbers(50) SETTINGS max_block_size = 1',
      {},
      {
        limits: { maxExecutionSeconds: 1 },
        readOnly: false,
      },
    ),
  ).rejects.toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' })
})

test('a result beyond its row limit is too expensive, also as the read-only user', async () => {
  await expect(
    store.client.query('SELECT number FROM numbers(5000)', {}, { limits: { maxResultRows: 100 } }),
  ).rejects.toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' })
})

test('an aborted query stops in the engine', async () => {
  const controller = new AbortController()
  const query = store.client.query(
    'SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1',
    {},
    {
      signal: controller.signal,
    },
  )
  await new Promise((resolve) => setTimeout(resolve, 300))
  controller.abort(new Error('enough'))
  await expect(query).rejects.toThrow('enough')
  for (let wait = 0; wait < 50; wait++) {
    const [row] = await store.client.query<{ n: string }>(
      "SELECT count() AS n FROM system.processes WHERE query LIKE '%sipHash64%' AND user = 'sealtrail_read'",
      {},
      { readOnly: false },
    )
    if (row?.n === '0') return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the query still runs')
})

test('a store that does not answer is unavailable and worth a retry', async () => {
  const client = openColumnarClient({ url: 'http://127.0.0.1:9', user: 'sealtrail', password: 'x' })
  await expect(client.query('SELECT 1')).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    retryable: true,
  })
  expect(await client.ping()).toBe(false)
  await client.close()
})

test('an error about an insert quotes no value of it', async () => {
  const error: unknown = await store.client
    .insertRows('things', [{ n: 'secret-value-of-a-person', t: 'x' }], { token: 'cc' })
    .catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(`${String(error)} ${error instanceof Error ? String(error.cause) : ''}`).not.toContain(
    'secret-value',
  )
})

test('a word search uses the token index', async () => {
  const ledger = new SyntheticLedger()
  ledger.grow(100)
  await rebuild({ client: store.client, reader: ledger })
  const rows = await store.client.query<{ explain: string }>(
    "EXPLAIN indexes = 1 SELECT count() FROM observations WHERE hasToken(search_text, 'needle')",
  )
  expect(rows.map(({ explain }) => explain).join('\n')).toContain('search_words')
})
