import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { EventDetail } from '../../schemas/api/event-detail.ts'
import { Problem } from '../../schemas/api/problem.ts'
import { SearchReply } from '../../schemas/api/search.ts'
import { Role } from '../../schemas/api/session.ts'
import { AdministrationReply, UsersReply } from '../../schemas/api/users.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import { eventFieldNames, eventFields } from '../../schemas/event/fields.ts'
import { defaultRedactionPolicy } from '../../schemas/redaction-policy.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'
import { aUser, postJson, SignedIn } from '../fixtures/signed-in.ts'

const page = readFileSync(join(import.meta.dirname, '../../docs/roles.md'), 'utf8')
/** Those that walk the routes, in the order of the columns of docs/roles.md. */
const walkers = ['nobody', ...Role.options, 'admin of another log', 'operator'] as const
type Walker = (typeof walkers)[number]

const OpenApi = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
const canary = 'canaryargument7'
const range = `from=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z`

let sealtrail: RunningSealtrail
const people = new Map<Walker, SignedIn>()
const person = (walker: Walker): SignedIn => {
  const found = people.get(walker)
  if (found === undefined) throw new Error(`${walker} is nobody`)
  return found
}
let detail: EventDetail
/** Ids of things of the first log. */
let known: Readonly<Record<string, string>>

beforeAll(async () => {
  sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_OIDC_ISSUER: 'http://127.0.0.1:9',
    SEALTRAIL_OIDC_CLIENT_ID: 'sealtrail',
    SEALTRAIL_OIDC_ROLES: 'admin=admins',
  })
  people.set('nobody', new SignedIn(sealtrail.url, ''))
  for (const role of Role.options) people.set(role, await aUser(sealtrail, `the-${role}`, role))
  people.set('admin of another log', await aUser(sealtrail, 'foreigner', 'admin', 'other'))
  const key = await sealtrail.key('canarysource')
  const sent = await postJson(
    sealtrail.url,
    '/v1/events',
    {
      'event.class': 'tool_call',
      'mcp.server.name': 'canaryserver',
      'gen_ai.tool.name': 'canarytool',
      'gen_ai.tool.call.arguments': { path: canary },
      'gen_ai.tool.call.result': 'canaryresult',
      'error.message': 'canarymessage',
      'user.name': 'canaryuser',
    },
    { authorization: `Bearer ${key}` },
  )
  expect(sent.status).toBe(200)
  const admin = person('admin')
  const [row] = await found(admin, `user.name:canaryuser`, 1)
  if (row === undefined) throw new Error('the event is not found')
  detail = EventDetail.parse(await (await admin.get(`/api/v1/events/${row.eventId}`)).json())
  const { users } = UsersReply.parse(await (await admin.get('/api/v1/users')).json())
  const id = (name: string) => users.find((user) => user.name === name)?.id ?? ''
  known = {
    event: row.eventId,
    source: /^stk_([a-z0-9]+)_/.exec(key)?.[1] ?? '',
    user: id('the-viewer'),
  }
}, 120_000)
afterAll(() => sealtrail?.end())

