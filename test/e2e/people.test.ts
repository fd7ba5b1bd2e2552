import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { totpCode, totpStepAt } from '../../ledger/control/totp.ts'
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

function fromBase32(text: string): Uint8Array {
  const bits = [...text]
    .map((letter) =>
      'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
    )
    .join('')
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2))
}
