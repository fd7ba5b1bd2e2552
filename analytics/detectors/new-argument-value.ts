import { z } from 'zod'
import type { Contribution } from '../../schemas/finding.ts'
import { RecentMap } from '../recent-map.ts'
import { argumentValues, classifyValue, type ValueClass } from './argument-values.ts'
import { type Capability, capabilityOfTool, capabilityWeight } from './capability.ts'
import { cutText } from './cut-text.ts'
import {
  budgetThreshold,
  type Detector,
  type DetectorBudget,
  type DetectorFactory,
  type FindingDraft,
  type JudgedCall,
} from './detector.ts'
import { nats, quote, round } from './first-scope.ts'
import { NoveltyCounter, NoveltyState } from './novelty.ts'
import { ResultMemory, ResultMemoryState } from './result-memory.ts'

const maxKeys = 50_000
const maxValuesPerKey = 256
/** Over all keys; at most 200 characters each. */
const maxValues = 500_000
const warmUpSamples = 20

interface Profile {
  readonly values: NoveltyCounter
  readonly firstSeenMs: number
}

interface Candidate {
  readonly path: string
  readonly value: string
  readonly valueClass: ValueClass
  readonly profile: Profile
  readonly everybody: NoveltyCounter
  readonly ownNew: number
  readonly peerFactor: number
  /** Leaf of the earlier result that supplied the value. */
  readonly suppliedBy: number | undefined
  readonly p: number
}

/**
 * An argument value that is new for its key. Addresses count by domain, URLs by host, paths by folder; everything else
 * as it stands. A value that an earlier result of the same session supplied word for word, given to a tool that can
 * change or send things, is how an injected instruction looks.
 */
export const newArgumentValue: DetectorFactory = ({ alertsPerDay, onScore }) => {
  let held = 0
  const own = new RecentMap<Profile>(maxKeys, ({ values }) => {
    held -= values.distinct
  })
  const all = new RecentMap<NoveltyCounter>(maxKeys, (values) => {
    held -= values.distinct
  })
  const results = new ResultMemory()
  const detector: Detector = {
    id: 'new-argument-value@1',
    observe(call) {
      const { event } = call
      const session = sessionOf(call)
      const tool = `${event['mcp.server.name'] ?? '?'}/${event['gen_ai.tool.name'] ?? '?'}`
      const capability = capabilityOfTool(event)
      const candidates: Candidate[] = []
      const seen: { profile: Profile; everybody: NoveltyCounter; key: string }[] = []
      for (const { path, value } of argumentValues(event['gen_ai.tool.call.arguments'])) {
        const profile = own.use(`${call.entity.kind}/${call.entity.value}|${tool}|${path}`, () => ({
          values: new NoveltyCounter(maxValuesPerKey),
          firstSeenMs: call.occurredMs,
        }))
        const everybody = all.use(`${tool}|${path}`, () => new NoveltyCounter(maxValuesPerKey))
        const valueClass = classifyValue(value)
        seen.push({ profile, everybody, key: valueClass.key })
        if (
          !call.mayAlert ||
          everybody.size < warmUpSamples ||
          profile.values.countOf(valueClass.key) > 0
        )
          continue
        const warm = profile.values.size >= warmUpSamples
        const ownNew = (warm ? profile.values : everybody).probabilityOfNew()
        const known = everybody.countOf(valueClass.key)
        if (!warm && known > 0) continue
        const peerFactor =
          known > 0
            ? Math.min(1, 0.3 + known / everybody.size)
            : Math.sqrt(everybody.probabilityOfNew())
        const suppliedBy = capability === 'read' ? undefined : results.sourceOf(session, value)
        const provenance = suppliedBy === undefined ? 1 : 0.02
        const p = round(Math.min(1, (ownNew * peerFactor * provenance) / weightOf(capability)))
        candidates.push({
          path,
          value,
          valueClass,
          profile,
          everybody,
          ownNew,
          peerFactor,
          suppliedBy,
          p,
        })
      }
      const drafts = decide(call, tool, capability, candidates, alertsPerDay, onScore)
      for (const { profile, everybody, key } of call.teaches ? seen : []) {
        held -= profile.values.distinct + everybody.distinct
        profile.values.add(key)
        everybody.add(key)
        held += profile.values.distinct + everybody.distinct
      }
      // Of an entity first: what everybody does is the better memory.
      while (held > maxValues && (own.evictOldest() || all.evictOldest())) {}
      results.learn(session, call.leafIndex, event['gen_ai.tool.call.result'])
      return drafts
    },
    advance: () => [],
    save: () => ({
      own: own.save(({ values, firstSeenMs }) => [values.save(), firstSeenMs]),
      all: all.save((values) => values.save()),
      results: results.save(),
    }),
    restore(state) {
      const saved = SavedState.parse(state)
      const counterOf = (values: NoveltyState) =>
        new NoveltyCounter(maxValuesPerKey).restore(values)
      own.restore(saved.own, ([values, firstSeenMs]) => ({
        values: counterOf(values),
        firstSeenMs,
      }))
      all.restore(saved.all, counterOf)
      for (const [, { values }] of own.entries()) held += values.distinct
      for (const [, values] of all.entries()) held += values.distinct
      results.restore(saved.results)
    },
  }
  return detector
}

