import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { LogoutReply, Me, SetupStatus } from '../../schemas/api/session.ts'
import { UsersReply } from '../../schemas/api/users.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import {
  type Claims,
  clientId,
  clientSecret,
  hmacSigned,
  publicKeyPem,
  signed,
  TestBrowser,
  TestProvider,
  unsigned,
} from '../fixtures/openid-provider.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'
import { postJson } from '../fixtures/signed-in.ts'

let provider: TestProvider
let sealtrail: RunningSealtrail

beforeAll(async () => {
  provider = await TestProvider.listen()
  const secretFile = join(await temporaryDirectory(), 'client-secret')
  await writeFile(secretFile, `${clientSecret}\n`)
  sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_OIDC_ISSUER: provider.issuer,
    SEALTRAIL_OIDC_CLIENT_ID: clientId,
    SEALTRAIL_OIDC_CLIENT_SECRET_FILE: secretFile,
    SEALTRAIL_OIDC_ROLES: 'analyst=soc,admin=soc-leads',
    SEALTRAIL_OIDC_ROLE_CLAIM: 'realm_access.roles',
    SEALTRAIL_OIDC_NAME: 'Test ID',
  })
  provider.register(sealtrail.url)
  provider.accounts.set('s-ann', { name: 'ann', roles: ['soc', 'soc-leads'] })
  provider.accounts.set('s-bob', { name: 'bob', roles: ['soc'] })
  provider.accounts.set('s-eve', { name: 'eve', roles: ['sales'] })
}, 60_000)
afterAll(async () => {
  await sealtrail?.end()
  await provider?.close()
})
afterEach(() => {
  provider.forge = undefined
})

const isOurs = (url: URL) => url.origin === sealtrail.url
const isCallback = (url: URL) => isOurs(url) && url.pathname === '/oidc/callback'
const isPage = (url: URL) => isOurs(url) && !url.pathname.startsWith('/oidc/')

/** From the button to the page that it ends on. */
async function signIn(person: string, next = '/findings?t=24h') {
  provider.person = person
  const browser = new TestBrowser()
  const begin = `${sealtrail.url}/oidc/begin?next=${encodeURIComponent(next)}`
  return { browser, page: await browser.follow(begin, isPage) }
}

const cookieOf = (browser: TestBrowser) =>
  browser.cookies.get(`${new URL(sealtrail.url).host} sealtrail_session`)
async function me(browser: TestBrowser): Promise<Me | undefined> {
  const cookie = cookieOf(browser)
  const reply = await fetch(`${sealtrail.url}/api/v1/me`, {
    headers: { cookie: `sealtrail_session=${cookie}` },
  })
  return reply.ok ? Me.parse(await reply.json()) : undefined
}
const users = async () => (await sealtrail.control.call(UsersReply, 'GET', '/api/v1/users')).users

describe('signing in at a provider', () => {
  test('is offered, and leads back to where the person was going, with the highest role of the claims', async () => {
    const status = await (await fetch(`${sealtrail.url}/api/v1/setup`)).json()
    expect(SetupStatus.parse(status).identityProvider).toBe('Test ID')
    const { browser, page } = await signIn('s-ann')
    expect(page.pathname + page.search).toBe('/findings?t=24h')
    expect(await me(browser)).toMatchObject({ user: { name: 'ann', role: 'admin' } })
    const [user] = (await users()).filter(({ name }) => name === 'ann')
    expect(user).toMatchObject({ identityProvider: provider.issuer, state: 'active', sessions: 1 })
  })

  test('finds the same account again, under another name too, and its role follows the claims', async () => {
    const { browser: first } = await signIn('s-bob')
    const before = await me(first)
    provider.accounts.set('s-bob', { name: 'robert', roles: ['soc-leads'] })
    const { browser: second } = await signIn('s-bob')
    const after = await me(second)
    expect(after?.user).toEqual({ id: before?.user.id, name: 'bob', role: 'admin' })
    // What was signed in with the former role is over.
    expect(await me(first)).toBeUndefined()
  })

  test('whoever has no role here gets a page that says so, no account and no session', async () => {
    const { browser, page } = await signIn('s-eve')
    expect(page.pathname + page.search).toBe('/no-access?reason=PERMISSION_DENIED')
    expect(cookieOf(browser)).toBeUndefined()
    expect((await users()).map(({ name }) => name)).not.toContain('eve')
  })

  test('a person who lost every role loses the sessions that are open, and a disabled one is not let in', async () => {
    provider.accounts.set('s-cat', { name: 'cat', roles: ['soc'] })
    const { browser } = await signIn('s-cat')
    expect(await me(browser)).toBeDefined()
    provider.accounts.set('s-cat', { name: 'cat', roles: [] })
    expect((await signIn('s-cat')).page.pathname).toBe('/no-access')
    expect(await me(browser)).toBeUndefined()
    provider.accounts.set('s-cat', { name: 'cat', roles: ['soc'] })
    const [user] = (await users()).filter(({ name }) => name === 'cat')
    await sealtrail.control.bytes('POST', `/api/v1/users/${user?.id}/disable`, {
      expectedVersion: user?.version,
    })
    expect((await signIn('s-cat')).page.pathname).toBe('/no-access')
  })

  test('signing out ends the session here and leads to the end of the one over there', async () => {
    const { browser } = await signIn('s-ann')
    const cookie = `sealtrail_session=${cookieOf(browser)}`
    const reply = await postJson(sealtrail.url, '/api/v1/logout', {}, { cookie })
    const { endSessionUrl } = LogoutReply.parse(await reply.json())
    const url = new URL(endSessionUrl ?? '')
    expect(url.origin).toBe(provider.issuer)
    expect(url.searchParams.get('post_logout_redirect_uri')).toBe(`${sealtrail.url}/login`)
    expect(url.searchParams.has('id_token_hint')).toBe(false)
    expect(await me(browser)).toBeUndefined()
  })

  test.each([
    '//evil.example/x',
    'https://evil.example',
    '/\\evil.example',
    '\\/evil.example',
    '/%09/evil.example\t',
    'javascript:alert(1)',
    '/\r\nset-cookie:x=1',
  ])('never leads to another origin: %j', async (next) => {
    const { page } = await signIn('s-ann', next)
    expect(page.origin).toBe(sealtrail.url)
    expect(page.pathname).toMatch(/^\/(explore|%09\/evil\.example)$/)
  })
})

