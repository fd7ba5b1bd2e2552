import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { evaluate, launchBrowser, seriousFaults, watchedPage } from './browser.ts'
import { fixtureAccount, fixtureSetupToken, startFixtureApi } from './fixture-api.ts'
import { buildPages, startPages } from './next-server.ts'

/** A real server to run the journey against; without it everything runs over the fixture ledger. */
const realUrl = process.env['SEALTRAIL_E2E_URL']
const account =
  realUrl === undefined
    ? fixtureAccount
    : {
        name: process.env['SEALTRAIL_E2E_USER'] ?? '',
        password: process.env['SEALTRAIL_E2E_PASSWORD'] ?? '',
      }

let browser: Browser
let url: string
let api: Awaited<ReturnType<typeof startFixtureApi>> | undefined
let emptyApi: Awaited<ReturnType<typeof startFixtureApi>> | undefined
let pages: Awaited<ReturnType<typeof startPages>> | undefined

beforeAll(async () => {
  browser = await launchBrowser()
  if (realUrl !== undefined) {
    url = realUrl
    return
  }
  await buildPages()
  pages = await startPages()
  api = await startFixtureApi({ nextUrl: pages.url })
  emptyApi = await startFixtureApi({ nextUrl: pages.url, empty: true })
  url = api.url
})

afterAll(async () => {
  await browser?.close()
  await api?.close()
  await emptyApi?.close()
  await pages?.close()
})

/** Runs a visit in a fresh profile; fails on anything the browser complained about. */
async function visit(
  work: (page: Page, context: BrowserContext) => Promise<void>,
  options: Parameters<Browser['newContext']>[0] = {},
): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
  try {
    const { page, complaints } = await watchedPage(context)
    page.setDefaultTimeout(15_000)
    await work(page, context)
    expect(complaints).toEqual([])
  } finally {
    await context.close()
  }
}

