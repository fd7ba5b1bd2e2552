import type { Configuration } from '../configuration.ts'
import type { ControlClient } from '../control-client.ts'

/** What a check found, one line. */
export interface Finding {
  /** `warn`: it works, and somebody should know. `fail`: it does not, or what is recorded is in danger. */
  readonly state: 'ok' | 'warn' | 'fail'
  /** A fact, with its figure. */
  readonly what: string
  /** What to do; with every `warn` and `fail`. */
  readonly next?: string
}

/** What checks look at. */
export interface Examined {
  /** Absolute path. */
  readonly directory: string
  /** Absent: the configuration is not valid, which is a finding of its own. */
  readonly configuration: Configuration | undefined
  /** The Sealtrail that runs on the directory; absent: none does. */
  readonly running: ControlClient | undefined
}

/**
 * One thing that `sealtrail doctor` looks at. It reads only, but for a temporary file or folder that it removes. What it
 * throws is a finding: the check could not be done.
 */
export interface Check {
  /** As printed, at most 12 letters. */
  readonly name: string
  run(examined: Examined): Promise<readonly Finding[]>
}

export const ok = (what: string): Finding => ({ state: 'ok', what })
export const warn = (what: string, next: string): Finding => ({ state: 'warn', what, next })
export const fail = (what: string, next: string): Finding => ({ state: 'fail', what, next })
