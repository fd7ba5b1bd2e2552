import { isIP } from 'node:net'
import { addressMatcher, isLoopbackAddress, type Reach } from '../analytics/api/reach.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { CertificateFiles } from './certificate-files.ts'

/** Settings that say who can come to the listeners, as they were given. */
export interface ReachSettings {
  readonly host: string
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
  readonly clientCaFile: string | undefined
  /** Addresses and CIDR blocks, with commas between. */
  readonly trustedProxy: string | undefined
  readonly publicUrl: string | undefined
}

export interface NetworkReach {
  readonly tls: CertificateFiles | undefined
  readonly reach: Reach
  readonly exposed: boolean
}

/**
 * Decides who can come, and refuses what would let passwords, keys or records cross a network in the clear: beyond
 * loopback there is TLS here, or a proxy that is named and has it.
 *
 * @throws SealtrailError `CONFIG_INVALID` for a setting that is malformed or lacks its other half, `LISTEN_REFUSED`
 */
export function readReach(settings: ReachSettings): NetworkReach {
  const { host } = settings
  const tls = readTls(settings)
  const trustedProxies = readTrustedProxies(settings.trustedProxy)
  const isTrustedProxy = proxyMatcher(trustedProxies)
  const publicUrl = readPublicUrl(settings.publicUrl)
  const wide = !isLoopback(host)
  if (wide && tls === undefined && trustedProxies.length === 0) {
    throw new SealtrailError(
      'LISTEN_REFUSED',
      `SEALTRAIL_HOST: ${host} is not a loopback address, and nothing would encrypt what comes there`,
      {
        hint: 'Give it a certificate (SEALTRAIL_TLS_CERT_FILE, SEALTRAIL_TLS_KEY_FILE), or name the proxy that has one (SEALTRAIL_TRUSTED_PROXY). See docs/tls.md.',
      },
    )
  }
  if (isWildcard(host) && publicUrl === undefined) {
    throw new SealtrailError(
      'LISTEN_REFUSED',
      `SEALTRAIL_HOST: ${host} is every address, and no name of this server is known`,
      {
        hint: 'Say how people reach it, e.g. SEALTRAIL_PUBLIC_URL=https://audit.example: pages are served under that name only.',
      },
    )
  }
  const secured = tls !== undefined || trustedProxies.length > 0
  if (publicUrl !== undefined && !isLoopback(publicUrl.hostname)) {
    if (!wide && trustedProxies.length === 0) {
      throw invalid(
        `SEALTRAIL_PUBLIC_URL: ${publicUrl.hostname} is not this machine, but only this machine reaches ${host}`,
        'Name the proxy before it (SEALTRAIL_TRUSTED_PROXY=127.0.0.1), or listen wider (SEALTRAIL_HOST).',
      )
    }
    if (publicUrl.protocol !== 'https:') {
      throw invalid(
        'SEALTRAIL_PUBLIC_URL: must begin with https://',
        'Passwords and sessions do not cross a network in the clear.',
      )
    }
  }
  if (publicUrl?.protocol === 'https:' && !secured) {
    throw invalid(
      'SEALTRAIL_PUBLIC_URL: is https, but nothing here speaks TLS',
      'Set SEALTRAIL_TLS_CERT_FILE and SEALTRAIL_TLS_KEY_FILE, or name the proxy that does with SEALTRAIL_TRUSTED_PROXY.',
    )
  }
  const hosts = new Set(['localhost', '127.0.0.1', '[::1]'])
  if (!isWildcard(host)) hosts.add(hostHeaderOf(host))
  if (publicUrl !== undefined) hosts.add(publicUrl.hostname)
  return {
    tls,
    exposed: wide || trustedProxies.length > 0,
    reach: {
      hosts,
      publicOrigin: publicUrl?.origin,
      isTrustedProxy,
      https: tls !== undefined || publicUrl?.protocol === 'https:',
    },
  }
}

/** An address as it stands in a URL and a Host header. */
export function hostHeaderOf(host: string): string {
  return isIP(host) === 6 ? `[${host.toLowerCase()}]` : host.toLowerCase()
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || isLoopbackAddress(host.replace(/^\[(.*)\]$/, '$1'))
}

function readTls({ certFile, keyFile, clientCaFile }: ReachSettings): CertificateFiles | undefined {
  if (certFile !== undefined && keyFile !== undefined) {
    return { certFile, keyFile, caFile: clientCaFile }
  }
  if (certFile !== undefined || keyFile !== undefined) {
    throw invalid('SEALTRAIL_TLS_CERT_FILE and SEALTRAIL_TLS_KEY_FILE go together')
  }
  if (clientCaFile !== undefined) {
    throw invalid(
      'SEALTRAIL_TLS_CLIENT_CA_FILE needs SEALTRAIL_TLS_CERT_FILE and SEALTRAIL_TLS_KEY_FILE',
      'Clients show a certificate only where the server has one.',
    )
  }
  return undefined
}

function readTrustedProxies(text = ''): string[] {
  const parts = text.split(',').map((part) => part.trim())
  return parts.filter((part) => part !== '')
}

function proxyMatcher(parts: readonly string[]): (address: string) => boolean {
  if (parts.some((part) => part.endsWith('/0'))) {
    throw invalid(
      'SEALTRAIL_TRUSTED_PROXY: /0 is everybody',
      'Name the addresses of the proxy only: whoever is in the block can claim any client address.',
    )
  }
  try {
    return addressMatcher(parts)
  } catch (error) {
    throw invalid(`SEALTRAIL_TRUSTED_PROXY: ${error instanceof Error ? error.message : error}`)
  }
}

function readPublicUrl(text: string | undefined): URL | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const plain =
    url !== undefined &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.pathname === '/' &&
    url.search === '' &&
    url.hash === '' &&
    url.username === '' &&
    url.password === ''
  if (plain) return url
  throw invalid(
    `SEALTRAIL_PUBLIC_URL: ${JSON.stringify(text)} is not the address of a server`,
    'Give scheme and name, and the port where it is not 443, e.g. https://audit.example. The dashboard has no path before it.',
  )
}

function invalid(message: string, hint = 'See sealtrail up --help.'): SealtrailError {
  return new SealtrailError('CONFIG_INVALID', message, { hint })
}
