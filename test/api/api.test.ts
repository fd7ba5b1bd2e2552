import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { Problem } from '../../schemas/api/problem.ts'
import { SearchReply } from '../../schemas/api/search.ts'
import { CreateSourceKeyReply, SourcesReply } from '../../schemas/api/sources.ts'
import { equal } from '../../schemas/bytes.ts'
import { chainStart, chainValue, sentDigest } from '../../schemas/source-chain.ts'
import { chainKeyOf, parseSourceSecret } from '../../schemas/source-key.ts'
import { openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { leafHash, TreeFrontier } from '../../schemas/tlog/merkle.ts'
import { noteVerifier } from '../../schemas/tlog/note.ts'
import { decodeEntryBundle } from '../../schemas/tlog/tiles.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

let sealtrail: RunningSealtrail
let cookie = ''
const password = 'correct horse battery staple'

beforeAll(async () => {
  sealtrail = await RunningSealtrail.start()
  const { token } = await sealtrail.control.call(
    z.object({ token: z.string() }),
    'POST',
    '/control/setup-link',
    {},
  )
  const response = await post('/api/v1/setup', { token, name: 'root', password })
  expect(response.status).toBe(200)
  cookie = response.headers.get('set-cookie')?.split(';')[0] ?? ''
}, 60_000)
afterAll(() => sealtrail?.end())

function post(
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`${sealtrail.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: sealtrail.url, ...headers },
    body: JSON.stringify(body),
  })
}
const get = (path: string, headers: Record<string, string> = { cookie }) =>
  fetch(`${sealtrail.url}${path}`, { headers })
const send = (key: string, event: object) =>
  post('/v1/events', event, { authorization: `Bearer ${key}` })
const range = () => `from=2020-01-01T00:00:00Z&until=${new Date(Date.now() + 60_000).toISOString()}`

describe('who gets in', () => {
  test('nobody reads anything without a session, but what says nothing about this deployment', async () => {
    for (const path of [
      `/api/v1/events?${range()}`,
      `/api/v1/histogram?${range()}`,
      `/api/v1/facets?field=tool&${range()}`,
      `/api/v1/findings?${range()}`,
      '/api/v1/integrity',
      '/api/v1/sources',
      '/api/v1/me',
      '/tlog/main/checkpoint',
      '/api/v1/consistency?log=main&old=0&new=0',
      '/api/v1/events/00000000-0000-7000-8000-000000000000',
      '/api/v1/exports/00000000-0000-4000-8000-000000000000/vkey',
    ]) {
      const response = await get(path, {})
      expect([path, response.status]).toEqual([path, 401])
      expect(response.headers.get('content-type')).toContain('application/problem+json')
    }
    for (const path of [
      '/healthz',
      '/readyz',
      '/metrics',
      '/api/v1/setup',
      '/api/v1/schemas/event',
      '/api/v1/openapi.json',
    ]) {
      expect([path, (await get(path, {})).status]).toEqual([path, 200])
    }
  })

  test('a wrong password and an unknown name are answered alike', async () => {
    const wrong = await post('/api/v1/login', { name: 'root', password: 'wrong password' })
    const unknown = await post('/api/v1/login', { name: 'nobody', password: 'wrong password' })
    expect([wrong.status, unknown.status]).toEqual([401, 401])
    expect(await wrong.json()).toEqual(await unknown.json())
  })

  test('the one-time link works once', async () => {
    const { token } = await sealtrail.control.call(
      z.object({ token: z.string() }),
      'POST',
      '/control/setup-link',
      {},
    )
    expect((await post('/api/v1/setup', { token: 'wrong', name: 'eve', password })).status).toBe(
      401,
    )
    expect((await post('/api/v1/setup', { token, name: 'root', password })).status).toBe(409)
    expect((await post('/api/v1/setup', { token, name: 'second', password })).status).toBe(200)
    expect((await post('/api/v1/setup', { token, name: 'third', password })).status).toBe(401)
  })

  test.each([
    ['another site', { origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' }],
    [
      'another port of this machine',
      { origin: 'http://127.0.0.1:1', 'sec-fetch-site': 'same-site' },
    ],
  ])(
    'a change that a page of %s sends is refused, whatever cookie comes along',
    async (_name, headers) => {
      const response = await post('/api/v1/source-keys', { name: 'x' }, { cookie, ...headers })
      expect(response.status).toBe(403)
      expect(await response.json()).toMatchObject({ code: 'CROSS_ORIGIN_REFUSED' })
    },
  )

  test('signing out ends the session at the server', async () => {
    const login = await post('/api/v1/login', { name: 'second', password })
    const other = login.headers.get('set-cookie')?.split(';')[0] ?? ''
    expect(login.headers.get('set-cookie')).toMatch(/HttpOnly; SameSite=Lax/i)
    expect((await get('/api/v1/me', { cookie: other })).status).toBe(200)
    await post('/api/v1/logout', {}, { cookie: other })
    expect((await get('/api/v1/me', { cookie: other })).status).toBe(401)
  })

  test('a source key works until it is revoked, and revoking names the version that was seen', async () => {
    const created = z
      .object({ id: z.string(), key: z.string() })
      .parse(await (await post('/api/v1/source-keys', { name: 'short-lived' }, { cookie })).json())
    expect((await send(created.key, { 'event.class': 'tool_call' })).status).toBe(200)
    const stale = await post(
      `/api/v1/source-keys/${created.id}/revoke`,
      { expectedVersion: 7 },
      { cookie },
    )
    expect([stale.status, Problem.parse(await stale.json()).code]).toEqual([
      409,
      'VERSION_CONFLICT',
    ])
    expect(
      (await post(`/api/v1/source-keys/${created.id}/revoke`, { expectedVersion: 1 }, { cookie }))
        .status,
    ).toBe(200)
    expect((await send(created.key, { 'event.class': 'tool_call' })).status).toBe(401)
  })

  test('a rotated source key: both work, the list says which, and the one that leaked ends at once', async () => {
    const Created = z.object({ id: z.string(), key: z.string() })
    const created = Created.parse(
      await (await post('/api/v1/source-keys', { name: 'rotated' }, { cookie })).json(),
    )
    const rotate = async (body: object) =>
      post(`/api/v1/source-keys/${created.id}/rotate`, body, { cookie })
    const second = Created.parse(await (await rotate({ expectedVersion: 1 })).json())
    for (const key of [created.key, second.key])
      expect((await send(key, { 'event.class': 'tool_call' })).status).toBe(200)
    const { stdout } = await sealtrail.command(['source-key', 'list'])
    expect(stdout).toMatch(/"rotated" {2}[0-9a-f]{12} {2}current, made .*, used /)
    expect(stdout).toMatch(/"rotated" {2}[0-9a-f]{12} {2}ending, until /)
    expect((await rotate({ expectedVersion: 1 })).status).toBe(409)
    const third = await sealtrail.command([
      ...['source-key', 'rotate', 'rotated', '--overlap', '0', '--print', 'key'],
    ])
    expect([third.code, third.stderr]).toEqual([0, ''])
    const statuses = [created.key, second.key, third.stdout.trim()].map(
      async (key) => (await send(key, { 'event.class': 'tool_call' })).status,
    )
    expect(await Promise.all(statuses)).toEqual([401, 401, 200])
  })

  test('what a collector numbers under a rotated secret is checked by the chain of that secret', async () => {
    const path = '/api/v1/source-keys'
    const { id } = CreateSourceKeyReply.parse(
      await (await post(path, { name: 'numbered' }, { cookie })).json(),
    )
    const made = CreateSourceKeyReply.parse(
      await (await post(`${path}/${id}/rotate`, { expectedVersion: 1 }, { cookie })).json(),
    )
    const secret = parseSourceSecret(made.secret)
    if (secret === undefined) throw new Error('no secret')
    const hmac = (key: Uint8Array, data: Uint8Array) =>
      createHmac('sha256', key).update(data).digest()
    let prev = chainStart
    const next = (seq: number, forged?: string) => {
      const record = {
        'event.class': 'tool_call',
        'source.epoch': 'rotated',
        'source.seq': seq,
        'source.prev': forged ?? prev,
      }
      prev = chainValue(hmac, chainKeyOf(secret), sentDigest(sha256, record))
      return record
    }
    const breaks = async (events: object[]) => {
      expect(
        (await post('/v1/events', events, { authorization: `Bearer ${made.key}` })).status,
      ).toBe(200)
      for (;;) {
        const { sources } = SourcesReply.parse(await (await get('/api/v1/sources')).json())
        const row = sources.find((each) => each.id === id)
        if (row?.lastSeq === events.length - 1 || (row?.lastSeq ?? 0) > 2) return row?.chainBreaks
      }
    }
    expect(await breaks([next(0), next(1), next(2)])).toBe(0)
    expect(await breaks([next(3, '0'.repeat(64))])).toBe(1)
  })

  test('a source cannot write what only Sealtrail writes, nor read anything', async () => {
    const key = await sealtrail.key('ordinary')
    const forged = await send(key, { 'event.class': 'finding' })
    expect(forged.status).toBe(400)
    expect(
      (await get(`/api/v1/events?${range()}`, { authorization: `Bearer ${key}` })).status,
    ).toBe(401)
  })
})

describe('what is answered', () => {
  test('an event is searchable within three seconds, and a bad query says where', async () => {
    const key = await sealtrail.key('searched')
    await send(key, {
      'event.class': 'tool_call',
      'gen_ai.tool.name': 'needle_tool',
      'gen_ai.tool.call.arguments': { path: '/a/b', deep: { list: ['x', 'y z'] } },
    })
    const until = Date.now() + 3000
    const search = async (q: string) =>
      SearchReply.parse(
        await (await get(`/api/v1/events?${range()}&q=${encodeURIComponent(q)}`)).json(),
      )
    while ((await search('tool:needle_tool')).total === 0 && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, 50))
    for (const q of [
      'tool:needle_tool',
      'tool:needle*',
      'args.path:/a/b',
      'args.path:/a/*',
      'needle_tool',
      '"y z"',
      'args.deep.list:x',
      'class:tool_call AND NOT outcome:denied tool:needle_tool',
    ]) {
      expect([q, (await search(q)).total]).toEqual([q, 1])
    }
    for (const q of ['tool:needle', 'args.path:/a', 'tool:needle_tool outcome:denied'])
      expect([q, (await search(q)).total]).toEqual([q, 0])
    const bad = await get(
      `/api/v1/events?${range()}&q=${encodeURIComponent('tool:needle AND nothere:x')}`,
    )
    expect([bad.status, await bad.json()]).toMatchObject([
      400,
      { code: 'QUERY_INVALID', span: { from: 16, until: 23 } },
    ])
  })

  test('no text of a query becomes SQL', async () => {
    for (const q of [
      'tool:"x\' OR 1=1 --"',
      'tool:"\\\\\' UNION SELECT"',
      'user:"\');DROP TABLE observations;--"',
      'args.x{y}:"{z:String}"',
      '"%_\\\\"',
    ]) {
      const response = await get(`/api/v1/events?${range()}&q=${encodeURIComponent(q)}`)
      expect([q, response.status]).toEqual([q, 200])
      expect(SearchReply.parse(await response.json()).total).toBe(0)
    }
  })

  test('the log is served as tiles that give the signed root', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1500))
    const integrity = z
      .object({ logs: z.array(z.object({ logId: z.string(), verifierKey: z.string() })) })
      .parse(await (await get('/api/v1/integrity')).json())
    const verifierKey = integrity.logs.find(({ logId }) => logId === 'main')?.verifierKey ?? ''
    const note = await (await get('/tlog/main/checkpoint')).text()
    const { size, root } = openCheckpoint(note, [noteVerifier(sha256, verifyEd25519, verifierKey)])
    expect(size).toBeGreaterThan(0)
    expect(size).toBeLessThan(256)
    const bundle = new Uint8Array(
      await (await get(`/tlog/main/tile/entries/000.p/${size}`)).arrayBuffer(),
    )
    const frontier = new TreeFrontier(sha256)
    for (const leaf of decodeEntryBundle(bundle, size)) frontier.append(leafHash(sha256, leaf))
    expect(equal(frontier.root(), root)).toBe(true)
    const tile = new Uint8Array(await (await get(`/tlog/main/tile/0/000.p/${size}`)).arrayBuffer())
    expect(tile.length).toBe(size * 32)
    for (const path of ['tile/0/001', 'tile/0/000', 'tile/9/000'])
      expect([path, (await get(`/tlog/main/${path}`)).status]).toEqual([path, 404])
    expect((await get('/tlog/other/checkpoint')).status).toBe(404)
  })

  test('opening a payload is on the record, before it is answered', async () => {
    const { rows } = SearchReply.parse(
      await (await get(`/api/v1/events?${range()}&q=tool:needle_tool`)).json(),
    )
    const eventId = rows[0]?.eventId ?? ''
    expect((await get(`/api/v1/events/${eventId}`)).status).toBe(200)
    const until = Date.now() + 3000
    let opened = 0
    while (opened === 0 && Date.now() < until) {
      const access = SearchReply.parse(
        await (
          await get(
            `/api/v1/events?${range()}&view=events&q=${encodeURIComponent(`class:access admin.action:payload.open admin.target:${eventId}`)}`,
          )
        ).json(),
      )
      opened = access.total
    }
    expect(opened).toBe(1)
  })

  test('health, metrics and OpenAPI are there', async () => {
    expect(await (await get('/metrics', {})).text()).toMatch(
      /sealtrail_ledger_leaves\{log="main"\} \d+/,
    )
    const openapi = z
      .object({ paths: z.record(z.string(), z.unknown()) })
      .parse(await (await get('/api/v1/openapi.json', {})).json())
    expect(Object.keys(openapi.paths)).toContain('/api/v1/events')
    const schema = z
      .object({ properties: z.record(z.string(), z.unknown()), required: z.array(z.string()) })
      .parse(await (await get('/api/v1/schemas/event', {})).json())
    expect(schema.required).toEqual(['event.class'])
    expect(Object.keys(schema.properties)).not.toContain('event.id')
  })
})

describe('at last, because it slows this address down', () => {
  test('guessing is slowed, also for an account that does not exist', async () => {
    const statuses: number[] = []
    for (let i = 0; i < 7; i++)
      statuses.push(
        (await post('/api/v1/login', { name: 'guessed', password: `guess ${i}` })).status,
      )
    expect(statuses.slice(0, 3)).toEqual([401, 401, 401])
    expect(statuses.at(-1)).toBe(429)
  })
})
