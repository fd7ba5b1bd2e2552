import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { AccessLog } from '../../analytics/api/access-log.ts'
import type { ApiContext } from '../../analytics/api/api-context.ts'
import { createApi } from '../../analytics/api/api-server.ts'
import { ExportShelf } from '../../analytics/api/export-shelf.ts'
import { HeavyWork } from '../../analytics/api/heavy-work.ts'
import { LoginThrottle } from '../../analytics/api/login-throttle.ts'
import type { Principal } from '../../analytics/api/principal.ts'
import { sessionCookieOf } from '../../analytics/api/route-context.ts'
import { SessionStore } from '../../analytics/api/session-store.ts'
import { Problem } from '../../schemas/api/problem.ts'
import type { Receipt } from '../../schemas/receipt.ts'

const host = 'localhost:3000'
const sessionCookie = sessionCookieOf(false)
const OpenApi = z.object({
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.object({
        security: z.array(z.record(z.string(), z.unknown())),
        responses: z.record(
          z.string(),
          z.object({ content: z.record(z.string(), z.unknown()).optional() }),
        ),
      }),
    ),
  ),
})

const users = new Map([
  ['u1', { id: 'u1', name: 'ann', role: 'admin', disabled: false, version: 1, sessionsSince: 1 }],
])
let nowMs = 1_000_000
const clock = () => nowMs
let passwordChecks = 0
let hashing: Promise<void> = Promise.resolve()
const sessions = new SessionStore(clock, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)))

const startSession = () =>
  sessions.start({ userId: 'u1', since: 1, address: '::1', userAgent: '', federated: false })

/** Of the context only what these tests reach: who may ask is decided before anything else is touched. */
function context(): ApiContext {
  const partial: Partial<ApiContext> | { control: unknown } = {
    version: '0',
    clock,
    logger: pino({ level: 'silent' }),
    logId: 'main',
    sessions,
    control: {
      accounts: {
        user: (id: string) => users.get(id),
        userByName: () => undefined,
        needsSetup: () => false,
        mustEnrol: () => false,
        disableUser: () => undefined,
        enableUser: () => undefined,
        removeTotp: () => undefined,
        signIn: async (user: object) => user,
        authenticateUser: async (name: string, password: string) => {
          passwordChecks++
          await hashing
          return name === 'ann' && password === 'right' ? users.get('u1') : undefined
        },
      },
      sourceKeys: () => [
        { id: 'own', logId: 'main' },
        { id: 'foreign', logId: 'other' },
      ],
      revokeSourceKey: async () => undefined,
    },
    appender: { append: async () => ({ leaves: [] }) as unknown as Receipt },
    exports: new ExportShelf('/nonexistent'),
  }
  return partial as ApiContext
}

let app: Awaited<ReturnType<typeof createApi>>
beforeAll(async () => {
  const reach = {
    hosts: new Set(['localhost']),
    publicOrigin: undefined,
    isTrustedProxy: () => false,
    https: false,
  }
  app = await createApi(context(), { kind: 'network', reach })
  await app.ready()
})
afterAll(() => app.close())
beforeEach(() => {
  // What earlier tests tried is forgotten.
  nowMs += 3_600_000
  passwordChecks = 0
})

const login = (name: string, password: string, headers = {}) =>
  app.inject({
    method: 'POST',
    url: '/api/v1/login',
    headers: { host, ...headers },
    payload: { name, password },
  })

