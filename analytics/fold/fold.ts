import { z } from 'zod'
import type { CommittedLeaf } from '../../ledger/committed.ts'
import { hex, utf8 } from '../../schemas/bytes.ts'
import type { CallChange } from '../../schemas/call.ts'
import { timestampFromMs, timestampToMs } from '../../schemas/event/timestamp.ts'
import type { Baseline, Finding, Severity } from '../../schemas/finding.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'
import { cutText } from '../detectors/cut-text.ts'
import type { Detector, DetectorFactory, FindingDraft } from '../detectors/detector.ts'
import { RecentMap } from '../recent-map.ts'
import { Assembler } from './assembler.ts'
import { principalEntity } from './principal-entity.ts'
import { Watermarks } from './watermarks.ts'

export interface FoldOutput {
  readonly calls: readonly CallChange[]
  readonly findings: readonly Finding[]
}

export interface FoldOptions {
  readonly logId: string
  readonly digest: Digest
  readonly detectors: readonly DetectorFactory[]
  /** Findings a day that the tenant wants to see. Default 10. */
  readonly alertsPerDay?: number
  /** Told the tail probability that a detector gave a call, whether it led to a finding or not. */
  readonly onScore?: (leafIndex: number, p: number) => void
  /** Told when a detector fails on a leaf. The leaf counts as judged: no single record may stop the fold. */
  readonly onDetectorError?: (error: Error) => void
}

/** Findings of one key within a day are one. */
const holdOffMs = 86_400_000
const dayMs = 86_400_000

const defaultAlertsPerDay = 10
/** Raised when the fold itself, not a detector, comes to other findings. */
const foldVersion = 1

const SavedState = z.object({
  watermarks: z.array(z.tuple([z.string(), z.number()])),
  held: z.array(z.tuple([z.string(), z.number()])),
  rate: z.tuple([z.number(), z.number(), z.number()]),
  detectors: z.array(z.custom<JsonValue>()),
})

/**
 * The deterministic fold over one log: (state, leaf) to (state, calls and findings). Time moves only by leaves: by the
 * recorded time of ticks and records. The same leaves give the same findings on every machine.
 */
export class Fold {
  private readonly options: FoldOptions
  private readonly detectors: readonly Detector[]
  private readonly assembler = new Assembler()
  private readonly watermarks = new Watermarks()
  private readonly held = new RecentMap<{ untilMs: number }>(50_000)
  private calls = 0
  /** Days that `calls` stand for, weighted as they are. */
  private callDays = 0
  private callsAtMs = 0

  constructor(options: FoldOptions) {
    this.options = options
    const budget = {
      alertsPerDay: options.alertsPerDay ?? defaultAlertsPerDay,
      ...(options.onScore === undefined ? {} : { onScore: options.onScore }),
    }
    this.detectors = options.detectors.map((make) => make(budget))
  }

  /** @param teaches false leaves the baselines as they are: a frozen back-test. */
  step(leaf: CommittedLeaf, teaches = true): FoldOutput {
    const { event } = leaf
    const findings: Finding[] = []
    if (event['event.class'] === 'tick') {
      const nowMs = timestampToMs(event['time.recorded'])
      for (const detector of this.detectors) {
        findings.push(...this.findingsOf(detector, () => detector.advance(nowMs)))
      }
      return { calls: [], findings }
    }
    const calls = this.assembler.observe(leaf)
    // What was erased is neither judged nor learnt: it would be taken for the habit of whoever is left on it.
    if (leaf.opened === 'erased') return { calls, findings }
    for (const { sign, call } of calls) {
      // Corrections never alert, and nothing that Sealtrail itself did is judged.
      if (sign < 0 || call.version > 1 || event['source.id'] === 'sealtrail') continue
      // A clock that runs ahead must not make the records after it look late.
      const occurredMs = Math.min(
        timestampToMs(event['time.occurred']),
        timestampToMs(event['time.recorded']),
      )
      const late = this.watermarks.isLate(event['source.id'] ?? '', occurredMs)
      const judged = {
        call,
        event,
        leafIndex: leaf.index,
        occurredMs,
        entity: principalEntity(event),
        mayAlert: event.imported !== true && !late && event['source.completeness'] !== 'sampled',
        teaches,
        callsPerDay: this.callRate(occurredMs),
      }
      for (const detector of this.detectors) {
        findings.push(...this.findingsOf(detector, () => detector.observe(judged)))
      }
    }
    return { calls, findings }
  }

