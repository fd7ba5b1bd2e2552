/**
 * P(X >= x) of a negative binomial with the given mean and variance; Poisson where the variance does not exceed the
 * mean. Summed term by term: exact for the counts that matter here.
 */
export function upperTail(x: number, mean: number, variance: number): number {
  if (x <= 0) return 1
  if (mean <= 0) return 0
  // Far above everything the sum of the lower terms is 1 to double precision: bound it instead.
  let cumulative = 0
  let term: number
  if (variance > mean * 1.001) {
    const size = mean ** 2 / (variance - mean)
    const q = mean / (mean + size)
    term = (1 - q) ** size
    for (let k = 0; k < x && k < 100_000; k++) {
      cumulative += term
      term *= ((size + k) / (k + 1)) * q
    }
    // Geometric bound of the remaining tail, where the difference to 1 drowns in rounding.
    const bound = (term * 1) / Math.max(1e-9, 1 - q * ((size + x) / (x + 1)))
    return clamp(1 - cumulative > 1e-9 ? 1 - cumulative : bound)
  }
  term = Math.exp(-mean)
  for (let k = 0; k < x && k < 100_000; k++) {
    cumulative += term
    term *= mean / (k + 1)
  }
  const bound = term / Math.max(1e-9, 1 - mean / (x + 1))
  return clamp(1 - cumulative > 1e-9 ? 1 - cumulative : bound)
}

function clamp(p: number): number {
  return Number.isFinite(p) ? Math.min(1, Math.max(0, p)) : 0
}
