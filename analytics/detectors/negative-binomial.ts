/** Terms are added until they no longer matter, this share of the sum. */
const negligible = 1e-14
const maxTerms = 200_000

/**
 * P(X >= x) of a negative binomial with the given mean and variance; Poisson where the variance does not exceed the
 * mean. Starts at the logarithm of the first term: for dense counts the probability of zero underflows.
 */
export function upperTail(x: number, mean: number, variance: number): number {
  if (x <= 0) return 1
  if (mean <= 0) return 0
  const dispersed = variance > mean * 1.001
  const size = dispersed ? mean ** 2 / (variance - mean) : 0
  const q = mean / (mean + size)
  /** ln P(X = k) */
  const logTerm = (k: number) =>
    dispersed
      ? logGamma(k + size) -
        logGamma(size) -
        logGamma(k + 1) +
        size * Math.log1p(-q) +
        k * Math.log(q)
      : k * Math.log(mean) - mean - logGamma(k + 1)
  /** P(X = k + 1) / P(X = k) */
  const ratio = (k: number) => (dispersed ? ((size + k) / (k + 1)) * q : mean / (k + 1))
  // Above the mean the terms of the tail fall; below it those of the other side do.
  if (x > mean) return clamp(sum(Math.exp(logTerm(x)), (i) => ratio(x + i)))
  return clamp(1 - sum(Math.exp(logTerm(x - 1)), (i) => 1 / ratio(x - 2 - i), x))
}

/** first + first * r(0) + first * r(0) * r(1) + ..., at most `terms` of them. */
function sum(first: number, ratio: (i: number) => number, terms = maxTerms): number {
  let term = first
  let total = 0
  for (let i = 0; i < Math.min(terms, maxTerms) && term > total * negligible; i++) {
    total += term
    term *= ratio(i)
  }
  return total
}

/** ln of the gamma function for x > 0 (Lanczos, g = 7, n = 9; relative error below 1e-13). */
function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x)
  let series = 0.999_999_999_999_809_9
  for (const [i, coefficient] of lanczos.entries()) series += coefficient / (x + i)
  const t = x + 6.5
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series)
}

const lanczos: readonly number[] = [
  676.520_368_121_885_1, -1259.139_216_722_402_8, 771.323_428_777_653_1, -176.615_029_162_140_6,
  12.507_343_278_686_905, -0.138_571_095_265_720_12, 9.984_369_578_019_572e-6,
  1.505_632_735_149_311_6e-7,
]

function clamp(p: number): number {
  return Number.isFinite(p) ? Math.min(1, Math.max(0, p)) : 0
}
