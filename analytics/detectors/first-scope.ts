import type { Contribution } from '../../schemas/finding.ts'
import { RecentMap } from '../recent-map.ts'
import { capabilityOfName, capabilityOfTool, capabilityWeight } from './capability.ts'
import {
  budgetThreshold,
  type Detector,
  type DetectorBudget,
  type DetectorFactory,
  type FindingDraft,
  type JudgedCall,
} from './detector.ts'
import { NoveltyCounter } from './novelty.ts'

const maxEntities = 20_000
const maxSubjects = 512
/** Over all entities. */
const maxSubjectsHeld = 300_000
/** Below this the entity's own history says nothing and its peers speak alone. */
const warmUpSamples = 30

interface Profile {
  readonly subjects: NoveltyCounter
  readonly firstSeenMs: number
}

/**
 * First use of a right: an OAuth scope that a call was granted, needed or asked for, or a tool that can change or
 * send things. Against oneself by Good-Turing, against peers by the share of other entities that hold it, weighted by
 * what the right can do.
 */
export const firstScope: DetectorFactory = ({ alertsPerDay, onScore }) => {
  let kept = 0
  const entities = new RecentMap<Profile>(maxEntities, ({ subjects }) => {
    kept -= subjects.distinct
  })
  const everybody = new NoveltyCounter(maxSubjects * 8)
  const holders = new RecentMap<Set<string>>(maxSubjects * 8)
  const detector: Detector = {
    id: 'first-scope@1',
    observe(call) {
      const key = `${call.entity.kind}/${call.entity.value}`
      const profile = entities.use(key, () => ({
        subjects: new NoveltyCounter(maxSubjects),
        firstSeenMs: call.occurredMs,
      }))
      const drafts: FindingDraft[] = []
      for (const subject of subjectsOf(call)) {
        const held = holders.use(subject, () => new Set())
        if (call.mayAlert && profile.subjects.countOf(subject) === 0) {
          const draft = judge(
            call,
            subject,
            profile,
            everybody,
            held,
            entities.size,
            alertsPerDay,
            onScore,
          )
          if (draft !== undefined) drafts.push(draft)
        }
        if (!call.teaches) continue
        kept -= profile.subjects.distinct
        profile.subjects.add(subject)
        kept += profile.subjects.distinct
        everybody.add(subject)
        if (held.size < 1000) held.add(key)
      }
      while (kept > maxSubjectsHeld && entities.evictOldest()) {}
      return drafts
    },
    advance: () => [],
  }
  return detector
}

/** `scope <name>` for each scope; `tool <server>/<tool>` where the tool can do more than read. */
function subjectsOf({ event }: JudgedCall): string[] {
  const scopes = new Set([
    ...(event['auth.scopes.granted'] ?? []),
    ...(event['auth.scopes.required'] ?? []),
    ...(event['auth.scopes.requested'] ?? []),
  ])
  const subjects = [...scopes].slice(0, 64).map((scope) => `scope ${scope}`)
  const tool = event['gen_ai.tool.name']
  if (tool !== undefined && capabilityOfTool(event) !== 'read') {
    subjects.push(`tool ${event['mcp.server.name'] ?? '?'}/${tool}`)
  }
  return subjects
}

function judge(
  call: JudgedCall,
  subject: string,
  profile: Profile,
  everybody: NoveltyCounter,
  held: ReadonlySet<string>,
  entities: number,
  alertsPerDay: number,
  onScore: DetectorBudget['onScore'],
): FindingDraft | undefined {
  const own = profile.subjects.size
  const warm = own >= warmUpSamples
  const ownNew = warm ? profile.subjects.probabilityOfNew() : 1
  const peers = Math.max(entities - 1, 1)
  const peerShare = held.size / peers
  // Without history of one's own only what is new to everybody counts.
  if (!warm && held.size > 0) return undefined
  const peerFactor =
    held.size > 0
      ? Math.min(1, 0.2 + peerShare)
      : Math.max(everybody.probabilityOfNew(), 1e-4) ** 0.5
  const capability = capabilityOfName(subject)
  const p = round(Math.min(1, (ownNew * peerFactor) / capabilityWeight(capability)))
  onScore?.(call.leafIndex, p)
  const threshold = budgetThreshold(alertsPerDay, 3, call.callsPerDay)
  if (p >= threshold) return undefined
  const [kind, ...rest] = subject.split(' ')
  const name = rest.join(' ')
  const what = kind === 'scope' ? `the scope ${quote(name)}` : `the tool ${quote(name)}`
  const contributions: Contribution[] = [
    {
      feature: 'new to this entity',
      observed: 'never used before',
      expected: `a new one in ${Math.round(1 / ownNew)} uses`,
      nats: nats(ownNew),
    },
    {
      feature: 'seen among peers',
      observed: `${held.size} of ${peers} others`,
      expected: held.size === 0 ? 'some' : 'most',
      nats: nats(peerFactor),
    },
    {
      feature: 'what it allows',
      observed: capability,
      expected: 'read',
      nats: Math.round(Math.log(capabilityWeight(capability)) * 1000) / 1000,
    },
  ]
  const { values, otherCount } = profile.subjects.top(12)
  return {
    entity: call.entity,
    subject,
    observed: name,
    expected:
      values
        .map(({ label }) => label)
        .slice(0, 5)
        .join(', ') || 'nothing yet',
    p,
    threshold: round(threshold),
    windowFromMs: profile.firstSeenMs,
    windowUntilMs: call.occurredMs,
    samples: own,
    contributions,
    baseline: {
      kind: 'share',
      values,
      otherCount,
      observed: subject,
      peerCount: everybody.countOf(subject),
    },
    counterfactual: `It would not have fired if ${quote(call.entity.value)} had used ${what} before, or if most of its peers did.`,
    sentence: `${call.entity.kind} ${quote(call.entity.value)} used ${what} for the first time in ${own} uses of rights; ${
      held.size === 0
        ? 'no other entity has ever used it'
        : `${held.size} of ${peers} others use it`
    }.`,
    evidence: [call.leafIndex],
    occurredAt: call.event['time.occurred'],
    holdOffKey: `${call.entity.kind}/${call.entity.value}/${subject}`,
  }
}

/** Six significant digits, so that every machine writes the same finding. */
export function round(p: number): number {
  return Number(p.toPrecision(6))
}

export function nats(p: number): number {
  return Math.round(-Math.log(Math.max(p, 1e-12)) * 1000) / 1000
}

/** A name from the log as it may stand in a sentence: bounded, on one line, never a link. */
export function quote(value: string): string {
  const line = value.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\ufffd').replaceAll('://', '[:]//')
  return JSON.stringify(line.length > 160 ? `${line.slice(0, 160)}…` : line)
}
