import { hkdfSync } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  chainKeyOf,
  formatSourceSecret,
  parseSourceSecret,
  sourceIdOfKey,
  sourceKeyOf,
  spoolKeyOf,
} from '../../schemas/source-key.ts'

const aSecret = fc.record({
  id: fc.stringMatching(/^[a-z0-9]{4,32}$/),
  secret: fc.uint8Array({ minLength: 32, maxLength: 32 }),
})

describe('secrets of sources', () => {
  test('what is formatted is parsed back, and its key names its source', () => {
    fc.assert(
      fc.property(aSecret, (secret) => {
        expect(parseSourceSecret(formatSourceSecret(secret))).toEqual(secret)
        expect(sourceIdOfKey(sourceKeyOf(secret))).toBe(secret.id)
      }),
    )
  })

  test('no secret has a second spelling', () => {
    fc.assert(
      fc.property(
        aSecret,
        fc.nat(60),
        fc.string({ minLength: 1, maxLength: 2 }),
        (secret, at, put) => {
          const text = formatSourceSecret(secret)
          const changed = text.slice(0, at) + put + text.slice(at + 1)
          const parsed = parseSourceSecret(changed)
          if (parsed !== undefined) expect(formatSourceSecret(parsed)).toBe(changed)
        },
      ),
      { numRuns: 500 },
    )
    // 43 characters hold 258 bits: the last two must be zero.
    const text = formatSourceSecret({ id: 'front', secret: new Uint8Array(32) })
    expect(parseSourceSecret(`${text.slice(0, -1)}B`)).toBeUndefined()
    for (const tail of ['\n', ' ', '=']) expect(parseSourceSecret(text + tail)).toBeUndefined()
  })

  test('keys are those that HKDF of Node derives, and each purpose has its own', () => {
    fc.assert(
      fc.property(aSecret, (secret) => {
        const derived = (info: string) =>
          Buffer.from(hkdfSync('sha256', secret.secret, new Uint8Array(0), info, 32))
        const auth = derived('sealtrail/source-auth/v1')
        expect(sourceKeyOf(secret)).toBe(`stk_${secret.id}_${auth.toString('base64url')}`)
        expect(Buffer.from(chainKeyOf(secret))).toEqual(derived('sealtrail/source-chain/v1'))
        expect(Buffer.from(spoolKeyOf(secret))).toEqual(derived('sealtrail/source-spool/v1'))
      }),
    )
  })
})