  /** Names the rules by which the state came to be: another version of them must read the leaves again. */
  get rules(): string {
    const { alertsPerDay = defaultAlertsPerDay } = this.options
    return [
      `fold@${foldVersion}`,
      ...this.detectors.map(({ id }) => id),
      `alerts=${alertsPerDay}`,
    ].join(' ')
  }

  /** Everything that the fold has learnt, as JSON. It holds names and values of the log. */
  save(): JsonValue {
    return {
      watermarks: this.watermarks.save(),
      held: this.held.save(({ untilMs }) => untilMs),
      rate: [this.calls, this.callDays, this.callsAtMs],
      detectors: this.detectors.map((detector) => detector.save()),
    }
  }

  /** Takes over what a fold of the same {@link rules} saved, in one that has read nothing. Throws for anything else. */
  restore(state: JsonValue): void {
    const saved = SavedState.parse(state)
    this.watermarks.restore(saved.watermarks)
    this.held.restore(saved.held, (untilMs) => ({ untilMs }))
    ;[this.calls, this.callDays, this.callsAtMs] = saved.rate
    for (const [at, detector] of this.detectors.entries()) {
      detector.restore(saved.detectors[at] ?? null)
    }
  }

  /**
   * Calls a day, as an average over about a week: a call counts exp(-age / 7 days). A log that is younger is measured
   * over its own age, at least a day: divided by the whole week its first days would be allowed too many findings.
   */
  private callRate(occurredMs: number): number {
    if (this.callsAtMs === 0) this.callsAtMs = occurredMs
    const elapsedDays = Math.max(0, occurredMs - this.callsAtMs) / dayMs
    const kept = Math.exp(-elapsedDays / 7)
    this.calls = this.calls * kept + 1
    this.callDays = this.callDays * kept + 7 * (1 - kept)
    this.callsAtMs = Math.max(this.callsAtMs, occurredMs)
    return this.calls / Math.max(1, this.callDays)
  }

  private findingsOf(detector: Detector, judge: () => readonly FindingDraft[]): Finding[] {
    try {
      return this.released(detector, judge())
    } catch (error) {
      this.options.onDetectorError?.(error instanceof Error ? error : new Error(String(error)))
      return []
    }
  }

  /** Drafts that are not held off, as findings. */
  private released(detector: Detector, drafts: readonly FindingDraft[]): Finding[] {
    const findings: Finding[] = []
    for (const draft of drafts) {
      const hold = this.held.use(`${detector.id}|${draft.holdOffKey}`, () => ({ untilMs: 0 }))
      if (draft.windowUntilMs < hold.untilMs) continue
      hold.untilMs = draft.windowUntilMs + holdOffMs
      findings.push(this.finding(detector, draft))
    }
    return findings
  }

  private finding(detector: Detector, draft: FindingDraft): Finding {
    const { logId, digest } = this.options
    const evidence = [...new Set(draft.evidence)].slice(0, 64)
    const id = hex(
      digest(utf8(canonicalJson([detector.id, logId, evidence, draft.subject.toWellFormed()]))),
    )
    return {
      id,
      logId,
      detector: detector.id,
      severity: severityOf(draft.p),
      p: draft.p,
      evidence,
      occurredAt: draft.occurredAt,
      sentence: cutText(draft.sentence, 4096),
      explanation: {
        entity: { kind: draft.entity.kind, value: cutText(draft.entity.value, 512) },
        subject: cutText(draft.subject, 512),
        observed: cutText(draft.observed, 512),
        expected: cutText(draft.expected, 512),
        window: {
          from: timestampFromMs(draft.windowFromMs),
          until: timestampFromMs(draft.windowUntilMs),
          samples: draft.samples,
        },
        threshold: draft.threshold,
        contributions: draft.contributions.slice(0, 16).map((each) => ({
          feature: cutText(each.feature, 128),
          observed: cutText(each.observed, 512),
          expected: cutText(each.expected, 512),
          nats: each.nats,
        })),
        baseline: boundedBaseline(draft.baseline),
        counterfactual: cutText(draft.counterfactual, 1024),
      },
    }
  }
}

/** By how unlikely the observation is under the baseline. */
function severityOf(p: number): Severity {
  if (p < 1e-5) return 'critical'
  if (p < 5e-4) return 'high'
  return p < 5e-3 ? 'medium' : 'low'
}

function boundedBaseline(baseline: Baseline): Baseline {
  if (baseline.kind === 'series') return baseline
  return {
    ...baseline,
    values: baseline.values.map(({ label, count }) => ({ label: cutText(label, 512), count })),
    observed: cutText(baseline.observed, 512),
  }
}