describe('an answer that is not one to the question of this browser', () => {
  /** The address that the provider sends the browser back to, not asked yet. */
  async function answered(person = 's-ann') {
    provider.person = person
    const browser = new TestBrowser()
    const answer = await browser.follow(`${sealtrail.url}/oidc/begin`, isCallback)
    return { browser, answer }
  }
  async function isRefused(browser: TestBrowser, answer: URL): Promise<void> {
    const page = await browser.follow(answer.href, isPage)
    expect(page.pathname + page.search).toBe('/login?reason=CREDENTIALS_INVALID')
    expect(cookieOf(browser)).toBeUndefined()
  }

  test('is refused in another browser: nobody signs somebody else in as himself', async () => {
    const { answer } = await answered()
    await isRefused(new TestBrowser(), answer)
    const { browser: victim } = await answered('s-bob')
    await isRefused(victim, answer)
  })

  test('counts once', async () => {
    const { browser, answer } = await answered()
    const stale = new Map(browser.cookies)
    expect((await browser.follow(answer.href, isPage)).pathname).toBe('/explore')
    const again = new TestBrowser()
    for (const [key, value] of stale) again.cookies.set(key, value)
    await isRefused(again, answer)
  })

  test.each([
    ['state', 'another'],
    ['code', 'another'],
    ['iss', 'https://evil.example'],
  ])('with another %s is refused', async (name, value) => {
    const { browser, answer } = await answered()
    expect(answer.searchParams.has(name)).toBe(true)
    answer.searchParams.set(name, value)
    await isRefused(browser, answer)
  })

  test('without its issuer is refused, as the provider promises to name it', async () => {
    const { browser, answer } = await answered()
    answer.searchParams.delete('iss')
    await isRefused(browser, answer)
  })

  test('with an error of the provider is refused, and none of its words are taken over', async () => {
    const { browser, answer } = await answered()
    const state = answer.searchParams.get('state') ?? ''
    const url = new URL('/oidc/callback', sealtrail.url)
    url.search = new URLSearchParams({
      state,
      iss: provider.issuer,
      error: 'access_denied',
      error_description: '<script>alert(1)</script>',
    }).toString()
    await isRefused(browser, url)
  })
})

describe('an ID token', () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const forgeries: Readonly<Record<string, (claims: Claims) => Claims | string>> = {
    'of another nonce': (claims) => ({ ...claims, nonce: 'another' }),
    'without nonce': ({ nonce: _, ...claims }) => claims,
    'for another client': (claims) => ({ ...claims, aud: 'another' }),
    'for several, made for another': (claims) => ({ ...claims, aud: [clientId, 'x'], azp: 'x' }),
    'of another issuer': (claims) => ({ ...claims, iss: 'https://evil.example' }),
    'that is over': (claims) => ({ ...claims, exp: 1_700_000_000 }),
    'without an end': ({ exp: _, ...claims }) => claims,
    'without a subject': ({ sub: _, ...claims }) => claims,
    'that nobody signed': unsigned,
    'signed with another key': (claims) => signed(claims, other),
    'under the secret of the client': (claims) => hmacSigned(claims, clientSecret),
    'under the public key as a secret': (claims) => hmacSigned(claims, publicKeyPem),
    'of somebody else than the access token': (claims) => ({ ...claims, sub: 's-bob' }),
  }

  test('that is signed again as it is lets in: the forgeries below fail by what they change', async () => {
    provider.forge = (claims) => ({ ...claims })
    expect((await signIn('s-ann')).page.pathname).toBe('/findings')
  })

  test.each(Object.keys(forgeries))('%s lets nobody in', async (name) => {
    provider.forge = forgeries[name]
    const { browser, page } = await signIn('s-ann')
    expect([name, page.pathname + page.search]).toEqual([name, '/login?reason=CREDENTIALS_INVALID'])
    expect(cookieOf(browser)).toBeUndefined()
  })
})

test('whoever begins again and again is slowed', async () => {
  const pages: string[] = []
  for (let i = 0; i < 150; i++) {
    const url = await new TestBrowser().follow(`${sealtrail.url}/oidc/begin`, (at) => {
      return at.pathname !== '/oidc/begin'
    })
    pages.push(url.origin === provider.issuer ? 'provider' : url.search)
  }
  expect(pages).toContain('provider')
  expect(pages.at(-1)).toBe('?reason=RATE_LIMITED')
})

test('nothing of a token is printed', () => {
  expect(sealtrail.output).toContain('sign-in with the identity provider failed')
  expect(sealtrail.output).not.toMatch(/eyJ|s-ann|code_verifier/)
})

test('a provider that is away is said, and people with a password are let in meanwhile', async () => {
  await provider.close()
  await sealtrail.stop()
  await sealtrail.restart()
  const browser = new TestBrowser()
  const page = await browser.follow(`${sealtrail.url}/oidc/begin`, isPage)
  expect(page.search).toBe('?reason=IDENTITY_PROVIDER_UNAVAILABLE')
  const reply = await postJson(sealtrail.url, '/api/v1/login', { name: 'ann', password: 'x' })
  expect(reply.status).toBe(401)
}, 60_000)
