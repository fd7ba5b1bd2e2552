import { headers } from 'next/headers'
import type { ReactNode } from 'react'
import './globals.css'
import { Providers } from '../components/providers.tsx'

export const metadata = {
  title: 'Sealtrail',
  description: 'Audit trail and SIEM for MCP tool calls',
}

/**
 * Before anything else runs: the theme, and the one Trusted Types policy. Chunks are loaded by URL, so it passes
 * same-origin script URLs of this build and nothing else, least of all markup. zod is told not to probe for `eval`:
 * the policy would report the attempt.
 */
const bootScript = `
globalThis.__zod_globalConfig = { jitless: true }
try { var t = localStorage.getItem('theme'); document.documentElement.dataset.theme = t === 'light' || t === 'dark' ? t : matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light' } catch (e) {}
if (window.trustedTypes) trustedTypes.createPolicy('default', { createScriptURL: function (url) { var u = new URL(url, location.href); if (u.origin === location.origin && u.pathname.indexOf('/_next/static/') === 0) return url; throw new TypeError('refused script URL') } })
`

export default async function RootLayout({ children }: { children: ReactNode }) {
  // Reading the headers makes every page dynamic: a prerendered page would carry no nonce.
  const nonce = (await headers()).get('x-nonce') ?? ''
  return (
    <html lang="en" suppressHydrationWarning>
      <head>
        <script
          nonce={nonce}
          // biome-ignore lint/security/noDangerouslySetInnerHtml: a constant of this file, under the page's nonce
          dangerouslySetInnerHTML={{ __html: bootScript }}
          suppressHydrationWarning
        />
      </head>
      <body>
        <a
          href="#main"
          className="sr-only focus:not-sr-only focus:absolute focus:z-50 focus:m-2 focus:rounded focus:bg-panel focus:px-3 focus:py-2"
        >
          Skip to content
        </a>
        <Providers>{children}</Providers>
      </body>
    </html>
  )
}
