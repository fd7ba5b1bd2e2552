import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { callRate } from '../analytics/detectors/call-rate.ts'
import { firstScope } from '../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../analytics/detectors/new-argument-value.ts'
import { Fold } from '../analytics/fold/fold.ts'
import type { CommittedLeaf } from '../ledger/committed.ts'
import { sha256 } from '../ledger/sha256.ts'
import { timestampFromMs } from '../schemas/event/timestamp.ts'
import type { Finding } from '../schemas/finding.ts'
import type { JsonValue } from '../schemas/leaf/canonical-json.ts'

/**
 * Development figures of the detectors on labelled agent calls, through the production fold.
 *
 * `SEALTRAIL_DEV_DATA=<folder> npx tsx bench/agent-calls.ts`
 *
 * Learnt: attack-free sessions of one side of the split. Scored: attack-free and attacked sessions of the other side,
 * frozen, so that an attacker's literals in one session teach nothing for the next. Negatives are the calls of
 * attack-free sessions, positives the calls that carry out the attacker's goal.
 */
interface AgentCall {
  readonly sid: string
  readonly agent: string
  readonly server: string
  readonly task: string
  readonly tool: string
  readonly args?: JsonValue
  readonly res?: string
  readonly err?: boolean
  readonly kind: 'benign' | 'attacked' | 'goal_as_user'
  readonly inj: 0 | 1 | 2
}

interface Scored {
  readonly call: AgentCall
  /** Nats: -ln of the smallest tail probability that a detector gave. */
  readonly score: number
}

const detectors = [firstScope, newArgumentValue, callRate]
const startMs = Date.UTC(2026, 0, 1)
const folder = process.env['SEALTRAIL_DEV_DATA']
if (folder === undefined)
  throw new Error('SEALTRAIL_DEV_DATA must name the folder of the development data')

const calls = load(join(folder, 'agents/agentdojo-banking-slack.jsonl.gz'))
report('recurring jobs, models disjoint', (call) => halfOf(baseModel(call.agent)))
report('novel jobs, jobs disjoint', (call) => halfOf(`${call.server}/${call.task}`))
reportBenign(load(join(folder, 'agents/benign-tool-calls.jsonl.gz')))

/** Both halves are tested in turn, each on what the other taught. */
function report(title: string, side: (call: AgentCall) => 0 | 1): void {
  const scored = [0, 1].flatMap((tested) =>
    backtest(
      calls.filter((call) => call.kind === 'benign' && side(call) !== tested),
      calls.filter((call) => call.kind !== 'goal_as_user' && side(call) === tested),
    ),
  )
  print(`\n${title}`)
  for (const server of ['banking', 'slack', undefined]) {
    const part = scored.filter(({ call }) => server === undefined || call.server === server)
    const negatives = part.filter(({ call }) => call.kind === 'benign')
    const positives = part.filter(({ call }) => call.inj === 1)
    const figures = [
      [1e-2, '1/100'],
      [5e-4, '5/10k'],
    ].map(([rate, name]) => {
      const of = (some: readonly Scored[]) => truePositiveRate(some, Number(rate))
      return `@${name} ${of(part).toFixed(3)} [${interval(part, of)}]`
    })
    print(
      `  ${(server ?? 'both').padEnd(8)} ${negatives.length} benign, ${positives.length} injected calls: AUC ${auc(positives, negatives).toFixed(3)}, TPR ${figures.join(', ')}; sessions ${sessions(part)}`,
    )
  }
}

function backtest(train: readonly AgentCall[], test: readonly AgentCall[]): Scored[] {
  const least = new Map<number, number>()
  const fold = new Fold({
    logId: 'bench',
    digest: sha256,
    detectors,
    onScore: (index, p) => least.set(index, Math.min(p, least.get(index) ?? 1)),
    onDetectorError: fail,
  })
  let index = 0
  for (const call of train) fold.step(leafOf(call, index++, true))
  const started = process.cpuUsage()
  const scored = test.map((call) => {
    fold.step(leafOf(call, index, false), false)
    return { call, score: -Math.log(Math.max(1e-300, least.get(index++) ?? 1)) }
  })
  const { user, system } = process.cpuUsage(started)
  print(
    `  ${train.length} calls learnt, ${test.length} scored, ${((user + system) / test.length).toFixed(1)} us of CPU a call`,
  )
  return scored
}

/** Attack-free traffic of real servers, live: everything is a false alert. */
function reportBenign(benign: readonly AgentCall[]): void {
  for (const learnt of [0, Math.floor(benign.length / 3)]) {
    const findings: Finding[] = []
    const fold = new Fold({ logId: 'bench', digest: sha256, detectors, onDetectorError: fail })
    for (const [index, call] of benign.entries())
      findings.push(...fold.step(leafOf(call, index, index < learnt)).findings)
    print(
      `\nreal servers, ${learnt} calls learnt, ${benign.length - learnt} live: ${findings.length} alerts`,
    )
    for (const { severity, p, sentence } of findings.slice(0, 12))
      print(`  ${severity} ${p} ${sentence.slice(0, 180)}`)
  }
}

