import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { totpCode, totpStepAt } from '../../ledger/control/totp.ts'
import { SearchReply } from '../../schemas/api/search.ts'
import { clientId, clientSecret, TestProvider } from '../fixtures/openid-provider.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'
import { aUser, testPassword } from '../fixtures/signed-in.ts'
import { launchBrowser, seriousFaults, watchedPage } from './browser.ts'
import { buildPages } from './next-server.ts'

/** A whole Sealtrail with its dashboard and an identity provider, as people sign in to it. */
let folder: string
let sealtrail: RunningSealtrail
let provider: TestProvider
let browser: Browser
/** Pictures of the screens, for looking at them. */
const pictures = process.env['SEALTRAIL_E2E_PICTURES']

beforeAll(async () => {
  await buildPages()
  provider = await TestProvider.listen()
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-e2e-people-'))
  writeFileSync(join(folder, 'secret'), clientSecret)
  const environment = {
    SEALTRAIL_OIDC_ISSUER: provider.issuer,
    SEALTRAIL_OIDC_CLIENT_ID: clientId,
    SEALTRAIL_OIDC_CLIENT_SECRET_FILE: join(folder, 'secret'),
    SEALTRAIL_OIDC_ROLES: 'analyst=soc',
    SEALTRAIL_OIDC_ROLE_CLAIM: 'realm_access.roles',
    SEALTRAIL_OIDC_NAME: 'Example ID',
  }
  sealtrail = await RunningSealtrail.start(undefined, environment, { web: true })
  provider.register(sealtrail.url)
  provider.accounts.set('s-1', { name: 'olga', roles: ['soc'] })
  provider.accounts.set('s-2', { name: 'pit', roles: ['sales'] })
  await aUser(sealtrail, 'root', 'admin')
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  await sealtrail?.end()
  await provider?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function openPage(path: string, scheme: 'light' | 'dark' = 'light') {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    colorScheme: scheme,
  })
  onTestFinished(() => context.close())
  const { page, complaints } = await watchedPage(context)
  page.setDefaultTimeout(20_000)
  await page.goto(sealtrail.url + path)
  return { page, complaints, context }
}

async function signIn(page: Page, name: string, password = testPassword): Promise<void> {
  await page.getByLabel('Name').fill(name)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
}

const at = (page: Page, path: string) => page.waitForURL((url) => url.pathname === path)

async function shoot(page: Page, name: string): Promise<void> {
  if (pictures === undefined) return
  await page.waitForTimeout(400)
  await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })
}

