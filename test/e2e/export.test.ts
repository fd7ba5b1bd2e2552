import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { ExportProgress } from '../../schemas/api/exports.ts'
import { CertificateAuthority } from '../fixtures/certificate-authority.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'
import { verifyBundle } from '../reports/bundle-verifier.ts'
import { launchBrowser, seriousFaults, watchedPage } from './browser.ts'
import { buildPages } from './next-server.ts'

/** A whole Sealtrail over TLS, as people reach it, and its dashboard in a browser. */
const run = promisify(execFile)
const password = 'correct horse battery staple'
let folder: string
let sealtrail: RunningSealtrail
let browser: Browser
let url: string

beforeAll(async () => {
  await buildPages()
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-e2e-export-'))
  writeFileSync(join(folder, 'password'), password)
  const authority = await CertificateAuthority.create()
  const files = await authority.issueFiles(folder, 'server', { commonName: 'localhost' })
  const environment = {
    SEALTRAIL_TLS_CERT_FILE: files.certFile,
    SEALTRAIL_TLS_KEY_FILE: files.keyFile,
    SEALTRAIL_ADMIN_NAME: 'ana',
    SEALTRAIL_ADMIN_PASSWORD_FILE: join(folder, 'password'),
  }
  sealtrail = await RunningSealtrail.start(undefined, environment, { web: true })
  url = `https://localhost:${sealtrail.port}`
  const key = await sealtrail.key('gateway')
  const events = Array.from({ length: 40 }, (_, n) => ({
    'event.class': 'tool_call',
    'gen_ai.tool.name': n % 2 === 0 ? 'read_file' : 'write_file',
    'gen_ai.tool.call.arguments': { path: `/srv/${n}` },
  }))
  await run('curl', [
    ...['-sSf', '--cacert', authority.writeFile(folder), `${url}/v1/events`],
    ...['-H', `authorization: Bearer ${key}`, '-H', 'content-type: application/json'],
    ...['-d', JSON.stringify(events)],
  ])
  browser = await launchBrowser()
})
afterAll(async () => {
  await browser?.close()
  await sealtrail?.end()
  rmSync(folder, { recursive: true, force: true })
})

async function open(
  path: string,
): Promise<{ page: Page; complaints: string[]; context: BrowserContext }> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    ignoreHTTPSErrors: true,
  })
  onTestFinished(() => context.close())
  const { page, complaints } = await watchedPage(context)
  page.setDefaultTimeout(20_000)
  await page.goto(`${url}/login?next=${encodeURIComponent(path)}`)
  await page.getByLabel('Name').fill('ana')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.waitForURL((at) => at.pathname + at.search === path)
  return { page, complaints, context }
}

it('a view becomes one archive that unpacks anywhere and verifies with its own verifier', async () => {
  const { page, complaints } = await open('/explore?q=tool%3Aread_file')
  await page.getByRole('button', { name: 'Export this view as evidence' }).click()
  const dialog = page.getByRole('dialog', { name: 'Export this view as evidence' })
  await dialog.getByText('(tool:read_file) class:tool_call', { exact: true }).waitFor()
  const downloading = page.waitForEvent('download')
  await dialog.getByRole('button', { name: 'Make the archive' }).click()
  const download = await downloading
  const name = download.suggestedFilename()
  expect(name).toMatch(/^sealtrail-main-\d{4}-\d\d-\d\dT\d{6}Z-to-\d{4}-\d\d-\d\dT\d{6}Z\.zip$/)
  await dialog.getByText(/^20 rows, on the record as leaf \d+\.$/).waitFor()
  expect(await seriousFaults(page)).toEqual([])
  expect(complaints).toEqual([])
  const archive = join(folder, name)
  await download.saveAs(archive)
  const title = name.replace(/\.zip$/, '')
  const { stdout: vkey } = await sealtrail.command(['vkey'])
  for (const [into, unpack] of [
    ['unzip', () => run('unzip', ['-q', archive, '-d', join(folder, 'unzip')])],
    ['python', () => run('python3', ['-m', 'zipfile', '-e', archive, join(folder, 'python')])],
  ] as const) {
    await unpack()
    expect(readdirSync(join(folder, into))).toEqual([title])
    const verdict = verifyBundle(join(folder, into, title), vkey.trim())
    expect([into, verdict]).toEqual([into, { code: 0, said: expect.stringContaining('20 rows') }])
  }
  // It was sent whole, so it is gone from the server.
  const again = await page.request.get(await hrefOf(page, /fetch it again/))
  expect(again.status()).toBe(404)
})

it('a view without rows says so; an archive is for who asked, and for once', async () => {
  const { page } = await open('/explore?q=tool%3Anothing_like_this')
  await page.getByRole('button', { name: 'Export this view as evidence' }).click()
  const downloading = page.waitForEvent('download')
  await page.getByRole('button', { name: 'Make the archive' }).click()
  await page.getByText('No row matched. That, too, is what the archive proves.').waitFor()
  await downloading

  const ask = await page.request.post(`${url}/api/v1/exports`, {
    headers: { origin: url },
    data: { q: '', from: '2020-01-01T00:00:00Z', until: '2100-01-01T00:00:00Z' },
  })
  const made = ExportProgress.parse(JSON.parse((await ask.text()).trim().split('\n').at(-1) ?? ''))
  if (made.kind !== 'result') throw new Error('no archive was made')
  const href = `${url}/api/v1/exports/${made.id}/archive.zip`
  const other = await browser.newContext({ ignoreHTTPSErrors: true })
  onTestFinished(() => other.close())
  expect((await other.request.get(href)).status()).toBe(401)
  expect((await page.request.head(href)).status()).toBe(404)
  const own = await page.request.get(href)
  expect([own.status(), own.headers()['content-type']]).toEqual([200, 'application/zip'])
  expect((await page.request.get(href)).status()).toBe(404)
})

it('a refusal is said where it was asked, with a way to try again', async () => {
  const { page } = await open('/explore')
  await page.route(/\/api\/v1\/exports$/, (route) =>
    route.fulfill({
      status: 429,
      contentType: 'application/problem+json',
      body: JSON.stringify({
        type: 'urn:sealtrail:error:RATE_LIMITED',
        title: 'Too many requests',
        status: 429,
        detail: '2 exports and verifications are running',
        code: 'RATE_LIMITED',
        hint: 'Wait until one of them is finished.',
      }),
    }),
  )
  await page.getByRole('button', { name: 'Export this view as evidence' }).click()
  await page.getByRole('button', { name: 'Make the archive' }).click()
  const alert = page.getByRole('dialog').getByRole('alert')
  await alert.getByText('2 exports and verifications are running').waitFor()
  await page.unroute(/\/api\/v1\/exports$/)
  const downloading = page.waitForEvent('download')
  await alert.getByRole('button', { name: 'Try again' }).click()
  await downloading
})

async function hrefOf(page: Page, name: RegExp): Promise<string> {
  const href = await page.getByRole('link', { name }).getAttribute('href')
  return new URL(href ?? '', url).href
}