async function signIn(page: Page, path = '/explore', base = url): Promise<void> {
  await page.goto(`${base}/login?next=${encodeURIComponent(path)}`)
  await page.getByLabel('Name').fill(account.name)
  await page.getByLabel('Password').fill(account.password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL((at) => at.pathname + at.search === path)
}

const rows = (page: Page) => page.getByRole('grid', { name: 'Results' }).locator('[data-event]')
const drawer = (page: Page) => page.getByRole('complementary', { name: 'Event' })
const proofState = (page: Page, state: string) =>
  drawer(page).locator(`[data-proof=${state}]`).first()

describe('the journey of an analyst', () => {
  it('asks strangers to sign in, says one thing to wrong names and wrong passwords, and leads back', () =>
    visit(async (page) => {
      await page.goto(`${url}/findings?t=24h`)
      await page.waitForURL((at) => at.pathname === '/login')
      const tries = [
        { name: account.name, password: 'wrong password 1' },
        { name: 'nobody', password: account.password },
      ]
      const texts: (string | null)[] = []
      for (const each of realUrl === undefined ? tries : []) {
        await page.getByLabel('Name').fill(each.name)
        await page.getByLabel('Password').fill(each.password)
        await page.getByRole('button', { name: 'Sign in' }).click()
        const alert = page.locator('form').getByRole('alert')
        await alert.waitFor()
        texts.push(await alert.textContent())
        await page.reload()
      }
      expect(new Set(texts).size).toBeLessThanOrEqual(1)
      await page.getByLabel('Name').fill(account.name)
      await page.getByLabel('Password').fill(account.password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.waitForURL(
        (at) => at.pathname === '/findings' && at.searchParams.get('t') === '24h',
      )
    }))

  it('never leads to another origin after signing in', () =>
    visit(async (page) => {
      await page.goto(`${url}/login?next=${encodeURIComponent('//evil.example/x')}`)
      await page.getByLabel('Name').fill(account.name)
      await page.getByLabel('Password').fill(account.password)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.waitForURL((at) => at.pathname === '/explore')
      expect(new URL(page.url()).origin).toBe(url)
    }))

  it('searches, opens an event and sees it verified in the browser', () =>
    visit(async (page) => {
      await signIn(page, '/explore?t=30d')
      await rows(page).first().waitFor()
      const tool = await page
        .getByRole('region', { name: 'Tool' })
        .getByRole('button', { name: /^Only / })
        .first()
        .textContent()
      await page
        .getByRole('region', { name: 'Tool' })
        .getByRole('button', { name: /^Only / })
        .first()
        .click()
      await page.waitForURL((at) => /tool/.test(at.searchParams.get('q') ?? ''))
      expect(tool).not.toBe('')
      await rows(page).nth(1).click()
      await proofState(page, 'verified').waitFor()
      await drawer(page).getByRole('tab', { name: 'Proof' }).click()
      await drawer(page).getByText('Included under a signed checkpoint').waitFor()
      expect(await drawer(page).locator('[data-check]').count()).toBeGreaterThanOrEqual(6)
      expect(await drawer(page).locator('[data-check=failed]').count()).toBe(0)
      // The address is the view: a reload shows the same.
      await page.reload()
      await proofState(page, 'verified').waitFor()
      await page.goBack()
      await drawer(page).waitFor({ state: 'detached' })
    }))

  it('underlines what is wrong with a query and asks the server nothing', () =>
    visit(async (page) => {
      await signIn(page)
      await page.getByRole('combobox', { name: 'Query' }).waitFor()
      await page.keyboard.press('/')
      await page.keyboard.type('tol:read_file ')
      await page.getByText('there is no field "tol"').waitFor()
      await page.keyboard.press('Escape')
      await page.keyboard.press('Enter')
      expect(new URL(page.url()).searchParams.get('q')).toBeNull()
    }))

  it('sees the state of the log, and can have everything verified', () =>
    visit(async (page) => {
      await signIn(page, '/integrity')
      const log = page.getByRole('region', { name: /^Log / }).first()
      await log.getByText('Durable').waitFor()
      await log.getByRole('button', { name: 'Verify everything now' }).click()
      await log
        .getByText(realUrl === undefined ? /differs from its leaf/ : /recomputed in/)
        .waitFor()
      await page.getByText('What is not detected').waitFor()
    }))

  it('makes a source key that is shown once', () =>
    visit(async (page) => {
      await signIn(page, '/sources')
      await page.getByLabel('Name of the new source').fill('browser test')
      await page.getByRole('button', { name: 'New source' }).click()
      await page.getByText(/authorization: Bearer/).waitFor()
      await page.getByRole('button', { name: 'I have copied it' }).click()
      await page.getByText(/authorization: Bearer/).waitFor({ state: 'detached' })
      await page.getByRole('cell', { name: 'browser test' }).first().waitFor()
    }))

  it('works with the keyboard alone', () =>
    visit(async (page) => {
      await signIn(page, '/explore?t=30d')
      await rows(page).first().waitFor()
      await page.getByRole('grid', { name: 'Results' }).focus()
      await page.keyboard.press('j')
      await page.keyboard.press('j')
      await page.keyboard.press('Enter')
      await proofState(page, 'verified')
        .or(proofState(page, 'partial'))
        .or(proofState(page, 'pending'))
        .waitFor()
      await page.keyboard.press(']')
      await drawer(page).getByRole('tab', { name: 'Arguments', selected: true }).waitFor()
      await page.keyboard.press('Escape')
      await drawer(page).waitFor({ state: 'detached' })
      await page.keyboard.press('g')
      await page.keyboard.press('f')
      await page.waitForURL((at) => at.pathname === '/findings')
      await page.getByRole('heading', { name: 'Findings' }).waitFor()
      await page.keyboard.press('g')
      await page.keyboard.press('i')
      await page.waitForURL((at) => at.pathname === '/integrity')
      // The first stop of Tab skips the navigation.
      await page.reload()
      await page.getByRole('heading', { name: 'Integrity' }).waitFor()
      await page.keyboard.press('Tab')
      expect(await evaluate(page, 'document.activeElement.textContent')).toBe('Skip to content')
    }))

  it('signs out, and the pages are shut again', () =>
    visit(async (page) => {
      await signIn(page)
      await page.getByRole('button', { name: 'Sign out' }).click()
      await page.waitForURL((at) => at.pathname === '/login')
      await page.goto(`${url}/explore`)
      await page.waitForURL((at) => at.pathname === '/login')
    }))
})

describe('every screen', () => {
  const screens = [
    '/login',
    '/explore?t=30d',
    '/explore?t=30d&view=events',
    '/findings?t=30d',
    '/integrity',
    '/sources',
  ]
  for (const colorScheme of ['light', 'dark'] as const) {
    it(`has no serious accessibility fault in ${colorScheme}`, () =>
      visit(
        async (page) => {
          await signIn(page)
          for (const path of screens) {
            await page.goto(url + path)
            await page.waitForLoadState('networkidle')
            expect(await seriousFaults(page), path).toEqual([])
          }
        },
        { colorScheme },
      ))
  }

  it('carries the policy, a fresh nonce and the security headers', async () => {
    const nonces = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const reply = await fetch(`${url}/login`)
      const policy = reply.headers.get('content-security-policy') ?? ''
      expect(policy).toContain("default-src 'none'")
      expect(policy).toContain("require-trusted-types-for 'script'")
      expect(policy).toContain("frame-ancestors 'none'")
      expect(policy).not.toContain('unsafe-eval')
      nonces.add(/'nonce-([^']+)'/.exec(policy)?.[1] ?? '')
      expect(reply.headers.get('x-content-type-options')).toBe('nosniff')
      expect(reply.headers.get('referrer-policy')).toBe('no-referrer')
      expect(reply.headers.get('x-frame-options')).toBe('DENY')
      expect(reply.headers.get('x-powered-by')).toBeNull()
      const html = await reply.text()
      for (const [tag] of html.matchAll(/<script\b[^>]*>/g)) expect(tag).toContain('nonce=')
    }
    expect(nonces.size).toBe(3)
  })
})