function leafOf(call: AgentCall, index: number, imported: boolean): CommittedLeaf {
  const time = timestampFromMs(startMs + index * 1000)
  return {
    logId: 'bench',
    index,
    leaf: new Uint8Array(),
    leafHash: new Uint8Array(32),
    opened: 'full',
    event: {
      'event.id': `00000000-0000-7000-8000-${String(index).padStart(12, '0')}`,
      'event.class': 'tool_call',
      'log.id': 'bench',
      'source.id': 'bench',
      'time.occurred': time,
      'time.recorded': time,
      imported,
      'gen_ai.conversation.id': call.sid,
      'gen_ai.agent.name': call.agent,
      'workflow.id': `${call.server}/${call.task}`,
      'mcp.server.name': call.server,
      'gen_ai.tool.name': call.tool,
      'gen_ai.tool.call.arguments': call.args ?? {},
      'gen_ai.tool.call.result': call.res ?? '',
      'outcome.status': call.err === true ? 'tool_error' : 'success',
    },
  }
}

/** Share of the injected calls that score above all but `rate` of the benign ones. */
function truePositiveRate(scored: readonly Scored[], rate: number): number {
  const negatives = scored
    .filter(({ call }) => call.kind === 'benign')
    .map(({ score }) => score)
    .sort((a, b) => b - a)
  const positives = scored.filter(({ call }) => call.inj === 1)
  const threshold = negatives[Math.floor(negatives.length * rate)] ?? 0
  return positives.filter(({ score }) => score > threshold).length / Math.max(1, positives.length)
}

function auc(positives: readonly Scored[], negatives: readonly Scored[]): number {
  const below = negatives.map(({ score }) => score).sort((a, b) => a - b)
  const rank = (value: number, orEqual: boolean) => {
    let low = 0
    let high = below.length
    while (low < high) {
      const middle = (low + high) >> 1
      const each = below[middle] ?? 0
      if (each < value || (orEqual && each === value)) low = middle + 1
      else high = middle
    }
    return low
  }
  const sum = positives.reduce(
    (total, { score }) => total + (rank(score, false) + rank(score, true)) / 2,
    0,
  )
  return sum / Math.max(1, positives.length * negatives.length)
}

/** Sessions with an injected call that are caught while at most 3.66 % of the attack-free ones are flagged. */
function sessions(scored: readonly Scored[]): string {
  const highest = new Map<string, { score: number; injected: boolean; benign: boolean }>()
  for (const { call, score } of scored) {
    const session = highest.get(call.sid) ?? { score: 0, injected: false, benign: false }
    session.score = Math.max(session.score, score)
    session.injected ||= call.inj === 1
    session.benign ||= call.kind === 'benign'
    highest.set(call.sid, session)
  }
  const all = [...highest.values()]
  const benign = all.filter((each) => each.benign).sort((a, b) => b.score - a.score)
  const injected = all.filter((each) => each.injected)
  const threshold = benign[Math.floor(benign.length * 0.0366)]?.score ?? 0
  const caught = injected.filter(({ score }) => score > threshold).length
  const flagged = benign.filter(({ score }) => score > threshold).length
  return `${(caught / Math.max(1, injected.length)).toFixed(3)} of ${injected.length} at ${((100 * flagged) / Math.max(1, benign.length)).toFixed(2)} % of ${benign.length}`
}

/** 95 % interval by bootstrap over tasks, repeatable. */
function interval(scored: readonly Scored[], figure: (some: readonly Scored[]) => number): string {
  const tasks = new Map<string, Scored[]>()
  for (const each of scored) {
    const task = `${each.call.server}/${each.call.task}`
    const of = tasks.get(task)
    if (of === undefined) tasks.set(task, [each])
    else of.push(each)
  }
  const byTask = [...tasks.values()]
  let state = 1
  const values = Array.from({ length: 200 }, () => {
    const sample = byTask.flatMap(() => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      return byTask[Math.floor((state / 2 ** 32) * byTask.length)] ?? []
    })
    return figure(sample)
  }).sort((a, b) => a - b)
  return `${(values[5] ?? 0).toFixed(2)}-${(values[194] ?? 0).toFixed(2)}`
}

/** All defences of one model stand on one side. */
function baseModel(agent: string): string {
  return agent.replace(
    /-(repeat_user_prompt|spotlighting_with_delimiting|tool_filter|transformers_pi_detector)$/,
    '',
  )
}

function halfOf(name: string): 0 | 1 {
  return ((sha256(new TextEncoder().encode(name))[0] ?? 0) & 1) === 0 ? 0 : 1
}

/** The cast is the contract of the development data, see its README. */
function load(path: string): AgentCall[] {
  const lines = gunzipSync(readFileSync(path)).toString().trim().split('\n')
  return lines.map((line) => JSON.parse(line) as AgentCall)
}

function fail(error: Error): never {
  throw error
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