it('an admin invites an auditor, who chooses a password by a link that works once, and reads what was administered', async () => {
  const { page, complaints } = await openPage('/login?next=/users')
  await shoot(page, 'login')
  await signIn(page, 'root')
  await at(page, '/users')
  await page.getByLabel('Name of the new user').fill('ann.lee')
  await page.getByLabel('Role of the new user').selectOption('auditor')
  await page.getByRole('button', { name: 'Invite' }).click()
  const once = page.getByRole('region', { name: 'The one-time link' })
  const link = (await once.locator('code').textContent()) ?? ''
  expect(link).toMatch(/\/set-password#[\w-]{32}$/)
  await page
    .getByRole('row', { name: /ann\.lee/ })
    .first()
    .waitFor()
  expect(await seriousFaults(page)).toEqual([])
  await shoot(page, 'users')

  const invited = await openPage(link.slice(sealtrail.url.length))
  await invited.page.getByLabel('Password').waitFor()
  // Neither the address bar nor the history keeps the token.
  await invited.page.waitForURL((url) => url.hash === '')
  expect(await seriousFaults(invited.page)).toEqual([])
  await shoot(invited.page, 'set-password')
  await invited.page.getByLabel('Password').fill(testPassword)
  await invited.page.getByRole('button', { name: 'Set password' }).click()
  await at(invited.page, '/login')
  await signIn(invited.page, 'ann.lee')
  await at(invited.page, '/explore')
  await invited.page.getByRole('link', { name: 'Users' }).click()
  const log = invited.page.getByRole('table', { name: 'What was administered' })
  await log
    .getByRole('row', { name: /user\.create/ })
    .first()
    .waitFor()
  expect(await log.textContent()).toMatch(/root.*user\.create.*ann\.lee.*role: auditor/)
  expect(await invited.page.getByRole('button', { name: 'Disable' }).count()).toBe(0)
  await shoot(invited.page, 'users-auditor')

  const again = await openPage(link.slice(sealtrail.url.length))
  await again.page.getByLabel('Password').fill(testPassword)
  await again.page.getByRole('button', { name: 'Set password' }).click()
  await again.page.getByText('This link was used already').waitFor()
  expect([...complaints, ...invited.complaints]).toEqual([])
})

it('the last administrator cannot be disabled, and the page says what to do', async () => {
  const { page } = await openPage('/login?next=/users')
  await signIn(page, 'root')
  const row = page.getByRole('row', { name: /root.*You/ })
  await row.getByRole('button', { name: 'Disable' }).click()
  await row.getByRole('button', { name: 'Really disable' }).click()
  await page
    .getByText(/no administrator would be left without root\. Make somebody else/i)
    .waitFor()
  await shoot(page, 'users-last-admin')
})

it('a second factor is set up by a QR code, asked for at the next sign-in, and a recovery code stands in once', async () => {
  await aUser(sealtrail, 'dora', 'analyst')
  const { page, complaints } = await openPage('/login?next=/account', 'dark')
  await signIn(page, 'dora')
  await at(page, '/account')
  await page.getByRole('button', { name: 'Set it up' }).click()
  await page.getByLabel('Your password').fill(testPassword)
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.getByRole('img', { name: /QR code/ }).waitFor()
  expect(await seriousFaults(page)).toEqual([])
  await shoot(page, 'account-qr-dark')
  const shown = await page
    .locator('form')
    .getByRole('listitem')
    .first()
    .locator('code')
    .textContent()
  const secret = fromBase32((shown ?? '').replaceAll(' ', ''))
  const codeNow = () => totpCode(secret, totpStepAt(Date.now()))
  await page.getByLabel('Code', { exact: true }).fill('000000')
  await page.getByRole('button', { name: 'Turn on' }).click()
  await page.getByText('The code is wrong').waitFor()
  await page.getByLabel('Code', { exact: true }).fill(codeNow())
  await page.getByRole('button', { name: 'Turn on' }).click()
  await page.getByText('Recovery codes, shown once').waitFor()
  const codes = await page.getByText(/^[a-z2-7]{4}(-[a-z2-7]{4}){3}$/).allTextContents()
  expect(codes).toHaveLength(10)
  await shoot(page, 'account-recovery-dark')
  await page.getByRole('button', { name: 'I have kept them' }).click()

  const next = await openPage('/login')
  await signIn(next.page, 'dora')
  const code = next.page.getByLabel('Code')
  await code.waitFor()
  // It has the focus: whoever types goes on.
  await next.page.keyboard.type(codes[0] ?? '')
  await shoot(next.page, 'login-code')
  await next.page.keyboard.press('Enter')
  await at(next.page, '/explore')
  const third = await openPage('/login')
  await signIn(third.page, 'dora')
  await third.page.getByLabel('Code').fill(codes[0] ?? '')
  await third.page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await third.page.getByText('The code is wrong or was used already').waitFor()
  expect(complaints.filter((each) => !/status of 4/.test(each))).toEqual([])
})

it('one signs the other browsers out, and a new password does so too', async () => {
  await aUser(sealtrail, 'emil', 'viewer')
  const first = await openPage('/login?next=/account')
  await signIn(first.page, 'emil')
  await at(first.page, '/account')
  const second = await openPage('/login?next=/account')
  await signIn(second.page, 'emil')
  await at(second.page, '/account')
  await second.page.getByText('This browser').waitFor()
  await shoot(second.page, 'account')
  expect(await seriousFaults(second.page)).toEqual([])
  await second.page.getByRole('button', { name: 'Sign out everywhere else' }).click()
  await second.page
    .getByRole('button', { name: 'Sign out everywhere else' })
    .waitFor({ state: 'detached' })
  await first.page.reload()
  await at(first.page, '/login')
  await signIn(first.page, 'emil')
  await at(first.page, '/account')
  await second.page.getByLabel('Present password').fill(testPassword)
  await second.page.getByLabel('New password, at least').fill('another long password')
  await second.page.getByLabel('New password again').fill('another long password')
  await second.page.getByRole('button', { name: 'Change password' }).click()
  await second.page.getByText('Your password is changed').waitFor()
  await first.page.reload()
  await at(first.page, '/login')
  await second.page.reload()
  await second.page.getByText('This browser').waitFor()
})

it('a role that needs a second factor leads to the account and nowhere else', async () => {
  await aUser(sealtrail, 'vera', 'viewer')
  const admin = await openPage('/login?next=/users')
  await signIn(admin.page, 'root')
  const viewers = admin.page.getByRole('checkbox', { name: 'viewer' })
  const saved = () => admin.page.waitForResponse(/settings\/sign-in$/)
  await Promise.all([saved(), viewers.check()])
  const { page } = await openPage('/login')
  await signIn(page, 'vera')
  await at(page, '/account')
  await page.getByText('Your role needs a second factor').waitFor()
  await shoot(page, 'account-required')
  await page.getByRole('link', { name: 'Explore' }).click()
  await at(page, '/account')
  await Promise.all([saved(), viewers.uncheck()])
})

it('people of an identity provider come in with its button; whoever has no role gets a page that says so', async () => {
  provider.person = 's-1'
  const { page, complaints } = await openPage('/login?next=/findings')
  await page.getByRole('link', { name: 'Sign in with Example ID' }).click()
  await at(page, '/findings')
  await page.getByText('olga · analyst').waitFor()
  await page.getByRole('link', { name: 'Account' }).click()
  await page.getByText(`Signed in at ${provider.issuer}`).waitFor()
  await shoot(page, 'account-identity-provider')
  provider.person = 's-2'
  const stranger = await openPage('/login')
  await stranger.page.getByRole('link', { name: 'Sign in with Example ID' }).click()
  await stranger.page.getByRole('heading', { name: 'You have no access' }).waitFor()
  expect(await seriousFaults(stranger.page)).toEqual([])
  await shoot(stranger.page, 'no-access')
  expect([...complaints, ...stranger.complaints]).toEqual([])
})

it('a viewer who opens the page of users is told who may', async () => {
  await aUser(sealtrail, 'walt', 'viewer')
  const { page } = await openPage('/login?next=/users')
  await signIn(page, 'walt')
  await page.getByText('this needs the role auditor or admin').first().waitFor()
  expect(await page.getByRole('link', { name: 'Users' }).count()).toBe(0)
  await shoot(page, 'users-refused')
})

/** Sends calls of one person as a gateway does. */
async function sendCalls(key: string, count: number, who: object): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => ({
    'event.class': 'tool_call',
    'mcp.server.name': 'files',
    'gen_ai.tool.name': 'read_file',
    'gen_ai.tool.call.arguments': { path: `/home/ann/${i}` },
    ...who,
  }))
  for (const line of lines) {
    const reply = await fetch(`${sealtrail.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(line),
    })
    expect(reply.ok).toBe(true)
  }
}

it('an admin erases a person: what would go is shown, the number of events is typed, and the event says by which leaf it went', async () => {
  const other = await aUser(sealtrail, 'petra', 'admin')
  const key = await sealtrail.key('gateway')
  await sendCalls(key, 3, { 'user.id': 'ann-4711', 'user.issuer': 'https://id.example' })
  await sendCalls(key, 1, { 'user.id': 'bob-1', 'user.issuer': 'https://id.example' })
  const { page, complaints } = await openPage('/login?next=/erasures')
  await signIn(page, 'root')
  await page.getByText('Nothing was erased or refused').waitFor()
  await shoot(page, 'erasures-empty')
  const show = page.getByRole('button', { name: 'Show what would go' })
  await show.click()
  await page.getByText('Fill in a user id, an e-mail address or a source id').waitFor()
  await page.getByLabel('User id', { exact: true }).fill('nobody')
  await page.keyboard.press('Enter')
  await page.getByText(/nothing is stored of this subject, or it was erased before/i).waitFor()
  await shoot(page, 'erasures-nobody')
  await page.getByLabel('User id', { exact: true }).fill('ann-4711')
  await page.getByLabel('Issuer of the user id').fill('https://id.example')
  await show.click()
  await page.getByText('the sealed content of 3 events of log main').waitFor()
  const erase = page.getByRole('button', { name: 'Erase for good' })
  await page.getByLabel('Type 3 to confirm').fill('2')
  expect(await erase.isDisabled()).toBe(true)
  await page.getByLabel('Ground').selectOption('consent_withdrawn')
  await page.getByLabel('Reference, optional').fill('DSR-2026-17')
  await page.getByLabel('Approved by, optional').selectOption('petra')
  await page.getByLabel('Type 3 to confirm').fill('3')
  expect(await seriousFaults(page)).toEqual([])
  await shoot(page, 'erasures-preview')
  // Another name is another preview: what was typed confirms nothing of it.
  await page.getByLabel('E-mail address').fill('a')
  expect(await erase.count()).toBe(0)
  await page.getByLabel('E-mail address').fill('')
  await show.click()
  await page.getByLabel('Ground').selectOption('consent_withdrawn')
  await page.getByLabel('Reference, optional').fill('DSR-2026-17')
  await page.getByLabel('Approved by, optional').selectOption('petra')
  await page.getByLabel('Type 3 to confirm').fill('3')
  await page.keyboard.press('Enter')
  await page.getByText(/^Erased, and on the record as leaf \d+\.$/).waitFor({ timeout: 60_000 })
  const list = page.getByRole('table', { name: 'What was erased and refused' })
  await list.getByText('complete').waitFor()
  expect(await list.textContent()).toMatch(
    /Erasedconsent withdrawn.*DSR-2026-17rootapproved by petra3\d*complete/,
  )
  const refusal = page.getByRole('region', { name: 'Refuse a request' })
  await refusal.getByLabel('Exception').selectOption('legal_claims')
  await refusal.getByLabel('Reference').fill('DSR-2026-18')
  await refusal.getByRole('button').click()
  await list.getByText('nothing went').waitFor()
  expect(await seriousFaults(page)).toEqual([])
  await shoot(page, 'erasures')

  const range = 'from=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z'
  const reply = await other.get(`/api/v1/events?q=class:tool_call&${range}&limit=10`)
  const { rows } = SearchReply.parse(await reply.json())
  const erased = rows.find(({ event }) => event['user.id'] === undefined)
  expect(rows.filter(({ event }) => event['user.id'] === undefined)).toHaveLength(3)
  await page.goto(`${sealtrail.url}/explore?ev=${erased?.eventId}`)
  const notice = page.getByRole('region', { name: 'Erasure' })
  await notice.getByText(/Erased on \d{4}-/).waitFor()
  expect(await notice.textContent()).toMatch(/consent withdrawn.*reference DSR-2026-17/)
  expect(await seriousFaults(page)).toEqual([])
  await shoot(page, 'event-erased')
  await notice.getByRole('link', { name: /^Recorded as leaf/ }).click()
  await page.getByRole('row', { name: /erase/ }).first().waitFor()
  await shoot(page, 'event-erased-leaf')
  expect(complaints).toEqual([])

  const dark = await openPage('/login?next=/erasures', 'dark')
  await signIn(dark.page, 'petra')
  await dark.page.getByText('nothing went').waitFor()
  await dark.page.getByLabel('User id', { exact: true }).fill('bob-1')
  await dark.page.getByLabel('Issuer of the user id').fill('https://id.example')
  await dark.page.getByRole('button', { name: 'Show what would go' }).click()
  await dark.page.getByText('the sealed content of 1 event of log main').waitFor()
  expect(await seriousFaults(dark.page)).toEqual([])
  await shoot(dark.page, 'erasures-dark')
}, 120_000)

it('whoever may not erase sees no form, and whoever may not change sources no controls of them', async () => {
  await aUser(sealtrail, 'vito', 'viewer')
  await aUser(sealtrail, 'aude', 'auditor')
  const viewer = await openPage('/login?next=/erasures')
  await signIn(viewer.page, 'vito')
  await viewer.page.getByText('this needs the role auditor or admin').first().waitFor()
  expect(await viewer.page.getByRole('link', { name: 'Erasures' }).count()).toBe(0)
  await shoot(viewer.page, 'erasures-refused')
  const controls = /New source|Revoke|Rotate|Set quota|Use the built-in one/
  for (const path of ['/sources', '/sources/keys']) {
    await viewer.page.goto(sealtrail.url + path)
    await viewer.page.getByText('gateway').first().waitFor()
    expect(await viewer.page.getByRole('button', { name: controls }).count()).toBe(0)
    expect(await seriousFaults(viewer.page)).toEqual([])
    await shoot(viewer.page, `viewer${path.replaceAll('/', '-')}`)
  }
  const auditor = await openPage('/login?next=/erasures')
  await signIn(auditor.page, 'aude')
  await auditor.page.getByText('What was erased and refused').waitFor()
  expect(await auditor.page.getByRole('button', { name: /Show what|Record the/ }).count()).toBe(0)
  const admin = await openPage('/login?next=/sources/keys', 'dark')
  await signIn(admin.page, 'root')
  await admin.page.getByRole('button', { name: 'Rotate' }).first().click()
  expect(await seriousFaults(admin.page)).toEqual([])
  await shoot(admin.page, 'sources-keys-dark')
})

function fromBase32(text: string): Uint8Array {
  const bits = [...text]
    .map((letter) =>
      'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
    )
    .join('')
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2))
}
