import { describe, expect, test } from 'vitest'
import {
  type ArrivedRequest,
  addressMatcher,
  checkWay,
  isFromThisMachine,
  type Reach,
} from '../../analytics/api/reach.ts'

const reach: Reach = {
  hosts: new Set(['localhost']),
  publicOrigin: undefined,
  isTrustedProxy: addressMatcher(['127.0.0.2', '10.0.0.0/24']),
  https: true,
}

const from = (
  remoteAddress: string,
  headers: ArrivedRequest['headers'] = {},
  encrypted?: true,
): ArrivedRequest => ({ headers, socket: { remoteAddress, encrypted } })

describe('whether a request comes from this machine', () => {
  test.each(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1'])('%s does', (address) => {
    expect(isFromThisMachine(from(address), reach)).toBe(true)
  })

  test.each([
    '192.168.1.2',
    '10.0.0.1',
    '::ffff:192.168.1.2',
    'fe80::1',
    '127.0.0.2',
    '::ffff:127.0.0.2',
    '',
  ])('%s does not: it is another one, or the proxy', (address) => {
    expect(isFromThisMachine(from(address), reach)).toBe(false)
  })

  test.each(['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'])(
    'what carries %s was relayed, by a proxy that nobody named',
    (header) => {
      expect(isFromThisMachine(from('127.0.0.1', { [header]: '127.0.0.1' }), reach)).toBe(false)
    },
  )
})

describe('the way that a request came', () => {
  test.each([
    ['from this machine', from('127.0.0.1')],
    ['from the proxy', from('10.0.0.7')],
    ['encrypted from anywhere', from('203.0.113.1', {}, true)],
  ])('%s is well', (_name, request) => {
    expect(() => checkWay(request, reach)).not.toThrow()
  })

  test.each([
    ['in the clear from another machine', from('203.0.113.1')],
    ['from beside the proxy', from('10.0.1.7')],
    ['and says that it was forwarded', from('203.0.113.1', { 'x-forwarded-for': '127.0.0.1' })],
  ])('%s is refused', (_name, request) => {
    expect(() => checkWay(request, reach)).toThrow(
      expect.objectContaining({ code: 'PERMISSION_DENIED' }),
    )
  })
})
