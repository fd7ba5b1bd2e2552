import { describe, expect, test } from 'vitest'
import { newRecoveryCodes, recoveryDigest } from '../../ledger/control/recovery-codes.ts'
import { base32, totpCode, totpStepAt, totpStepOf, totpUri } from '../../ledger/control/totp.ts'

/** The secret of both RFCs. */
const secret = Buffer.from('12345678901234567890')

describe('one-time passwords', () => {
  test.each([
    [59, '94287082'],
    [1111111109, '07081804'],
    [1111111111, '14050471'],
    [1234567890, '89005924'],
    [2000000000, '69279037'],
    [20000000000, '65353130'],
  ])('are those of RFC 6238 appendix B at %d seconds', (seconds, code) => {
    expect(totpCode(secret, totpStepAt(seconds * 1000), 8)).toBe(code)
  })

  test('are those of RFC 4226 appendix D', () => {
    const codes = Array.from({ length: 10 }, (_, counter) => totpCode(secret, counter))
    expect(codes).toEqual(
      '755224 287082 359152 969429 338314 254676 287922 162583 399871 520489'.split(' '),
    )
  })

  test('are taken one step to either side of the clock, and no further', () => {
    const nowMs = 1_800_000_000_000
    const at = (steps: number) => totpCode(secret, totpStepAt(nowMs) + steps)
    expect([-2, -1, 0, 1, 2].map((steps) => totpStepOf(secret, at(steps), nowMs))).toEqual([
      undefined,
      ...[-1, 0, 1].map((steps) => totpStepAt(nowMs) + steps),
      undefined,
    ])
    expect(totpStepOf(secret, '', nowMs)).toBeUndefined()
  })

  test('base32 is that of RFC 4648 section 10, without padding', () => {
    const vectors = { f: 'MY', fo: 'MZXQ', foo: 'MZXW6', foob: 'MZXW6YQ', foobar: 'MZXW6YTBOI' }
    for (const [text, encoded] of Object.entries(vectors))
      expect(base32(Buffer.from(text))).toBe(encoded)
  })

  test('the address for the authenticator holds names as they are, whatever they hold', () => {
    const url = new URL(totpUri('Seal & trail', 'a?b=c@d', secret))
    expect(decodeURIComponent(url.pathname)).toContain('Seal & trail:a?b=c@d')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ',
      issuer: 'Seal & trail',
      algorithm: 'SHA1',
      digits: '6',
      period: '30',
    })
  })
})

test('recovery codes differ, and are known again however they are typed', () => {
  const codes = newRecoveryCodes((bytes) => crypto.getRandomValues(new Uint8Array(bytes)))
  expect(new Set(codes).size).toBe(10)
  const [code = ''] = codes
  expect(code).toMatch(/^([a-z2-7]{4}-){3}[a-z2-7]{4}$/)
  expect(recoveryDigest(` ${code.toUpperCase().replaceAll('-', ' ')}`)).toBe(recoveryDigest(code))
  expect(recoveryDigest('123456')).toBeUndefined()
})
