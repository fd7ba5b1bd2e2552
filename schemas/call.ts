import type { RecordedEvent } from './event/event.ts'

/**
 * One MCP call as joined from its observations by the assembler of the fold. Charts, rates, detectors and reports
 * read calls, never observations.
 */
export interface Call {
  readonly logId: string
  /** Id of the call: `event.id` of its first observation. */
  readonly callId: string
  /** Grows by one at each later join; corrections never alert. */
  readonly version: number
  /** Leaf indexes of its observations, ascending. The first one is its identity in the store. */
  readonly observations: readonly number[]
  /** Merged canonical fields. */
  readonly event: RecordedEvent
}

/** A change of the calls table. A correction is a pair: -1 with the old state, +1 with the new one. */
export interface CallChange {
  readonly sign: 1 | -1
  readonly call: Call
}
