import { z } from 'zod'
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
import { NoveltyCounter, NoveltyState } from './novelty.ts'

const maxEntities = 20_000
const maxSubjects = 512
/** Of one call. */
const maxScopes = 64
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
  const everybody = new NoveltyCounter(maxSubjects * 8)
  /** How many of the entities that are remembered hold a subject. */
  const holders = new RecentMap<{ count: number }>(maxSubjects * 8)
  const release = (subject: string) => {
    const held = holders.peek(subject)
    if (held !== undefined && held.count > 0) held.count--
  }
  const entities = new RecentMap<Profile>(maxEntities, ({ subjects }) => {
    kept -= subjects.distinct
    for (const subject of subjects.values()) release(subject)
  })
  const detector: Detector = {
    id: 'first-scope@1',
    observe(call) {
      const key = `${call.entity.kind}/${call.entity.value}`
      const profile = entities.use(key, () => ({
        subjects: new NoveltyCounter(maxSubjects, release),
        firstSeenMs: call.occurredMs,
      }))
      const subjects = subjectsOf(call)
      const fresh = call.mayAlert
        ? subjects.filter((subject) => profile.subjects.countOf(subject) === 0)
        : []
      const drafts = fresh.flatMap((subject) => {
        const held = holders.peek(subject)?.count ?? 0
        return (
          judge(call, subject, profile, everybody, held, entities.size, alertsPerDay, onScore) ?? []
        )
      })
      for (const subject of call.teaches ? subjects : []) {
        kept -= profile.subjects.distinct
        if (profile.subjects.countOf(subject) === 0)
          holders.use(subject, () => ({ count: 0 })).count++
        profile.subjects.add(subject)
        kept += profile.subjects.distinct
        everybody.add(subject)
      }
      while (kept > maxSubjectsHeld && entities.evictOldest()) {}
      return worstOf(drafts, fresh)
    },
    advance: () => [],
    save: () => ({
      everybody: everybody.save(),
      holders: holders.save(({ count }) => count),
      entities: entities.save(({ subjects, firstSeenMs }) => [subjects.save(), firstSeenMs]),
    }),
    restore(state) {
      const saved = SavedState.parse(state)
      everybody.restore(saved.everybody)
      holders.restore(saved.holders, (count) => ({ count }))
      entities.restore(saved.entities, ([subjects, firstSeenMs]) => ({
        subjects: new NoveltyCounter(maxSubjects, release).restore(subjects),
        firstSeenMs,
      }))
      for (const [, { subjects }] of entities.entries()) kept += subjects.distinct
    },
  }
  return detector
}

const SavedState = z.object({
  everybody: NoveltyState,
  holders: z.array(z.tuple([z.string(), z.number()])),
  entities: z.array(z.tuple([z.string(), z.tuple([NoveltyState, z.number()])])),
})

/** The most surprising right of a call speaks for all that were new in it: one call is one finding. */
function worstOf(drafts: readonly FindingDraft[], fresh: readonly string[]): FindingDraft[] {
  const [worst] = drafts.toSorted((a, b) => a.p - b.p || (a.subject < b.subject ? -1 : 1))
  if (worst === undefined) return []
  const others = fresh.filter((subject) => subject !== worst.subject)
  if (others.length === 0) return [worst]
  const named = others.slice(0, 3).map((subject) => quote(nameOf(subject)))
  const more = others.length > named.length ? ` and ${others.length - named.length} more` : ''
  return [
    {
      ...worst,
      sentence: `${worst.sentence} New to it in the same call: ${named.join(', ')}${more}.`,
    },
  ]
}

/** A subject without its kind. */
function nameOf(subject: string): string {
  return subject.slice(subject.indexOf(' ') + 1)
}

/** `scope <name>` for each scope; `tool <server>/<tool>` where the tool can do more than read. */
function subjectsOf({ event }: JudgedCall): string[] {
  const scopes = new Set([
    ...(event['auth.scopes.granted'] ?? []),
    ...(event['auth.scopes.required'] ?? []),
    ...(event['auth.scopes.requested'] ?? []),
  ])
  const subjects = mostCapable([...scopes]).map((scope) => `scope ${scope}`)
  const tool = event['gen_ai.tool.name']
  if (tool !== undefined && capabilityOfTool(event) !== 'read') {
    subjects.push(`tool ${event['mcp.server.name'] ?? '?'}/${tool}`)
  }
  return subjects
}

/** At most 64, and never a right hidden behind harmless ones. */
function mostCapable(scopes: string[]): string[] {
  if (scopes.length <= maxScopes) return scopes
  return scopes
    .map((scope) => ({ scope, weight: capabilityWeight(capabilityOfName(scope)) }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, maxScopes)
    .map(({ scope }) => scope)
}

function judge(
  call: JudgedCall,
  subject: string,
  profile: Profile,
  everybody: NoveltyCounter,
  held: number,
  entities: number,
  alertsPerDay: number,
  onScore: DetectorBudget['onScore'],
): FindingDraft | undefined {
  const own = profile.subjects.size
  const warm = own >= warmUpSamples
  const ownNew = warm ? profile.subjects.probabilityOfNew() : 1
  const peers = Math.max(entities - 1, 1)
  const peerShare = held / peers
  // Without history of one's own only what is new to everybody counts.
  if (!warm && held > 0) return undefined
  const peerFactor =
    held > 0 ? Math.min(1, 0.2 + peerShare) : Math.max(everybody.probabilityOfNew(), 1e-4) ** 0.5
  const capability = capabilityOfName(subject)
  const p = round(Math.min(1, (ownNew * peerFactor) / capabilityWeight(capability)))
  onScore?.(call.leafIndex, p)
  const threshold = budgetThreshold(alertsPerDay, 3, call.callsPerDay)
  if (p >= threshold) return undefined
  const name = nameOf(subject)
  const what = subject.startsWith('scope ') ? `the scope ${quote(name)}` : `the tool ${quote(name)}`
  const contributions: Contribution[] = [
    {
      feature: 'new to this entity',
      observed: 'never used before',
      expected: `a new one in ${Math.round(1 / ownNew)} uses`,
      nats: nats(ownNew),
    },
    {
      feature: 'seen among peers',
      observed: `${held} of ${peers} others`,
      expected: held === 0 ? 'some' : 'most',
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
      held === 0 ? 'no other entity has ever used it' : `${held} of ${peers} others use it`
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
