import fc from 'fast-check'
import { expect, test } from 'vitest'
import { jsonBytes } from '../../ingest/receivers/json-bytes.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'

test('the size of any value is that of its JSON text', () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 5 }),
    fc.string({ unit: 'binary' }),
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom('"', '\\', '\u0000', '\u001f', '\u007f', '\ud800', 'é', '\u{1f600}', '\u2028'),
  )
  fc.assert(
    fc.property(fc.array(value, { maxLength: 3 }), (list) => {
      const json = list as JsonValue
      expect(jsonBytes(json)).toBe(Buffer.byteLength(JSON.stringify(json)))
    }),
    { numRuns: 2000 },
  )
  const sparse = { a: 1, b: undefined, c: [null, true] } as unknown as JsonValue
  expect(jsonBytes(sparse)).toBe(JSON.stringify(sparse).length)
})
