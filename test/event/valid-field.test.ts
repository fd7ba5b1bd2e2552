import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type EventField,
  eventFieldNames,
  eventFields,
  type FieldSpec,
} from '../../schemas/event/fields.ts'
import { isValidField } from '../../schemas/event/valid-field.ts'

const scalar = eventFieldNames.filter((field) => eventFields[field].type !== 'json')

/** Lengths and numbers about the bounds that the catalogue uses, the shapes of ids, hashes and times, and other types. */
const text = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc
    .constantFrom(
      0,
      1,
      20,
      21,
      64,
      65,
      128,
      129,
      256,
      257,
      512,
      513,
      1024,
      1025,
      4096,
      4097,
      8192,
      8193,
    )
    .map((length) => 'x'.repeat(length)),
  fc.constantFrom('tool_call', 'success', 'mapped', 'collector', 'ab'.repeat(32), 'AB'.repeat(32)),
  fc.constantFrom('2026-11-25T10:00:00.000000000Z', '2026-13-25T10:00:00.000000000Z', '2026-11-25'),
  fc.uuid({ version: 7 }),
  fc.uuid({ version: 4 }),
)
const number = fc.oneof(
  fc.integer({ min: -2, max: 2 }),
  fc.double(),
  fc.constantFrom(2 ** 53, 2 ** 53 - 1),
)
const value = fc.oneof(
  text,
  number,
  fc.boolean(),
  fc.constantFrom(null, undefined, {}),
  fc.array(fc.oneof({ weight: 9, arbitrary: text }, { weight: 1, arbitrary: number }), {
    maxLength: 4,
  }),
  fc.constantFrom(32, 33, 64, 65, 256, 257).map((length) => Array.from({ length }, () => 'x')),
)

describe('a value of a field', () => {
  test.each(scalar)('%s is valid here exactly when it is valid to zod', (field: EventField) => {
    const { schema }: FieldSpec = eventFields[field]
    fc.assert(
      fc.property(value, (candidate) => {
        expect(isValidField(field, candidate)).toBe(schema.safeParse(candidate).success)
      }),
      { numRuns: 200 },
    )
  })

  test('every field of the catalogue is checked', () => {
    for (const field of eventFieldNames) expect(isValidField(field, undefined)).toBe(false)
  })
})
