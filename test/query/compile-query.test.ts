import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { whereOf } from '../../analytics/queries/conditions.ts'
import { facetValues } from '../../analytics/queries/facet-values.ts'
import { histogram } from '../../analytics/queries/histogram.ts'
import { searchEvents } from '../../analytics/queries/search-events.ts'
import { rebuild } from '../../analytics/store/rebuild.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import {
  eventFieldNames,
  eventFields,
  type SealedGroup,
  sealedGroups,
} from '../../schemas/event/fields.ts'
import { queryAliases } from '../../schemas/query/query.ts'
import { SyntheticLedger } from '../store/committed-leaf-fixture.ts'
import { type RunningStore, runStore } from '../store/running-store.ts'

const nowMs = Date.parse('2026-11-26T00:00:00Z')
const range = { from: '2026-01-01T00:00:00Z', until: '2027-01-01T00:00:00Z' }
const { signal } = new AbortController()
const everything = { logId: 'acme', groups: new Set(sealedGroups), signal }
const viewer = { logId: 'acme', groups: new Set<SealedGroup>(['identity', 'addresses']), signal }

let store: RunningStore
beforeAll(async () => {
  store = await runStore()
  const ledger = new SyntheticLedger()
  ledger.grow(60)
  ledger.grow(40, 'foreign')
  await rebuild({ client: store.client, reader: ledger })
})
afterAll(() => store.stop())

const search = (q: string, scope = everything) =>
  searchEvents(store.client, { ...range, q, view: 'events', limit: 1000 }, scope)

/** The total of a query, or the code of its refusal. */
async function answer(q: string, scope = everything): Promise<number | string> {
  try {
    return (await search(q, scope)).total
  } catch (error) {
    if (isSealtrailError(error)) return error.code
    throw error
  }
}

const nasty = fc.constantFrom(
  "'",
  '"',
  '\\',
  '\\\\',
  '`',
  '%',
  '_',
  '*',
  '{',
  '}',
  '(',
  ')',
  '[',
  ']',
  ':',
  ';',
  '--',
  '/*',
  '\0',
  '\n',
  '\t',
  '\r',
  '{q0:String}',
  "' OR 1=1 --",
  '\ud83d\ude00',
  '\ud800',
  '\u202e',
  'İ',
  '\u00a0',
  '\\N',
  '\\x41',
  '\u2028',
  '-',
  '!',
  '=',
)
const text = fc
  .array(fc.oneof(nasty, fc.string({ maxLength: 4 })), { maxLength: 8 })
  .map((parts) => parts.join(''))
const names = [
  ...eventFieldNames,
  ...Object.keys(queryAliases),
  'args.path',
  'args.a{q0:String}',
  "args.'",
  'result.x',
]
const condition = fc
  .tuple(
    fc.constantFrom(...names),
    fc.constantFrom(':', ':>', ':<=', '!=', ':*'),
    text,
    fc.boolean(),
  )
  .map(([name, operator, value, quoted]) =>
    operator === ':*' ? `${name}:*` : `${name}${operator}${quoted ? JSON.stringify(value) : value}`,
  )

describe('hostile query text', () => {
  test('gives an answer or a refusal that names what is wrong, and never reaches another log', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(condition, text), { minLength: 1, maxLength: 3 }),
        async (parts) => {
          const q = parts.join(' ')
          const given = await answer(q)
          if (typeof given === 'string') expect(['QUERY_INVALID'], q).toContain(given)
          else expect(given, q).toBeLessThanOrEqual(60)
        },
      ),
      { numRuns: 120 },
    )
  })

  test('stands in the statement as a parameter only', () => {
    fc.assert(
      fc.property(fc.array(condition, { minLength: 1, maxLength: 4 }), text, (parts, mark) => {
        const marked = `${parts.join(' OR ')} "mark${mark.replaceAll(/["\\]/g, '')}"`
        let sql = ''
        try {
          sql = whereOf({ ...range, q: marked, view: 'events' }, everything, nowMs).sql
        } catch {
          return
        }
        expect(sql.replaceAll(/'(?:UTC|access|admin|tick|finding)'/g, '')).not.toMatch(
          /['"\\;]|mark/,
        )
      }),
      { numRuns: 2000 },
    )
  })
})

