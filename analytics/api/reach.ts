import { BlockList, isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'

/** How people and programs come to a listener over TCP. */
export interface Reach {
  /** What a Host header may name: lower case, without port, IPv6 in brackets. */
  readonly hosts: ReadonlySet<string>
  /** Where people are sent to, e.g. `https://audit.example`; absent: the address that it listens on. */
  readonly publicOrigin: string | undefined
  /** Whether an address is that of a proxy whose `X-Forwarded-*` is believed. */
  isTrustedProxy(address: string): boolean
  /** People come by https, to this process or to a proxy before it: cookies are Secure. */
  readonly https: boolean
}

/** What is asked of a request about the way that it came. */
export interface ArrivedRequest {
  readonly headers: FastifyRequest['headers']
  readonly socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: unknown }
}

/**
 * Whether a request comes from a program on this machine and was relayed by nobody. A proxy on this machine, named as
 * trusted or not, brings what comes from outside.
 */
export function isFromThisMachine({ headers, socket }: ArrivedRequest, reach: Reach): boolean {
  const { remoteAddress } = socket
  if (remoteAddress === undefined || !isLoopbackAddress(remoteAddress)) return false
  if (forwardingHeaders.some((name) => headers[name] !== undefined)) return false
  return !reach.isTrustedProxy(remoteAddress)
}

/**
 * Refuses plain HTTP that neither stayed on this machine nor came from a named proxy: what it carries was readable on
 * the way, and what follows would be.
 *
 * @throws SealtrailError `PERMISSION_DENIED`
 */
export function checkWay({ socket }: ArrivedRequest, reach: Reach): void {
  const { remoteAddress, encrypted } = socket
  if (encrypted === true || remoteAddress === undefined || isLoopbackAddress(remoteAddress)) return
  if (reach.isTrustedProxy(remoteAddress)) return
  throw new SealtrailError(
    'PERMISSION_DENIED',
    'plain HTTP is taken from this machine and from the named proxy only',
    {
      hint: 'Send to the https address of the proxy. If this is the proxy, name its address with SEALTRAIL_TRUSTED_PROXY.',
    },
  )
}

/** What proxies add to a request (RFC 7239, RFC 9110 section 7.6.3, and what came before). */
const forwardingHeaders = ['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip']

/** 127.0.0.0/8 and ::1, also as IPv4 mapped into IPv6. */
export function isLoopbackAddress(address: string): boolean {
  const plain = withoutMapping(address)
  return plain === '::1' || (isIP(plain) === 4 && plain.startsWith('127.'))
}

/**
 * Whether an address is one of those named, or in one of the CIDR blocks.
 *
 * @throws RangeError for a part that is neither
 */
export function addressMatcher(parts: readonly string[]): (address: string) => boolean {
  const blocks = new BlockList()
  for (const part of parts) {
    const [address = '', prefix, ...rest] = part.split('/')
    const family = isIP(address)
    const bits = family === 4 ? 32 : 128
    const length = prefix === undefined ? bits : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
    if (family === 0 || rest.length > 0 || length < 0 || length > bits) {
      throw new RangeError(
        `${JSON.stringify(part)} is neither an address nor a block like 10.0.0.0/8`,
      )
    }
    blocks.addSubnet(address, length, family === 4 ? 'ipv4' : 'ipv6')
  }
  return (address) => {
    const plain = withoutMapping(address)
    return blocks.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
  }
}

function withoutMapping(address: string): string {
  const mapped = address.toLowerCase().startsWith('::ffff:') ? address.slice(7) : ''
  return isIP(mapped) === 4 ? mapped : address
}