const SavedState = z.object({
  own: z.array(z.tuple([z.string(), z.tuple([NoveltyState, z.number()])])),
  all: z.array(z.tuple([z.string(), NoveltyState])),
  results: ResultMemoryState,
})

/** The most surprising value of a call speaks for it; the number of values looked at is paid for. */
function decide(
  call: JudgedCall,
  tool: string,
  capability: Capability,
  candidates: readonly Candidate[],
  alertsPerDay: number,
  onScore: DetectorBudget['onScore'],
): FindingDraft[] {
  const [worst] = candidates.toSorted((a, b) => a.p - b.p || (a.path < b.path ? -1 : 1))
  if (worst === undefined) return []
  const p = round(Math.min(1, worst.p * candidates.length))
  onScore?.(call.leafIndex, p)
  const threshold = budgetThreshold(alertsPerDay, 3, call.callsPerDay)
  if (p >= threshold) return []
  const { path, value, valueClass, profile, everybody, suppliedBy } = worst
  const { values, otherCount } = (
    profile.values.size >= warmUpSamples ? profile.values : everybody
  ).top(12)
  const contributions: Contribution[] = [
    {
      feature: cutText(`new for ${path}`, 128),
      observed: cutText(valueClass.key, 200),
      expected: `a new one in ${Math.round(1 / worst.ownNew)} values`,
      nats: nats(worst.ownNew),
    },
    {
      feature: 'given by others',
      observed: String(everybody.countOf(valueClass.key)),
      expected: `in ${everybody.size} values of all`,
      nats: nats(worst.peerFactor),
    },
    {
      feature: 'what the tool can do',
      observed: capability,
      expected: 'read',
      nats: Math.round(Math.log(weightOf(capability)) * 1000) / 1000,
    },
    ...(suppliedBy === undefined
      ? []
      : [
          {
            feature: 'supplied by an earlier result',
            observed: `word for word in leaf ${suppliedBy}`,
            expected: 'known to the agent from elsewhere',
            nats: nats(0.02),
          },
        ]),
  ]
  const supplied =
    suppliedBy === undefined
      ? ''
      : ' The value stood word for word in a result that the agent had read shortly before.'
  return [
    {
      entity: call.entity,
      subject: `${tool} ${path}`,
      observed: cutText(value, 500),
      expected: values
        .map(({ label }) => label)
        .slice(0, 5)
        .join(', ')
        .slice(0, 500),
      p,
      threshold: round(threshold),
      windowFromMs: profile.firstSeenMs,
      windowUntilMs: call.occurredMs,
      samples: profile.values.size,
      contributions,
      baseline: {
        kind: 'share',
        values: values.map(({ label, count }) => ({ label: cutText(label, 500), count })),
        otherCount,
        observed: cutText(valueClass.key, 500),
        peerCount: everybody.countOf(valueClass.key),
      },
      counterfactual: `It would not have fired if ${quote(call.entity.value)} had used ${quote(valueClass.key)} in ${quote(path)} of ${quote(tool)} before.`,
      sentence: `${call.entity.kind} ${quote(call.entity.value)} called ${quote(tool)} with ${quote(path)} = ${quote(value)}: ${noveltyOf(worst)}.${supplied}`,
      evidence: suppliedBy === undefined ? [call.leafIndex] : [call.leafIndex, suppliedBy],
      occurredAt: call.event['time.occurred'],
      holdOffKey: `${call.entity.kind}/${call.entity.value}/${tool}/${path}/${valueClass.key}`,
    },
  ]
}

/** What merely reads matters less: it takes four times the surprise. */
function weightOf(capability: Capability): number {
  return capability === 'read' ? 0.25 : capabilityWeight(capability)
}

/** What is new about the value, and against what: of an address its domain, of a URL its host, of a path its folder. */
function noveltyOf({ valueClass, profile, everybody }: Candidate): string {
  const what =
    valueClass.kind === 'value' ? '' : `the ${valueClass.kind} ${quote(valueClass.key)} was `
  const known = everybody.countOf(valueClass.key)
  const own = `never seen in ${profile.values.size} values of its own`
  return known === 0
    ? `${what}${own} and ${everybody.size} of all`
    : `${what}${own}; others gave it ${known} times in ${everybody.size} values of all`
}

function sessionOf({ event, entity }: JudgedCall): string {
  return (
    event['gen_ai.conversation.id'] ??
    event['mcp.session.id'] ??
    event.trace_id ??
    `${entity.kind}/${entity.value}`
  )
}
