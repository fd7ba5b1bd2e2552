import type { Call } from '../../schemas/call.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import type { Baseline, Contribution, Entity } from '../../schemas/finding.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'

/** A call as a detector sees it. Everything is derived from leaves: no clock, no randomness. */
export interface JudgedCall {
  readonly call: Call
  readonly event: RecordedEvent
  /** Leaf index of the first observation. */
  readonly leafIndex: number
  /** Occurred time, Unix milliseconds. */
  readonly occurredMs: number
  /** Whose habit this is measured against. */
  readonly entity: Entity
  /** False for imported history, late and sampled data: they teach, they never alert. */
  readonly mayAlert: boolean
  /** False for what is judged but must leave no trace in the baselines: a frozen back-test. */
  readonly teaches: boolean
  /** Calls a day in this log, decayed: turns a budget of alerts into a tail probability. */
  readonly callsPerDay: number
}

/** What a detector saw; the fold turns it into a finding when it is below the threshold of the budget. */
export interface FindingDraft {
  readonly entity: Entity
  readonly subject: string
  readonly observed: string
  readonly expected: string
  /** Calibrated tail probability. */
  readonly p: number
  readonly threshold: number
  readonly windowFromMs: number
  readonly windowUntilMs: number
  readonly samples: number
  readonly contributions: readonly Contribution[]
  readonly baseline: Baseline
  readonly counterfactual: string
  readonly sentence: string
  /** Leaf indexes; the first is the event that fired. */
  readonly evidence: readonly number[]
  readonly occurredAt: string
  /** Findings of one key within the hold-off are one. */
  readonly holdOffKey: string
}

/**
 * Learns from every call, and says what is unusual about those that may alert. Pure apart from its own state, which
 * is bounded whatever an attacker sends.
 */
export interface Detector {
  /** `id@version`. */
  readonly id: string
  /** A call is scored before it is learnt. */
  observe(call: JudgedCall): FindingDraft[]
  /** Leaf time went on: closes what waits for time. */
  advance(nowMs: number): FindingDraft[]
  /** Everything that it has learnt, as JSON that does not change when it learns more. It holds names and values of the log. */
  save(): JsonValue
  /** Takes over what {@link save} gave, in a detector that has seen nothing. Throws for anything else. */
  restore(state: JsonValue): void
}

export interface DetectorBudget {
  readonly alertsPerDay: number
  /** Told the tail probability of every call that was judged, above the threshold too: what a back-test reads. */
  readonly onScore?: (leafIndex: number, p: number) => void
}

/** Makes the detectors of one log. */
export type DetectorFactory = (budget: DetectorBudget) => Detector

/**
 * Threshold of the tail probability so that, with well calibrated scores, the detector raises its share of the budget:
 * `decisions` a day times the threshold is the number of false alerts a day.
 */
export function budgetThreshold(
  alertsPerDay: number,
  detectors: number,
  decisionsPerDay: number,
): number {
  return Math.min(0.02, alertsPerDay / detectors / Math.max(decisionsPerDay, 1))
}
