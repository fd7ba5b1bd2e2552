/** One thing that was checked in this browser. `limited`: not contradicted, and not proven by this leaf alone. */
export interface Check {
  readonly id:
    | 'leaf'
    | 'openings'
    | 'cells'
    | 'definition'
    | 'key'
    | 'checkpoint'
    | 'inclusion'
    | 'consistency'
  readonly label: string
  readonly state: 'passed' | 'failed' | 'pending' | 'limited'
  readonly detail: string
}

/** The work's result, or what it threw. Input of a verifier may be forged in every way, and then throws. */
export function guard<T>(work: () => T): T | Error {
  try {
    return work()
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
