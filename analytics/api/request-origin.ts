import type { FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'
import type { Reach } from './reach.ts'

/**
 * Refuses what a foreign web page could make a browser send.
 *
 * - DNS rebinding: the Host must be one that this process serves (loopback names, the
 *   address it listens on, and the public one).
 * - CSRF: whatever changes state needs `Sec-Fetch-Site: same-origin` or an exact Origin where a cookie or a browser's
 *   header comes along; each browser sends one of the two with it. Other programs send neither, and no cookie.
 * - Reading: a link from elsewhere may open a page, but what the API answers is on the record, so only our own pages and
 *   the address bar ask it. Another port of this machine is another site's.
 *
 * @throws SealtrailError `CROSS_ORIGIN_REFUSED`
 */
export function checkRequestOrigin(request: FastifyRequest, { hosts, publicOrigin }: Reach): void {
  const host = hostNameOf(request.host)
  if (host === undefined || !hosts.has(host)) {
    throw new SealtrailError(
      'CROSS_ORIGIN_REFUSED',
      'the Host header names no address of this server',
      {
        hint: `Use one of: ${[...hosts].join(', ')}; another name is set with SEALTRAIL_PUBLIC_URL.`,
      },
    )
  }
  // By the route, not by how its path was spelled: a router decodes `/%61pi`.
  const { url = request.url } = request.routeOptions
  const site = request.headers['sec-fetch-site']
  const origin = request.headers.origin
  const sameOrigin =
    site === 'same-origin' ||
    (origin !== undefined &&
      (origin === `${request.protocol}://${request.host}` || origin === publicOrigin))
  if (sameOrigin) return
  const fromBrowser = site !== undefined || origin !== undefined
  if (request.method === 'GET' || request.method === 'HEAD') {
    const page = request.headers['sec-fetch-mode'] === 'navigate' && !isApi(url)
    if (fromBrowser && site !== 'none' && !page) throw refused()
    return
  }
  if (fromBrowser || request.headers.cookie !== undefined) throw refused()
}

/** Where people reach this process: as configured, else as the browser did; its Host was checked before. */
export function originOf(
  { publicOrigin }: { readonly publicOrigin: string | undefined },
  request: FastifyRequest,
): string {
  return publicOrigin ?? `${request.protocol}://${request.host}`
}

/** What this process answers itself, from what is on the record. */
export function isApi(url: string): boolean {
  return url.startsWith('/api/') || url.startsWith('/tlog/')
}

function hostNameOf(header: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?$/i.exec(header)
  return match?.[1]?.toLowerCase()
}

function refused(): SealtrailError {
  return new SealtrailError('CROSS_ORIGIN_REFUSED', 'the request comes from another origin')
}
