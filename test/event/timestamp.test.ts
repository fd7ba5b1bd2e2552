import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  isTimestamp,
  normaliseTimestamp,
  timestampFromMs,
  timestampFromUnixNano,
  timestampToMs,
} from '../../schemas/event/timestamp.ts'

describe('canonical timestamps', () => {
  test('any Unix time in milliseconds gives a canonical one, with every fraction of a float', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 9.2e12, noNaN: true }), (ms) => {
        const timestamp = timestampFromMs(ms)
        expect(isTimestamp(timestamp)).toBe(true)
        expect(Math.abs(timestampToMs(timestamp) - ms)).toBeLessThan(0.01)
      }),
      { numRuns: 5000 },
    )
    expect(isTimestamp(timestampFromMs(1795532061395.9998))).toBe(true)
  })

  test('offsets and fractions are brought to UTC with nine digits', () => {
    expect(normaliseTimestamp('2026-11-24T15:00:00.5+02:00')).toBe('2026-11-24T13:00:00.500000000Z')
    expect(normaliseTimestamp('2026-11-24t13:00:00.1234567891z')).toBe(
      '2026-11-24T13:00:00.123456789Z',
    )
    expect(timestampFromUnixNano('1785600000000000001')).toBe('2026-08-01T16:00:00.000000001Z')
  })

  test('every day of the calendar is one, and no other', () => {
    for (const year of [1970, 1999, 2000, 2024, 2025, 2026, 2100, 2200]) {
      for (let month = 0; month <= 13; month++) {
        for (let day = 0; day <= 32; day++) {
          const date = `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`
          const real = new Date(Date.UTC(year, month - 1, day)).toISOString().slice(0, 10) === date
          expect(isTimestamp(`${date}T23:59:59.000000000Z`), date).toBe(real)
          expect(normaliseTimestamp(`${date}T00:00:60Z`) !== undefined, date).toBe(real)
        }
      }
    }
  })

  test.each([
    '',
    '2026-11-24T24:00:00Z',
    '2026-11-24T23:60:00Z',
    '2026-02-30T00:00:00Z',
    '2026-11-24',
    '2026-13-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '2300-01-01T00:00:00Z',
    '2026-11-24T13:00:00',
    'now',
  ])('%j is none', (text) => {
    expect(normaliseTimestamp(text)).toBeUndefined()
  })

  test.each(['-1', '99999999999999999999', 'x', '1.5'])(
    '%j is no Unix time in nanoseconds',
    (text) => {
      expect(timestampFromUnixNano(text)).toBeUndefined()
    },
  )
})
