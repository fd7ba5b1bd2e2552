import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { upperTail } from '../../analytics/detectors/negative-binomial.ts'

/** Sum of all terms up to x, one by one: exact where the probability of zero does not underflow. */
function summed(x: number, mean: number, variance: number): number {
  const size = mean ** 2 / (variance - mean)
  const q = mean / (mean + size)
  let term = (1 - q) ** size
  let below = 0
  for (let k = 0; k < x; k++) {
    below += term
    term *= ((size + k) / (k + 1)) * q
  }
  return 1 - below
}

describe('the tail of the negative binomial', () => {
  test('is the sum of its terms', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.double({ min: 0.05, max: 60, noNaN: true }),
        fc.double({ min: 1.1, max: 8, noNaN: true }),
        (x, mean, dispersion) => {
          const expected = summed(x, mean, mean * dispersion)
          expect(upperTail(x, mean, mean * dispersion)).toBeCloseTo(expected, 8)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('is the tail of Poisson where the variance does not exceed the mean', () => {
    // 1 - exp(-2) (1 + 2 + 2)
    expect(upperTail(3, 2, 2)).toBeCloseTo(1 - Math.exp(-2) * 5, 10)
  })

  test('is small for a burst on a dense series, where the probability of zero underflows', () => {
    for (const variance of [800, 900, 5000]) {
      expect(upperTail(5000, 800, variance)).toBeLessThan(1e-12)
      expect(upperTail(800, 800, variance)).toBeGreaterThan(0.4)
      expect(upperTail(800, 800, variance)).toBeLessThan(0.6)
      expect(upperTail(400, 800, variance)).toBeGreaterThan(0.99)
    }
  })

  test('never grows with the count', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 3000, noNaN: true }),
        fc.double({ min: 0.5, max: 50, noNaN: true }),
        fc.integer({ min: 0, max: 5000 }),
        (mean, dispersion, x) => {
          const here = upperTail(x, mean, mean * dispersion)
          expect(here).toBeGreaterThanOrEqual(0)
          expect(here).toBeLessThanOrEqual(1)
          expect(upperTail(x + 1, mean, mean * dispersion)).toBeLessThanOrEqual(here + 1e-9)
        },
      ),
    )
  })
})