describe('who is let in', () => {
  test('every route of the API needs a session, or says that it is public; OpenAPI says the same', async () => {
    const document = OpenApi.parse(
      (await app.inject({ url: '/api/v1/openapi.json', headers: { host } })).json(),
    )
    const open: string[] = []
    let closed = 0
    for (const [path, operations] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const url = path.replaceAll(/\{[^}]*\}/g, 'x')
        const reply = await app.inject({
          method: method.toUpperCase() as 'GET',
          url,
          headers: { host },
        })
        const refused =
          reply.statusCode === 401 && Problem.parse(reply.json()).code === 'AUTHENTICATION_REQUIRED'
        expect([method, path, refused]).toEqual([method, path, operation.security.length > 0])
        if (refused) closed++
        else open.push(`${method} ${path}`)
        expect(Object.keys(operation.responses['200']?.content ?? {}), path).toHaveLength(1)
        expect(Object.keys(operation.responses['default']?.content ?? {})).toEqual([
          'application/problem+json',
        ])
      }
    }
    expect(open.sort()).toEqual([
      'get /api/v1/openapi.json',
      'get /api/v1/schemas/event',
      'get /api/v1/setup',
      'post /api/v1/login',
      'post /api/v1/logout',
      'post /api/v1/password-links',
      'post /api/v1/setup',
    ])
    expect(closed).toBeGreaterThan(15)
  })

  test('nobody learns which paths there are, however they are spelt', async () => {
    for (const url of [
      '/api/v1/nothing',
      '/api/v1/nothing/../events',
      '/%61pi/v1/integrity',
      '/tlog/main/x',
      '/api/v1/events/%2e%2e',
    ]) {
      expect([url, (await app.inject({ url, headers: { host } })).statusCode]).toEqual([url, 401])
    }
    for (const url of [
      '/v1/../api/v1/integrity',
      '//api/v1/integrity',
      'http://localhost/api/v1/integrity',
    ]) {
      expect([401, 404], url).toContain((await app.inject({ url, headers: { host } })).statusCode)
    }
  })

  test('a Host that this process does not serve is refused, with a session too', async () => {
    const cookie = `${sessionCookie}=${startSession()}`
    for (const name of [
      'evil.example',
      'localhost.evil.example',
      'localhost@evil.example',
      '127.0.0.1.nip.io',
    ]) {
      const reply = await app.inject({ url: '/api/v1/me', headers: { host: name, cookie } })
      expect([name, reply.statusCode]).toEqual([name, 403])
    }
    expect((await app.inject({ url: '/api/v1/me', headers: { host, cookie } })).statusCode).toBe(
      200,
    )
  })

  test('another site, another port and a bare form reach nothing with the cookie; our own pages do', async () => {
    const cookie = `${sessionCookie}=${startSession()}`
    const me = async (headers: Record<string, string>) =>
      (await app.inject({ url: '/api/v1/me', headers: { host, cookie, ...headers } })).statusCode
    expect(await me({ 'sec-fetch-site': 'same-origin' })).toBe(200)
    expect(await me({ 'sec-fetch-site': 'none', 'sec-fetch-mode': 'navigate' })).toBe(200)
    expect(await me({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' })).toBe(403)
    expect(await me({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).toBe(403)
    expect(await me({ origin: 'http://localhost:4000' })).toBe(403)
    const spelledOtherwise = await app.inject({
      url: '/%61pi/v1/me',
      headers: { host, cookie, 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' },
    })
    expect(spelledOtherwise.statusCode).toBe(403)
    expect(spelledOtherwise.headers['cache-control']).toBe('no-store')
    const revoke = async (headers: Record<string, string>, type = 'application/json') =>
      (
        await app.inject({
          method: 'POST',
          url: '/api/v1/source-keys/own/revoke',
          headers: { host, cookie, 'content-type': type, ...headers },
          payload: '{"expectedVersion":1}',
        })
      ).statusCode
    expect(await revoke({ origin: `http://${host}` })).toBe(200)
    expect(await revoke({ 'sec-fetch-site': 'same-origin' })).toBe(200)
    expect(await revoke({})).toBe(403)
    expect(await revoke({ origin: 'null' })).toBe(403)
    expect(await revoke({ 'sec-fetch-site': 'same-origin' }, 'text/plain')).toBe(400)
    expect(
      await revoke({ 'sec-fetch-site': 'same-origin' }, 'application/x-www-form-urlencoded'),
    ).toBe(415)
  })

  test('a source key of another log cannot be revoked', async () => {
    const headers = {
      host,
      cookie: `${sessionCookie}=${startSession()}`,
      origin: `http://${host}`,
    }
    const url = '/api/v1/source-keys/foreign/revoke'
    const reply = await app.inject({
      method: 'POST',
      url,
      headers,
      payload: { expectedVersion: 1 },
    })
    expect(reply.statusCode).toBe(404)
  })
})

describe('signing in', () => {
  test('many guesses at once gain nothing over one after the other', async () => {
    let release: () => void = () => undefined
    hashing = new Promise((resolve) => {
      release = resolve
    })
    const guesses = Array.from({ length: 200 }, (_, i) => login('ann', `guess ${i}`))
    await new Promise((resolve) => setTimeout(resolve, 100))
    release()
    const codes = (await Promise.all(guesses)).map((reply) => reply.statusCode)
    expect(passwordChecks).toBe(5)
    expect(codes.filter((code) => code === 429)).toHaveLength(195)
  })

  test('the refusal says how long to wait, and the wait grows to a minute', async () => {
    for (let i = 0; i < 5; i++) await login('ann', 'wrong')
    const waits: number[] = []
    for (let i = 0; i < 9; i++) {
      const reply = await login('ann', 'wrong')
      expect(reply.statusCode).toBe(429)
      waits.push(Number(reply.headers['retry-after']))
      nowMs += Number(reply.headers['retry-after']) * 1000
      expect((await login('ann', 'wrong')).statusCode).toBe(401)
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60])
  })

  test('who knows the password is not counted, and ends the session that was there before', async () => {
    for (let i = 0; i < 20; i++) expect((await login('ann', 'right')).statusCode).toBe(200)
    const first = await login('ann', 'right')
    const cookie = String(first.headers['set-cookie'])
    expect(cookie).toMatch(/^sealtrail_session=[\w-]{43}; .*HttpOnly/)
    expect(cookie).toMatch(/SameSite=Lax/)
    const old = cookie.split(';')[0] ?? ''
    await login('ann', 'right', { cookie: old, origin: `http://${host}` })
    expect(
      (await app.inject({ url: '/api/v1/me', headers: { host, cookie: old } })).statusCode,
    ).toBe(401)
  })

  test('whoever guesses at an account keeps its owner from nothing, at the browser that he signed in with before', async () => {
    const cookies = String((await login('ann', 'right')).headers['set-cookie'])
    const device = /sealtrail_device=[\w-]+/.exec(cookies)?.[0] ?? ''
    expect(device).not.toBe('')
    const own = { cookie: device, origin: `http://${host}` }
    for (let i = 0; i < 6; i++) await login('ann', 'wrong')
    expect((await login('ann', 'right')).statusCode).toBe(429)
    expect((await login('ann', 'right', own)).statusCode).toBe(200)
    // A cookie of one account opens nothing at another, and its tries are counted too.
    expect((await login('bob', 'right', own)).statusCode).toBe(429)
    for (let i = 0; i < 5; i++) expect((await login('ann', 'wrong', own)).statusCode).toBe(401)
    expect((await login('ann', 'right', own)).statusCode).toBe(429)
  })

  test('a refusal repeats nothing of what was sent', async () => {
    const secret = 'hunter2-hunter2'
    for (const payload of [
      { name: secret, password: 5 },
      { name: 'x'.repeat(65), password: secret },
      `{"name":"${secret}"`,
    ]) {
      const reply = await app.inject({
        method: 'POST',
        url: '/api/v1/login',
        headers: { host, 'content-type': 'application/json' },
        payload,
      })
      expect(reply.statusCode).toBe(400)
      expect(reply.body).not.toContain(secret)
    }
  })

  test('the throttle holds a bounded number of names', () => {
    const throttle = new LoginThrottle(clock)
    for (let i = 0; i < 120_000; i++) throttle.begin(`address ${i}`, `name ${i}`)
    expect(Reflect.get(throttle, 'attempts').size).toBeLessThanOrEqual(50_000)
  })
})

describe('what is on the record', () => {
  const principal: Principal = { kind: 'operator', logId: 'main' }
  const receipt = { leaves: [] } as unknown as Receipt

  test('three requests of one screen wait for the same leaf', async () => {
    let appends = 0
    let release: (value: Receipt) => void = () => undefined
    const appender = {
      append: () => {
        appends++
        return new Promise<Receipt>((resolve) => {
          release = resolve
        })
      },
    }
    const access = new AccessLog(appender, clock)
    let answered = 0
    const views = [1, 2, 3].map(() =>
      access.viewed(principal, 'main', 'explore').then(() => answered++),
    )
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect([appends, answered]).toEqual([1, 0])
    release(receipt)
    await Promise.all(views)
    expect(answered).toBe(3)
  })

  test('without a leaf there is no answer, and the next request tries again', async () => {
    let appends = 0
    const appender = {
      append: async () => {
        if (appends++ === 0) throw new Error('the ledger is away')
        return receipt
      },
    }
    const access = new AccessLog(appender, clock)
    await expect(access.opened(principal, 'main', 'e')).rejects.toThrow('the ledger is away')
    await access.opened(principal, 'main', 'e')
    await access.opened(principal, 'main', 'e')
    expect(appends).toBe(2)
  })
})

test('work that reads whole logs waits for its turn', () => {
  const work = new HeavyWork(2)
  const first = work.begin('exports')
  work.begin('exports')
  expect(() => work.begin('exports')).toThrow('2 exports are running')
  first()
  first()
  work.begin('exports')
  expect(() => work.begin('exports')).toThrow()
})
