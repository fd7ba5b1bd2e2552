import type { FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'

/**
 * Refuses what a foreign web page could make a browser send.
 *
 * - DNS rebinding: the Host must be one that this process serves (loopback names while it listens on loopback).
 * - CSRF: whatever changes state needs `Sec-Fetch-Site: same-origin` or an exact Origin, and a JSON body.
 *
 * @throws SealtrailError `CROSS_ORIGIN_REFUSED`
 */
export function checkRequestOrigin(
  request: FastifyRequest,
  allowedHosts: ReadonlySet<string>,
): void {
  const host = hostNameOf(request.headers.host)
  if (host === undefined || !allowedHosts.has(host)) {
    throw new SealtrailError(
      'CROSS_ORIGIN_REFUSED',
      'the Host header names no address of this server',
      {
        hint: `Use one of: ${[...allowedHosts].join(', ')}.`,
      },
    )
  }
  const site = request.headers['sec-fetch-site']
  const origin = request.headers.origin
  const sameOrigin =
    site === 'same-origin' || (origin !== undefined && origin === `http://${request.headers.host}`)
  const fromBrowser = site !== undefined || origin !== undefined
  if (request.method === 'GET' || request.method === 'HEAD') {
    // Navigations from elsewhere (links) are fine; API reads by another site's scripts are not.
    const mode = request.headers['sec-fetch-mode']
    if (fromBrowser && site === 'cross-site' && mode !== 'navigate') throw refused()
    return
  }
  if (fromBrowser && !sameOrigin) throw refused()
}

function hostNameOf(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::\d{1,5})?$/i.exec(header)
  return match?.[1]?.toLowerCase()
}

function refused(): SealtrailError {
  return new SealtrailError('CROSS_ORIGIN_REFUSED', 'the request comes from another origin')
}
