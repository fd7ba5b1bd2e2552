import axe from 'axe-core'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

const executablePath = process.env['SEALTRAIL_CHROMIUM'] ?? '/usr/bin/chromium'

/** Chromium without a sandbox of its own (containers) and without any traffic of its own. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** A page that collects everything a browser complains about: console, exceptions, policy violations. */
export async function watchedPage(context: BrowserContext): Promise<{
  page: Page
  complaints: string[]
}> {
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !isExpected(message.text())) {
      complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`)
    }
  })
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`))
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  const session = await context.newCDPSession(page)
  await session.send('Audits.enable')
  session.on('Audits.issueAdded', ({ issue }) => {
    if (issue.code === 'ContentSecurityPolicyIssue') {
      const details = issue.details.contentSecurityPolicyIssueDetails
      complaints.push(`policy: ${details?.violatedDirective} ${details?.blockedURL ?? ''}`)
    }
  })
  return { page, complaints }
}

/** A 401 of the first look at a page without a session is logged by the browser and is no fault. */
function isExpected(text: string): boolean {
  return text.includes('status of 401')
}

/**
 * Evaluates in the page over the debugging protocol: the page's own policy forbids what `page.evaluate` does.
 */
export async function evaluate(page: Page, expression: string): Promise<unknown> {
  const session = await page.context().newCDPSession(page)
  try {
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      allowUnsafeEvalBlockedByCSP: true,
    })
    if (exceptionDetails !== undefined) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    }
    return result.value
  } finally {
    await session.detach()
  }
}

/** What axe-core finds serious or critical, one line each. */
export async function seriousFaults(page: Page): Promise<string[]> {
  await evaluate(page, `${axe.source};0`)
  const lines = await evaluate(
    page,
    `axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }).then((result) =>
      result.violations
        .filter((each) => each.impact === 'serious' || each.impact === 'critical')
        .flatMap((each) => each.nodes.slice(0, 5).map((node) => each.id + ' ' + node.target.join(' ') + ' ' + (node.any[0]?.message ?? ''))))`,
  )
  return Array.isArray(lines) ? lines.map(String) : ['axe gave no answer']
}