describe('what does not fit', () => {
  test.each([
    ['result.text:*', 'QUERY_INVALID'],
    ['result.text:x', 'QUERY_INVALID'],
    ['time.occurred:>now-999999w', 60],
    ['time.occurred:<now-999999w', 0],
    ['time.occurred:>9999-01-01', 'QUERY_INVALID'],
    ['time.occurred:>2026-02-31', 'QUERY_INVALID'],
    ['latency:>999999999999999999999999999999999999h', 0],
    [`latency:>${'9'.repeat(400)}`, 'QUERY_INVALID'],
    ['latency:>1parsec', 'QUERY_INVALID'],
    ['source.seq:>1e3', 'QUERY_INVALID'],
    ['imported:maybe', 'QUERY_INVALID'],
    ['scope:>x', 'QUERY_INVALID'],
  ])('%s gives %s', async (q, expected) => {
    expect(await answer(q)).toBe(expected)
  })
})

test('every field can be asked for, and found where it is known', async () => {
  for (let at = 0; at < eventFieldNames.length; at += 20) {
    const fields = eventFieldNames.slice(at, at + 20)
    const q = fields.map((field) => `${field}:*`).join(' OR ')
    expect(typeof (await answer(q)), q).toBe('number')
  }
  expect(await answer('user.id:*')).toBe(60)
  expect(await answer('NOT user.id:*')).toBe(0)
})

test('a viewer can neither filter, count, complete nor see what is sealed from him', async () => {
  for (const field of eventFieldNames) {
    const { group } = eventFields[field]
    if (group === 'clear' || viewer.groups.has(group)) continue
    for (const q of [`${field}:*`, `${field}:x`, `NOT ${field}:x`, `tool:x OR ${field}:[a TO b]`]) {
      expect([q, await answer(q, viewer)]).toEqual([q, 'PERMISSION_DENIED'])
    }
    const facet = facetValues(store.client, { ...range, field, q: '', view: 'events' }, viewer)
    await expect(facet, field).rejects.toThrow(/may not ask|makes no facet/)
  }
  for (const q of ['args.path:*', 'args.path:/srv/*', 'result.text:x', 'result.text:*']) {
    expect([q, await answer(q, viewer)]).toEqual([q, 'PERMISSION_DENIED'])
  }
  // A word that stands in arguments and results only.
  expect(await answer('module', everything)).toBe(60)
  expect(await answer('module', viewer)).toBe(0)
  const { rows } = await search('', viewer)
  expect(rows).toHaveLength(60)
  expect(JSON.stringify(rows)).not.toContain('/srv/projects')
})

test('rows, histogram and facets of one query tell the same total', async () => {
  const q = 'outcome:(tool_error OR denied)'
  const request = { ...range, q, view: 'events' as const }
  const { total } = await search(q)
  const drawn = await histogram(store.client, request, everything)
  const facets = await facetValues(
    store.client,
    { ...request, field: 'outcome.status' },
    everything,
  )
  expect(total).toBe(24)
  const sum = (counts: Iterable<number>) => [...counts].reduce((all, each) => all + each, 0)
  expect(sum(drawn.buckets.flatMap(({ counts }) => Object.values(counts)))).toBe(total)
  expect(sum(facets.values.map(({ count }) => count))).toBe(total)
})

test('a page after the other gives every row once', async () => {
  const seen: number[] = []
  let cursor: string | undefined
  do {
    const page = await searchEvents(
      store.client,
      { ...range, q: '', view: 'events', limit: 7, ...(cursor === undefined ? {} : { cursor }) },
      everything,
    )
    seen.push(...page.rows.map(({ leafIndex }) => leafIndex))
    cursor = page.next ?? undefined
  } while (cursor !== undefined)
  expect(seen).toEqual(Array.from({ length: 60 }, (_, i) => 59 - i))
})

test('a cursor that is not ours is refused', async () => {
  for (const cursor of [
    'x',
    '',
    Buffer.from('["2026","1) OR (1=1"]').toString('base64url'),
    Buffer.from('["\u0027","1"]').toString('base64url'),
  ]) {
    const page = searchEvents(
      store.client,
      { ...range, q: '', view: 'events', limit: 7, cursor },
      everything,
    )
    await expect(page, cursor).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  }
})
