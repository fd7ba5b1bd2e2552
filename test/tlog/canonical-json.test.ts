import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { base64, fromBase64, fromHex, hex } from '../../schemas/bytes.ts'
import {
  canonicalJson,
  findDuplicateKey,
  type JsonValue,
} from '../../schemas/leaf/canonical-json.ts'

describe('RFC 8785 canonical JSON', () => {
  test('the sample of section 3.2.2', () => {
    const sample = {
      numbers: [Number('333333333.33333329'), 1e30, 4.5, 2e-3, 1e-27],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/',
      literals: [null, true, false],
    }
    expect(canonicalJson(sample)).toBe(
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
    )
  })

  test('keys sort by UTF-16 code units, as in section 3.2.3', () => {
    const object = {
      '\u20ac': 1,
      '\r': 2,
      '\ufb33': 3,
      '1': 4,
      '\u{1f600}': 5,
      '\u0080': 6,
      '\u00f6': 7,
    }
    expect(Object.keys(JSON.parse(canonicalJson(object)))).toHaveLength(7)
    expect(canonicalJson(object)).toBe(
      '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\u{1f600}":5,"\ufb33":3}',
    )
  })

  test.each([
    [0, '0'],
    [-0, '0'],
    [5e-324, '5e-324'],
    [-5e-324, '-5e-324'],
    [1.7976931348623157e308, '1.7976931348623157e+308'],
    [9007199254740992, '9007199254740992'],
    [295147905179352830000, '295147905179352830000'],
    [1e21, '1e+21'],
    [1e23, '1e+23'],
    [333333333.3333332, '333333333.3333332'],
    [-0.0000033333333333333333, '-0.0000033333333333333333'],
  ])('the number %d of appendix B', (number, text) => {
    expect(canonicalJson(number)).toBe(text)
  })

  test('what has no canonical form is refused', () => {
    for (const value of ['\ud800', Number.NaN, Number.POSITIVE_INFINITY])
      expect(() => canonicalJson(value)).toThrow()
    let deep: JsonValue = 1
    for (let i = 0; i < 65; i++) deep = [deep]
    expect(() => canonicalJson(deep)).toThrow(/nesting/)
    const dated: unknown = { at: new Date() }
    expect(() => canonicalJson(dated as JsonValue)).toThrow()
  })

  test('parsing and writing again changes nothing, and __proto__ is a key like any other', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = canonicalJson(value as JsonValue)
        expect(canonicalJson(JSON.parse(text))).toBe(text)
        expect(findDuplicateKey(text)).toBeUndefined()
      }),
    )
    expect(canonicalJson(JSON.parse('{"b":1,"__proto__":2}'))).toBe('{"__proto__":2,"b":1}')
  })

  test('any value is written as section 3.2 says, in whatever order its keys were set', () => {
    const key = fc.oneof(
      fc.string({ maxLength: 3 }),
      fc.nat(20).map(String),
      fc.constantFrom(
        '__proto__',
        'constructor',
        'toJSON',
        '\\ud800',
        '01',
        '-1',
        'é',
        '\u{1f600}',
      ),
    )
    const tree = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(
          key,
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          fc.boolean(),
          fc.constant(null),
        ),
        fc.array(tie('value'), { maxLength: 4 }),
        fc
          .array(fc.tuple(key, tie('value')), { maxLength: 6 })
          .map((entries) =>
            JSON.parse(
              `{${entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join()}}`,
            ),
          ),
      ),
    })).value
    fc.assert(
      fc.property(tree, (value) => {
        expect(canonicalJson(value as JsonValue)).toBe(reference(value))
      }),
      { numRuns: 500 },
    )
  })

  test('duplicate keys are found at any depth, also when escaped', () => {
    expect(findDuplicateKey('{"a":1,"b":{"c":[{"d":1,"d":2}]}}')).toBe('d')
    expect(findDuplicateKey('{"a":1,"\\u0061":2}')).toBe('a')
    expect(findDuplicateKey('{"a":"a","b":{"a":1},"c":["a","a"]}')).toBeUndefined()
  })

  test('hex and base64 refuse what they would not write', () => {
    expect(hex(fromHex('00ff10'))).toBe('00ff10')
    for (const text of ['0', 'FF', 'zz']) expect(() => fromHex(text)).toThrow()
    expect(base64(fromBase64('AAE='))).toBe('AAE=')
    for (const text of ['AAE', 'AAF=', 'A A=', 'AA-_']) expect(() => fromBase64(text)).toThrow()
  })
})

/** RFC 8785 section 3.2, one construct after the other. */
function reference(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(reference).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${reference(item)}`).join(',')}}`
}
