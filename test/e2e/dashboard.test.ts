import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EventDetail } from '../../schemas/api/event-detail.ts'
import type { FindingDetail } from '../../schemas/api/findings.ts'
import type { IntegrityReply } from '../../schemas/api/integrity.ts'
import type { SearchReply } from '../../schemas/api/search.ts'
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
  /** Complaints that belong to what the visit is about, such as a server that does not answer. */
  expected: RegExp | undefined = undefined,
): Promise<void> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
  try {
    const { page, complaints } = await watchedPage(context)
    page.setDefaultTimeout(15_000)
    await work(page, context)
    expect(complaints.filter((each) => expected?.test(each) !== true)).toEqual([])
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
/** Lets a server lie: changes the JSON of what it answers on a path. */
async function answerInstead<T>(page: Page, path: RegExp, change: (reply: T) => void) {
  await page.route(
    (at) => path.test(at.pathname),
    async (route) => {
      const response = await route.fetch()
      const reply: T = await response.json()
      change(reply)
      await route.fulfill({ response, json: reply })
    },
  )
}

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

  it('keeps the whole view in the address: a reload shows it again, the back button goes through it', () =>
    visit(async (page) => {
      await signIn(page, '/explore')
      await rows(page).first().waitFor()
      await page.getByRole('button', { name: 'events', exact: true }).click()
      await page.getByRole('button', { name: 'Show as table' }).click()
      await page.getByRole('button', { name: /^Time range/ }).click()
      await page.getByRole('button', { name: 'Last 7 days' }).click()
      await page.waitForURL((at) => at.searchParams.get('t') === '7d')
      await rows(page).nth(1).click()
      await drawer(page).getByRole('tab', { name: 'Raw' }).click()
      await page.waitForURL((at) => at.searchParams.get('tab') === 'raw')
      const address = page.url()
      await page.reload()
      await drawer(page).getByRole('tab', { name: 'Raw', selected: true }).waitFor()
      await page.getByRole('region', { name: 'Counts over time as a table' }).waitFor()
      await page.getByRole('button', { name: 'Time range: Last 7 days' }).waitFor()
      expect(page.url()).toBe(address)
      await page.goBack()
      await drawer(page).waitFor({ state: 'detached' })
      await page.goBack()
      await page.waitForURL((at) => !at.searchParams.has('t'))
      await page.goBack()
      await page.getByRole('button', { name: 'Show as table' }).waitFor()
      await page.goBack()
      await page.waitForURL((at) => at.search === '')
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

describe('redaction', () => {
  it('a policy is written by keyboard, tried on stored events, saved, and taken away again', () =>
    visit(async (page) => {
      await signIn(page, '/sources')
      await page.getByRole('link', { name: 'What is replaced in their records' }).press('Enter')
      await page.getByRole('checkbox', { name: 'Mail address' }).press('Space')
      await page.getByRole('button', { name: 'Add a path' }).press('Enter')
      await page.getByLabel('Path 1', { exact: true }).fill('/event.class')
      expect(await page.getByText('must begin with a field that can be redacted').count()).toBe(1)
      expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true)
      await page.getByLabel('Path 1', { exact: true }).fill('/gen_ai.tool.call.arguments/path')
      await page.getByRole('button', { name: 'Preview on stored events' }).press('Enter')
      const preview = page.getByRole('region', { name: 'Preview' })
      await preview.getByText('hashed policy').waitFor()
      expect(await seriousFaults(page)).toEqual([])
      await page.getByRole('button', { name: 'Save' }).press('Enter')
      await page.getByText('The policy of all sources holds here').waitFor()
      await page.getByRole('button', { name: 'Take this policy away' }).press('Enter')
      await page.getByText('The built-in policy holds').waitFor()
      expect(await page.getByLabel('Path 1', { exact: true }).count()).toBe(0)
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
    ...(realUrl === undefined ? ['/sources/src-tap', '/sources/src-laptops'] : []),
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

describe.runIf(realUrl === undefined)('the page of a source', () => {
  it('says what is missing, silent and refused, and sets a quota', () =>
    visit(
      async (page) => {
        await signIn(page, '/sources')
        await page.getByRole('link', { name: 'Tap on build-7' }).press('Enter')
        await page.getByRole('heading', { name: 'Tap on build-7' }).waitFor()
        await page.getByText('that was left out, put in or changed on the way shows').waitFor()
        await page
          .getByRole('region', { name: 'Said of its streams' })
          .getByText('gap of 3')
          .waitFor()
        await page.getByLabel('Events a second').fill('25')
        await page.getByRole('button', { name: 'Set quota' }).press('Enter')
        await page.reload()
        await page.getByLabel('Events a second').waitFor()
        expect(await page.getByLabel('Events a second').inputValue()).toBe('25')
        await page.goto(`${url}/sources/none`)
        await page.getByText('there is no such source').waitFor()
      },
      {},
      /404 .*sources\/none/,
    ))
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

  it.each([
    {
      lie: 'a cell of the list is altered',
      change: (row: SearchReply['rows'][number]) => {
        row.event = { ...row.event, 'user.name': 'somebody.else' }
      },
      says: /user\.name is shown as "somebody\.else", the leaf says "alice"/,
    },
    {
      lie: 'a cell of the list is left out',
      change: (row: SearchReply['rows'][number]) => {
        const { 'user.name': _name, ...rest } = row.event
        row.event = rest
      },
      says: /user\.name is left out, the leaf says "alice"/,
    },
    {
      lie: 'a text of the list is cut shorter than lists cut',
      change: (row: SearchReply['rows'][number]) => {
        row.event = { ...row.event, 'gen_ai.tool.call.arguments': '{' }
        row.cut = ['gen_ai.tool.call.arguments']
      },
      says: /gen_ai\.tool\.call\.arguments is shown as "\{"/,
    },
    {
      lie: 'a row of the list claims another leaf',
      change: (row: SearchReply['rows'][number]) => {
        row.leafIndex = 1
      },
      says: /the row claims leaf 1 of main/,
    },
  ])('turns red in the list and the drawer when $lie', ({ change, says }) =>
    visit(async (page) => {
      const honest = api?.ledger.events.find(
        (each) =>
          each.event['user.name'] === 'alice' &&
          each.event['outcome.status'] === 'success' &&
          !each.erased,
      )
      const id = honest?.event['event.id']
      await answerInstead<SearchReply>(page, /^\/api\/v1\/events$/, (reply) => {
        for (const row of reply.rows) if (row.eventId === id) change(row)
      })
      await signIn(page, `/explore?q=id%3A${id}&ev=${id}`)
      await proofState(page, 'failed').waitFor()
      const alert = drawer(page).getByRole('alert')
      expect(await alert.textContent()).toMatch(says)
      await rows(page).first().getByLabel('verification failed').waitFor()
    }),
  )

  it('turns red when the definition of the tool is not the recorded one', () =>
    visit(async (page) => {
      await answerInstead<EventDetail>(page, /^\/api\/v1\/events\/.+$/, (reply) => {
        if (reply.definition !== null) reply.definition.json = '{"name":"read_file"}'
      })
      const honest = api?.ledger.events.find(
        (each) => each.event['tool.definition_hash'] !== undefined,
      )
      await signIn(page, `/explore?ev=${honest?.event['event.id']}`)
      await proofState(page, 'failed').waitFor()
      expect(await drawer(page).getByRole('alert').textContent()).toContain('Tool definition')
    }))

  it.each([
    {
      lie: 'its sentence',
      change: (detail: FindingDetail) => {
        detail.finding.sentence = 'Nothing to see here.'
      },
      says: /finding\.sentence is shown as "Nothing to see here\."/,
    },
    {
      lie: 'its baseline',
      change: (detail: FindingDetail) => {
        detail.explanation.threshold = 0.5
      },
      says: /finding\.explanation is shown as/,
    },
    {
      lie: 'its severity',
      change: (detail: FindingDetail) => {
        detail.finding.severity = 'low'
      },
      says: /finding\.severity is shown as "low", the leaf says "high"/,
    },
    {
      lie: 'its evidence',
      change: (detail: FindingDetail) => {
        detail.evidence = []
      },
      says: /finding\.evidence is shown as "\[\]"/,
    },
  ])('a finding turns red when the server alters $lie', ({ change, says }) =>
    visit(async (page) => {
      await answerInstead<FindingDetail>(page, /^\/api\/v1\/findings\/.+$/, change)
      const finding = api?.ledger.events.find(
        (each) => each.event['finding.detector'] === 'first-scope@1',
      )
      await signIn(page, `/findings/${finding?.event['finding.id']}`)
      await page.locator('article [data-proof=failed]').waitFor()
      expect(await page.getByRole('alert').first().textContent()).toMatch(says)
    }),
  )

  it('leads from the first screen to the finding, why it fired, and all calls of that agent', () =>
    visit(async (page) => {
      await signIn(page, '/explore')
      await page.getByRole('link', { name: /\d+ findings in this time range/ }).click()
      await page.waitForURL((at) => at.pathname === '/findings')
      await page.getByRole('link', { name: /admin:users for the first time/ }).click()
      await page.locator('article [data-proof=verified]').waitFor()
      await page.getByText('fired', { exact: true }).waitFor()
      await page.getByRole('link', { name: /All calls of agent quarter-report/ }).click()
      await page.waitForURL((at) => at.searchParams.get('q') === 'agent:quarter-report')
      await rows(page).first().waitFor()
      // From a cell: only this, then not this, which takes the first back.
      await page.getByRole('grid', { name: 'Results' }).focus()
      await page.keyboard.press('j')
      for (let step = 0; step < 2; step++) await page.keyboard.press('ArrowRight')
      await page.keyboard.press('+')
      await page.waitForURL(
        (at) => at.searchParams.get('q') === 'agent:quarter-report user.name:alice',
      )
      // The place in the rows outlives the new query: the same cell again.
      await page.keyboard.press('-')
      await page.waitForURL(
        (at) => at.searchParams.get('q') === 'agent:quarter-report -user.name:alice',
      )
      await page.goBack()
      await page.waitForURL((at) => at.searchParams.get('q')?.endsWith(' user.name:alice') === true)
      await rows(page).first().waitFor()
    }))

  it('writes the export of the view as a command, quoted for a shell', () =>
    visit(async (page) => {
      await signIn(page)
      await page.goto(`${url}/explore?q=${encodeURIComponent(`tool:"it's" -outcome:success`)}`)
      await page.getByRole('button', { name: 'Export this view as evidence' }).click()
      const command = await page
        .getByRole('dialog', { name: 'Export this view as evidence' })
        .locator('code', { hasText: 'sealtrail export' })
        .textContent()
      expect(command).toMatch(
        /^sealtrail export --from \S+Z --to \S+Z --query '\(tool:"it'\\''s" -outcome:success\) class:tool_call' --out evidence$/,
      )
    }))

  it('marks the value of a facet that the query holds under its other name', () =>
    visit(async (page) => {
      await signIn(page, '/explore?q=mcp.server.name%3Afiles')
      const chosen = page
        .getByRole('region', { name: 'Server' })
        .getByRole('button', { name: /^Only server files/ })
      await chosen.and(page.locator('[aria-pressed=true]')).waitFor()
      await chosen.click()
      await page.waitForURL((at) => !at.searchParams.has('q'))
    }))

  it('says that search restarts, and that nothing is lost', () =>
    visit(
      async (page) => {
        await answerInstead<IntegrityReply>(page, /^\/api\/v1\/integrity$/, (reply) => {
          reply.columnar = 'restarting'
          for (const log of reply.logs) log.projection.state = 'unavailable'
        })
        const problem = {
          type: 'about:blank',
          title: 'The store is not available',
          status: 503,
          detail: 'the columnar store is restarting',
          code: 'STORE_UNAVAILABLE',
        }
        await page.route(
          (at) => at.pathname === '/api/v1/events',
          (route) => route.fulfill({ status: 503, json: problem }),
        )
        await signIn(page)
        await page.getByText('Search is restarting. Records go on being kept').waitFor()
        await page.getByRole('alert').getByText('the columnar store is restarting').waitFor()
        await page.unroute((at) => at.pathname === '/api/v1/events')
        await page.unrouteAll()
        await page.getByRole('button', { name: 'Try again' }).click()
        await rows(page).first().waitFor()
      },
      {},
      /503/,
    ))

  it('says that the server does not answer, keeps what is shown, and finds it again', () =>
    visit(
      async (page) => {
        await signIn(page)
        await rows(page).first().waitFor()
        await page.route(
          (at) => at.pathname.startsWith('/api/'),
          (route) => route.abort(),
        )
        await page.getByRole('button', { name: 'Refresh' }).click()
        await page.getByRole('alert').getByText('The server does not answer').waitFor()
        await page.getByText('Sealtrail does not answer. What is shown may be old').waitFor()
        await page.unrouteAll()
        await page.getByRole('button', { name: 'Try again' }).click()
        await rows(page).first().waitFor()
      },
      {},
      /ERR_FAILED/,
    ))

  it('shows nothing of an answer that is not in the agreed form', () =>
    visit(async (page) => {
      await answerInstead<SearchReply>(page, /^\/api\/v1\/events$/, (reply) => {
        Reflect.set(reply, 'total', 'many')
      })
      await signIn(page)
      await page
        .getByRole('alert')
        .getByText(/not in the agreed form at total/)
        .waitFor()
    }))

  it.each([1440, 1024, 390])('nothing is wider than the window at %i pixels', (width) =>
    visit(
      async (page) => {
        await signIn(page)
        const finding = api?.ledger.events.find((each) => each.event['finding.id'] !== undefined)
        for (const path of [
          '/login',
          '/setup',
          '/explore',
          '/explore?view=events',
          `/explore?ev=${named().hostile}&tab=arguments`,
          `/explore?q=tool%3Aread_file&ev=${named().alteredRow}&tab=definition`,
          '/findings',
          `/findings/${finding?.event['finding.id']}`,
          '/integrity',
          '/sources',
        ]) {
          await page.goto(url + path)
          await page.waitForLoadState('networkidle')
          expect(
            await evaluate(
              page,
              `[...document.querySelectorAll('html, main, main > *, aside > *, #drawer-panel')].filter((each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== 'hidden' && !each.matches('[role=tablist], .overflow-x-auto')).map((each) => each.tagName + ' ' + each.className + ' ' + each.scrollWidth + ' > ' + each.clientWidth)`,
            ),
            path,
          ).toEqual([])
        }
        await page.goto(`${url}/explore`)
        const query = page.getByRole('combobox', { name: 'Query' })
        expect((await query.boundingBox())?.width ?? 0).toBeGreaterThan(200)
      },
      { viewport: { width, height: 900 } },
    ),
  )

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
      const notice = drawer(page).getByRole('region', { name: 'Erasure' })
      expect(await notice.textContent()).toMatch(
        /^Shredded on \d{4}-.*consent withdrawn.*reference DSR-2026-17.*Recorded as leaf [\d,]+/,
      )
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

  it('says of a finding whose text was erased that it was, in the list and on its page, and leads to its leaf', () =>
    visit(
      async (page) => {
        const finding = api?.ledger.events.find((each) => each.event['finding.id'] !== undefined)
        const id = finding?.event['finding.id'] ?? ''
        const restore = api?.eraseFinding(id)
        try {
          await signIn(page, '/findings')
          const erased = page.getByRole('link', { name: /The text of this finding was erased/ })
          await erased.waitFor()
          expect(await page.locator('main ul > li').count()).toBeGreaterThan(1)
          expect(await seriousFaults(page)).toEqual([])
          await erased.click()
          await page.waitForURL((at) => at.pathname === `/findings/${id}`)
          await page.getByText('The text of this finding was erased').waitFor()
          expect(await seriousFaults(page)).toEqual([])
          await page.getByRole('link', { name: 'The leaf of this finding' }).click()
          await page.waitForURL((at) => at.pathname === '/explore')
          await page
            .getByRole('row', { name: /first-scope@1|new-argument-value@1|call-rate@1/ })
            .waitFor()
        } finally {
          restore?.()
        }
      },
      {},
      /status of 410/,
    ))

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