describe.runIf(realUrl === undefined)('over the fixture ledger', () => {
  const named = () => {
    if (api === undefined) throw new Error('the fixture does not run')
    return api.ledger.named
  }

  it('says FAILED when the list shows other than the ledger, and names the field', () =>
    visit(async (page) => {
      await signIn(page, `/explore?ev=${named().alteredRow}&tab=proof`)
      await proofState(page, 'failed').waitFor()
      const failed = drawer(page).locator('[data-check=failed]')
      expect(await failed.count()).toBe(1)
      expect(await failed.textContent()).toContain('outcome.status')
      await drawer(page).getByRole('tab', { name: 'Overview' }).click()
      // What the drawer itself tells comes from the ledger.
      expect(await drawer(page).getByRole('tabpanel').textContent()).toContain('denied')
    }))

  it('says FAILED when the bytes of a leaf were altered', () =>
    visit(async (page) => {
      await signIn(page, `/explore?ev=${named().alteredLeaf}&tab=proof`)
      await proofState(page, 'failed').waitFor()
      expect(
        (await drawer(page).locator('[data-check=failed]').allTextContents()).join(),
      ).toContain('Included under a signed checkpoint')
    }))

  it('says what is withheld of an erased event, and that an unpublished one is not verified yet', () =>
    visit(async (page) => {
      await signIn(page, `/explore?ev=${named().erased}`)
      await proofState(page, 'partial').waitFor()
      await page.goto(`${url}/explore?ev=${named().pending}`)
      await proofState(page, 'pending').waitFor()
    }))

  it('fails loudly when the log suddenly has another key', () =>
    visit(async (page) => {
      await signIn(page)
      await evaluate(
        page,
        `localStorage.setItem('log/main', JSON.stringify({ verifierKey: 'other.example/main+00000000+AAAA', size: 3, root: '00' }))`,
      )
      await page.goto(`${url}/explore?ev=${named().erased}&tab=proof`)
      await proofState(page, 'failed').waitFor()
      expect(
        (await drawer(page).locator('[data-check=failed]').allTextContents()).join(),
      ).toContain('key')
    }))

  it('fails loudly when history was rewritten since the last visit', () =>
    visit(async (page) => {
      await signIn(page)
      await evaluate(
        page,
        `localStorage.setItem('log/main', JSON.stringify({ verifierKey: ${JSON.stringify(api?.ledger.verifierKey)}, size: 40, root: '${'ab'.repeat(32)}' }))`,
      )
      await page.goto(`${url}/explore?ev=${named().erased}&tab=proof`)
      await proofState(page, 'failed').waitFor()
      expect(
        (await drawer(page).locator('[data-check=failed]').allTextContents()).join(),
      ).toContain('last checkpoint')
    }))

  it('keeps hostile text inert and makes hidden characters visible', () =>
    visit(async (page) => {
      for (const tab of ['overview', 'arguments', 'result', 'definition', 'raw']) {
        if (tab === 'overview') await signIn(page, `/explore?ev=${named().hostile}&tab=${tab}`)
        else await page.goto(`${url}/explore?ev=${named().hostile}&tab=${tab}`)
        await proofState(page, 'verified').waitFor()
        expect(await evaluate(page, 'typeof globalThis.hacked')).toBe('undefined')
        expect(
          await page
            .locator('main img, main iframe, main script, main a[href^="javascript:"]')
            .count(),
        ).toBe(0)
      }
      await page.goto(`${url}/explore?ev=${named().hostile}&tab=arguments`)
      await proofState(page, 'verified').waitFor()
      const shown = await drawer(page).getByRole('tabpanel').textContent()
      for (const mark of ['U+202E', 'U+001B', 'U+200B', 'U+E0069']) expect(shown).toContain(mark)
      expect(shown).toContain('<img src=x onerror=')
    }))

  it('opens a finding: sentence, why, evidence in place, its own proof', () =>
    visit(async (page) => {
      await signIn(page, '/findings')
      await page.getByRole('link', { name: /admin:users for the first time/ }).click()
      await page.getByRole('heading', { level: 1, name: /admin:users/ }).waitFor()
      await page.getByRole('list', { name: 'Observed value against the baseline' }).waitFor()
      await page.getByText('What would have made it not fire').waitFor()
      await page.getByRole('button', { name: /write_file/ }).click()
      await proofState(page, 'verified').waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: /Proof of this finding/ }).click()
      await proofState(page, 'verified').waitFor()
    }))

  it('has no serious accessibility fault with a drawer, a finding and a chart open', () =>
    visit(async (page) => {
      await signIn(page)
      const findings =
        api?.ledger.events.filter((each) => each.event['event.class'] === 'finding') ?? []
      const paths = [
        `/explore?ev=${named().hostile}&tab=arguments`,
        `/explore?ev=${named().alteredRow}&tab=proof`,
        ...findings.map((each) => `/findings/${each.event['finding.id']}`),
      ]
      for (const path of paths) {
        await page.goto(url + path)
        await page.waitForLoadState('networkidle')
        expect(await seriousFaults(page), path).toEqual([])
      }
    }))

  it('takes the token of the first visit out of the address and signs the first admin in', () =>
    visit(async (page) => {
      if (emptyApi === undefined) throw new Error('the fixture does not run')
      emptyApi.requireSetup()
      await page.goto(`${emptyApi.url}/setup?token=${fixtureSetupToken}`)
      await page.waitForURL((at) => at.search === '')
      await page.getByLabel('Name').fill('first.admin')
      await page.getByLabel('Password').fill('a long enough password')
      await page.getByRole('button', { name: 'Make account' }).click()
      await page.waitForURL((at) => at.pathname === '/explore')
      await page.getByText('Waiting for the first event').waitFor()
    }))
})
