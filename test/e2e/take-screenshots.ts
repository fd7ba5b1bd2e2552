import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { evaluate, launchBrowser, watchedPage } from './browser.ts'
import { fixtureAccount, fixtureSetupToken, startFixtureApi } from './fixture-api.ts'
import { buildPages, startPages } from './next-server.ts'

/** `tsx test/e2e/take-screenshots.ts <directory> [name part]`: every screen over fixed data, to be looked at. */
const [directory = 'screenshots', only = ''] = process.argv.slice(2)
await mkdir(directory, { recursive: true })
await buildPages()
const pages = await startPages()
const api = await startFixtureApi({ nextUrl: pages.url })
const emptyApi = await startFixtureApi({ nextUrl: pages.url, empty: true })
const browser = await launchBrowser()
const { named } = api.ledger
const findings = api.ledger.events.filter((each) => each.event['event.class'] === 'finding')
const finding = (at: number) => `/findings/${findings[at]?.event['finding.id']}`
const verified = api.ledger.events.at(-14)?.event['event.id']
const screens: Record<string, string> = {
  explore: '/explore',
  'explore-verified': `/explore?ev=${verified}`,
  'explore-arguments': `/explore?ev=${verified}&tab=arguments`,
  'explore-definition': `/explore?q=tool%3Aread_file&ev=${named.alteredRow}&tab=definition`,
  'explore-proof': `/explore?ev=${verified}&tab=proof`,
  'explore-altered-row': `/explore?ev=${named.alteredRow}&tab=proof`,
  'explore-altered-overview': `/explore?ev=${named.alteredRow}`,
  'explore-altered-leaf': `/explore?ev=${named.alteredLeaf}`,
  'explore-erased': `/explore?ev=${named.erased}`,
  'explore-pending': `/explore?ev=${named.pending}&tab=proof`,
  'explore-hostile': `/explore?q=path&ev=${named.hostile}&tab=arguments`,
  'explore-events': '/explore?view=events&t=1h',
  'explore-no-match': '/explore?q=tool%3Anothing_like_this%20outcome%3Adenied&t=1h',
  'explore-bad-query': '/explore?q=tool%3Aread_file%20tol%3Ax',
  findings: '/findings',
  'finding-share': finding(0),
  'finding-series': finding(1),
  'finding-argument': finding(2),
  'finding-drawer': `${finding(2)}?ev=${named.alteredRow}`,
  integrity: '/integrity',
  sources: '/sources',
  'sources-silent': '/sources/src-tap',
  'sources-never': '/sources/src-laptops',
  'sources-none': '/sources/none',
  'sources-redaction': '/sources/redaction',
}
try {
  for (const width of [1440, 1024]) {
    for (const colorScheme of ['light', 'dark'] as const) {
      const context = await browser.newContext({
        viewport: { width, height: width === 1440 ? 900 : 768 },
        colorScheme,
      })
      const { page, complaints } = await watchedPage(context)
      const shoot = async (name: string) => {
        if (!name.includes(only)) return
        await page.waitForTimeout(700)
        await page.screenshot({ path: join(directory, `${name}-${colorScheme}-${width}.png`) })
      }
      await page.goto(`${api.url}/login`)
      await shoot('login')
      await page.goto(`${api.url}/setup?token=${fixtureSetupToken}`)
      await shoot('setup')
      await evaluate(
        page,
        `fetch('/api/v1/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: ${JSON.stringify(JSON.stringify(fixtureAccount))} }).then((reply) => reply.status)`,
      )
      for (const [name, path] of Object.entries(screens)) {
        if (!name.includes(only)) continue
        await page.goto(api.url + path)
        await page.waitForLoadState('networkidle').catch(() => undefined)
        await shoot(name)
      }
      if ('first-run'.includes(only)) {
        await page.goto(`${emptyApi.url}/login`)
        await evaluate(
          page,
          `fetch('/api/v1/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: ${JSON.stringify(JSON.stringify(fixtureAccount))} }).then((reply) => reply.status)`,
        )
        await page.goto(`${emptyApi.url}/explore`)
        await shoot('first-run')
      }
      for (const complaint of complaints)
        process.stdout.write(`${colorScheme} ${width} ${complaint}\n`)
      await context.close()
    }
  }
} finally {
  await browser.close()
  await api.close()
  await emptyApi.close()
  await pages.close()
}