/** Rows of a search, as soon as there are so many. */
async function found(who: SignedIn, q: string, atLeast: number) {
  for (let i = 0; ; i++) {
    const reply = await who.get(`/api/v1/events?view=events&q=${encodeURIComponent(q)}&${range}`)
    const { rows } = SearchReply.parse(await reply.json())
    if (rows.length >= atLeast || i > 100) return rows
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Rows of the tables of docs/roles.md: `| \`GET /path\` | yes | no | … |`. */
function documented(): Map<string, readonly string[]> {
  const rows = page.matchAll(/^\| `([A-Z]+ [^`]+)` \|(.*)\|$/gm)
  return new Map(
    [...rows].map(([, route = '', cells = '']) => [
      route,
      cells
        .split('|')
        .slice(0, walkers.length)
        .map((cell) => cell.trim()),
    ]),
  )
}

async function registered(): Promise<Map<string, 'network' | 'control'>> {
  const network = OpenApi.parse(await (await fetch(`${sealtrail.url}/api/v1/openapi.json`)).json())
  const control = await sealtrail.control.call(OpenApi, 'GET', '/api/v1/openapi.json')
  const routes = new Map<string, 'network' | 'control'>()
  for (const [listener, { paths }] of [
    ['control', control],
    ['network', network],
  ] as const)
    for (const [path, operations] of Object.entries(paths))
      for (const method of Object.keys(operations))
        routes.set(
          `${method.toUpperCase()} ${path.replaceAll('{*}', '*').replaceAll(/\{([^}]*)\}/g, ':$1')}`,
          listener,
        )
  return routes
}

/** What a walker is told at a route: `yes` for any answer but that he may not ask. */
async function walk(route: string, walker: Walker): Promise<string> {
  const [method = 'GET', pattern = ''] = route.split(' ')
  const path = pattern
    .replace(':eventId', '00000000-0000-7000-8000-000000000000')
    .replace(':findingId', '0'.repeat(64))
    .replace(/exports\/:id/, 'exports/00000000-0000-4000-8000-000000000000')
    .replace('/tlog/:log', '/tlog/main')
    .replaceAll(/:\w+/g, 'x')
    .replace('*', 'checkpoint')
  if (walker === 'operator') {
    try {
      await sealtrail.control.bytes(method, path, method === 'POST' ? {} : undefined)
      return 'yes'
    } catch (error) {
      if (!isSealtrailError(error)) throw error
      // What is not on the control socket is no route there.
      const isRoute = !error.message.startsWith(`there is no ${method} ${path}`)
      return error.code === 'PERMISSION_DENIED' || !isRoute ? 'no' : 'yes'
    }
  }
  // Signing out would end the session that walks.
  const cookie = path.endsWith('/logout') ? '' : person(walker).cookie
  const reply =
    method === 'POST'
      ? await postJson(sealtrail.url, path, {}, { cookie })
      : await fetch(sealtrail.url + path, {
          method,
          headers: { cookie, origin: sealtrail.url },
          redirect: 'manual',
        })
  await reply.body?.cancel()
  // A request without its body or parameters is not valid: whoever is told so was let in.
  return reply.status === 401 || reply.status === 403 ? 'no' : 'yes'
}

describe('docs/roles.md', () => {
  test('has a row for each route that is registered, and no other', async () => {
    expect([...documented().keys()].sort()).toEqual([...(await registered()).keys()].sort())
  })

  test('says of each route whom it answers', async () => {
    const routes = [...(await registered())]
    const table = documented()
    const wrong: unknown[] = []
    for (const [route, listener] of routes) {
      for (const [at, walker] of walkers.entries()) {
        if (listener === 'control' && walker !== 'operator') continue
        const told = await walk(route, walker)
        // `own`: he is answered about his own log.
        const said = table.get(route)?.[at]
        if (said?.replace('own', 'yes') !== told) wrong.push({ route, walker, said, told })
      }
    }
    expect(wrong).toEqual([])
  }, 120_000)
})

describe('a viewer', () => {
  const denied = async (path: string) => {
    const reply = await person('viewer').get(path)
    return [reply.status, reply.ok ? 'answered' : Problem.parse(await reply.json()).code]
  }
  const hidden = eventFieldNames.filter((field) =>
    ['arguments', 'result', 'text', 'raw'].includes(eventFields[field].group),
  )

  test('cannot ask what may not be seen: not by value, pattern, range or existence, nor negated or counted', async () => {
    expect(hidden.length).toBeGreaterThan(10)
    const queries = hidden.flatMap((field) => [`${field}:x*`, `-${field}:*`])
    queries.push(
      `arguments.path:${canary}`,
      'arguments.path:*',
      `tool:canarytool OR (NOT arguments.path:${canary.slice(0, 4)}*)`,
    )
    for (const q of queries) {
      const path = `/api/v1/events?view=events&q=${encodeURIComponent(q)}&${range}`
      expect([q, ...(await denied(path))]).toEqual([q, 403, 'PERMISSION_DENIED'])
    }
    const q = encodeURIComponent(`arguments.path:${canary}`)
    for (const path of [
      `/api/v1/histogram?q=${q}&${range}`,
      `/api/v1/facets?field=tool&q=${q}&${range}`,
      `/api/v1/findings?${range}`,
    ])
      expect([path, ...(await denied(path))]).toEqual([path, 403, 'PERMISSION_DENIED'])
    for (const field of hidden) {
      const [status, code] = await denied(`/api/v1/facets?field=${field}&contains=a&${range}`)
      expect([field, status], String(code)).not.toEqual([field, 200])
    }
  }, 60_000)

  test('finds by words what may be seen, and nothing by words that may not', async () => {
    const viewer = person('viewer')
    expect(await found(viewer, 'canarytool', 1)).toHaveLength(1)
    for (const word of [canary, 'canaryresult', 'canarymessage'])
      expect(await count(viewer, word)).toBe(0)
    for (const word of [canary, 'canaryresult', 'canarymessage'])
      expect(await count(person('analyst'), word)).toBe(1)
  })

  test('gets no hidden value in any answer about the event, and is told what is withheld', async () => {
    const viewer = person('viewer')
    for (const path of [
      `/api/v1/events?view=events&q=canarytool&${range}`,
      `/api/v1/events?q=canarytool&${range}`,
      `/api/v1/events/${known['event']}`,
      `/api/v1/events/${known['event']}/tlog-proof`,
      '/tlog/main/tile/entries/000',
    ]) {
      const text = await (await viewer.get(path)).text()
      expect(unpacked(text), path).not.toMatch(/canaryargument|canaryresult|canarymessage/)
    }
    const reply = await viewer.get(`/api/v1/events/${known['event']}`)
    const { evidence } = EventDetail.parse(await reply.json())
    expect(evidence.withheld).toContainEqual({ group: 'arguments', reason: 'not_permitted' })
    expect(JSON.stringify(detail)).toContain(canary)
  })
})

test('an admin of another log reads nothing of the first one, by no route and no id', async () => {
  const foreigner = person('admin of another log')
  const { event = '', source = '', user = '' } = known
  const paths = [...(await registered()).keys()]
    .filter((route) => route.startsWith('GET ') && !/openapi|schemas/.test(route))
    .flatMap((route) => {
      const path = route.slice('GET '.length)
      return path.includes('tlog/:log')
        ? ['checkpoint', 'tile/0/000', 'tile/entries/000', 'tile/entries/000.p/1'].flatMap(
            (rest) => [`/tlog/main/${rest}`, `/tlog/_system/${rest}`],
          )
        : [path]
    })
    .map((path) =>
      path
        .replace(':eventId', event)
        .replace(':findingId', '0'.repeat(64))
        .replace(/(redaction-policies|source[^/]*|spools?)\/:\w+/, `$1/${source}`)
        .replaceAll(/:\w+/g, source),
    )
  paths.push(
    `/api/v1/events?view=events&${range}`,
    `/api/v1/events?view=events&q=class%3A*&${range}`,
    `/api/v1/events?q=log.id%3Amain&${range}`,
    `/api/v1/histogram?view=events&${range}`,
    `/api/v1/facets?field=tool&${range}`,
    `/api/v1/facets?field=user.name&view=events&${range}`,
    `/api/v1/findings?${range}`,
    '/api/v1/consistency?log=main&old=0&new=1',
    '/api/v1/consistency?log=_system&old=0&new=1',
  )
  const ownNames = /the-(viewer|analyst|auditor|admin)|canary/
  for (const path of paths) {
    const reply = await foreigner.get(path)
    const text = unpacked(await reply.text())
    expect(text.replaceAll(path, ''), path).not.toMatch(ownNames)
    // Probes and metrics belong to whoever runs the process: they are told nobody apart.
    if (/^\/(healthz|readyz|metrics)/.test(path)) continue
    // What he named himself is no news.
    for (const id of [event, source, user].filter((each) => !path.includes(each)))
      expect(text, path).not.toContain(id)
  }
  for (const [path, body] of [
    ['/api/v1/integrity/verify', { logId: 'main' }],
    ['/api/v1/integrity/verify', { logId: '_system' }],
    [`/api/v1/source-keys/${source}/revoke`, { expectedVersion: 1 }],
    [`/api/v1/sources/${source}/quota`, { quota: null, expectedVersion: 0 }],
    [`/api/v1/redaction-policies/${source}`, { policy: null, expectedVersion: 0 }],
    [`/api/v1/redaction-policies/${source}/preview`, { policy: defaultRedactionPolicy }],
    [`/api/v1/sources/${source}/certificate`, { certificate: null, expectedVersion: 0 }],
    [`/api/v1/source-keys/${source}/rotate`, { overlapSeconds: 60, expectedVersion: 1 }],
    ['/api/v1/erasures/preview', { target: { kind: 'event', eventId: event } }],
    ['/api/v1/erasures', { target: { kind: 'event', eventId: event }, ground: 'other' }],
    [`/api/v1/users/${user}/remove-totp`, { expectedVersion: 2 }],
    [`/api/v1/users/${user}/enable`, { expectedVersion: 2 }],
    [`/api/v1/users/${user}/disable`, { expectedVersion: 2 }],
    [`/api/v1/users/${user}/role`, { role: 'admin', expectedVersion: 2 }],
    [`/api/v1/users/${user}/password-link`, { expectedVersion: 2 }],
    [`/api/v1/users/${user}/end-sessions`, {}],
  ] as const) {
    expect([path, (await foreigner.post(path, body)).status]).toEqual([path, 404])
  }
  expect(await count(foreigner, 'canarytool')).toBe(0)
  const exported = await foreigner.post('/api/v1/exports', {
    q: 'canarytool',
    from: '2020-01-01T00:00:00Z',
    until: '2100-01-01T00:00:00Z',
  })
  expect(await exported.text()).not.toMatch(ownNames)
  for (const [path, body] of [
    ['/api/v1/users', { name: 'x', role: 'viewer', logId: 'main' }],
    ['/api/v1/settings/sign-in', { totpRoles: ['admin'], expectedVersion: 0 }],
  ] as const) {
    expect([path, (await foreigner.post(path, body)).status]).toEqual([path, 403])
  }
  expect((await person('viewer').get('/api/v1/me')).status).toBe(200)
}, 60_000)

describe('an auditor', () => {
  test('reads what administrators did, and who read what, and no secret or hash of one', async () => {
    const auditor = person('auditor')
    const text = await (await auditor.get('/api/v1/administration')).text()
    expect(text).toContain('"action":"user.create"')
    expect(text).toContain('name: the-viewer, role: viewer')
    expect(text).toContain('"action":"source_key.create"')
    expect(text).not.toMatch(/argon2|[0-9a-f]{64}/)
    const opened = await found(auditor, `class:access admin.action:payload.open`, 1)
    expect(opened.map((row) => row.event['admin.target'])).toContain(known['event'])
  })

  test('reads that somebody was not let in, once for many tries, and not what was typed', async () => {
    const tries = ['the-viewer', 'the-viewer', 'my secret as a name']
    for (const name of tries)
      await postJson(sealtrail.url, '/api/v1/login', { name, password: 'my secret' })
    const auditor = person('auditor')
    const reply = AdministrationReply.parse(
      await (await auditor.get('/api/v1/administration')).json(),
    )
    const refused = reply.rows.filter(({ action }) => action === 'sign_in.refused')
    expect(refused.map(({ actor, targetName }) => [actor, targetName])).toEqual([
      ['nobody', null],
      ['nobody', 'the-viewer'],
    ])
    expect(JSON.stringify(reply)).not.toContain('my secret')
  })

  test('exports', async () => {
    const reply = await person('auditor').post('/api/v1/exports', {
      q: 'canarytool',
      from: '2020-01-01T00:00:00Z',
      until: '2100-01-01T00:00:00Z',
    })
    expect((await reply.text()).trim().split('\n').at(-1)).toMatch(/"kind":"result".*"rows":1,/)
  })
})

async function count(who: SignedIn, q: string): Promise<number> {
  const path = `/api/v1/events?view=events&q=${encodeURIComponent(q)}&${range}`
  return SearchReply.parse(await (await who.get(path)).json()).total
}

/** A text with what stands in it as base64. */
function unpacked(text: string): string {
  const parts = text.match(/[A-Za-z0-9+/]{24,}={0,2}/g) ?? []
  return [text, ...parts.map((part) => Buffer.from(part, 'base64').toString('latin1'))].join('\n')
}
