import { describe, expect, test } from 'vitest'
import { callRate } from '../../analytics/detectors/call-rate.ts'
import { firstScope } from '../../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../../analytics/detectors/new-argument-value.ts'
import { fromFindingEvent } from '../../analytics/fold/finding-event.ts'
import { FoldRunner } from '../../analytics/fold/fold-runner.ts'
import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { historyStartMs, leafStream, ordinaryDays } from '../fixtures/agent-history.ts'

const dayMs = 86_400_000
const nowMs = historyStartMs + 17 * dayMs + 10 * 3_600_000

/** A log in memory with the behaviour that the runner relies on: reads take a while, commits tell the observer. */
class MemoryLog {
  readonly leaves: CommittedLeaf[] = []
  readonly make = leafStream()
  observer: FoldRunner | undefined
  appendFails = 0
  onRead: (() => void) | undefined
  readonly reader: LedgerReader = {
    size: async () => this.leaves.length,
    logIds: async () => ['main'],
    read: (_logId, from, until) => this.read(from, until),
    readOne: async (_logId, index) => this.leaves[index],
  }
  readonly appender: LedgerAppender = {
    append: async (_logId, events) => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (this.appendFails-- > 0) throw new Error('the sequencer is stopping')
      const from = this.leaves.length
      this.commit(events)
      return {
        logId: 'main',
        ranges: [{ firstIndex: from, count: events.length }],
        treeSize: this.leaves.length,
        root: '',
      } as unknown as Awaited<ReturnType<LedgerAppender['append']>>
    },
  }

  commit(events: readonly EventFields[], atMs = nowMs): void {
    const fromIndex = this.leaves.length
    const leaves = events.map((event) => this.make(atMs, event))
    this.leaves.push(...leaves)
    this.observer?.observe({
      logId: 'main',
      fromIndex,
      leaves,
      treeSize: this.leaves.length,
      root: new Uint8Array(32),
    })
  }

  findings() {
    return this.leaves
      .filter((leaf) => leaf.event['event.class'] === 'finding')
      .map((leaf) => fromFindingEvent(leaf.event))
  }

  private async *read(from: number, until: number) {
    await new Promise((resolve) => setTimeout(resolve, 1))
    this.onRead?.()
    for (let at = from; at < until; at += 300)
      yield this.leaves.slice(at, Math.min(until, at + 300))
  }
}

function follower(log: MemoryLog) {
  const seen: string[] = []
  const upTos: number[] = []
  const errors: Error[] = []
  const runner = new FoldRunner({
    reader: log.reader,
    appender: log.appender,
    digest: sha256,
    detectors: [firstScope, newArgumentValue, callRate],
    clock: () => nowMs,
    onCalls: async (_logId, upTo, changes) => {
      upTos.push(upTo)
      for (const { call } of changes) seen.push(`${call.observations[0]}`)
    },
    onError: (error) => errors.push(error),
  })
  log.observer = runner
  return { runner, seen, upTos, errors }
}

async function until(condition: () => boolean, what: string): Promise<void> {
  for (let waited = 0; !condition(); waited += 5) {
    if (waited > 20_000) throw new Error(`waited in vain for: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const ordinary = (n: number): EventFields => ({
  'gen_ai.agent.name': 'support',
  'mcp.server.name': 'tickets',
  'gen_ai.tool.name': 'search',
  'auth.scopes.granted': ['tickets:read'],
  'gen_ai.tool.call.arguments': { query: `customer ${n}` },
})
const strange: EventFields = { ...ordinary(1), 'auth.scopes.granted': ['tickets:admin'] }

function withHistory(): MemoryLog {
  const log = new MemoryLog()
  for (const leaf of ordinaryDays(14, 1, log.make, { imported: true })) log.leaves.push(leaf)
  return log
}

describe('the fold runner', () => {
  test('puts a finding on the record once, over restarts too', async () => {
    const log = withHistory()
    const first = follower(log)
    await first.runner.follow('main')
    log.commit([ordinary(1), strange, ordinary(2)])
    await until(() => log.findings().length > 0, 'the finding')
    await until(() => first.runner.judged('main') === log.leaves.length, 'all judged')
    await first.runner.stop()
    expect(log.findings()).toHaveLength(1)
    expect(log.findings()[0]).toMatchObject({ detector: 'first-scope@1' })

    const second = follower(log)
    await second.runner.follow('main')
    log.commit([ordinary(3)])
    await until(() => second.runner.judged('main') === log.leaves.length, 'all judged again')
    await second.runner.stop()
    expect(log.findings()).toHaveLength(1)
    expect([...first.errors, ...second.errors]).toEqual([])
  })

  test('records a finding at the next start when it was stopped before it could', async () => {
    const log = withHistory()
    log.commit([strange])
    const { runner } = follower(log)
    await runner.follow('main')
    await runner.stop()
    expect(log.findings()).toHaveLength(1)
  })

  test('folds each leaf once and in order while commits arrive during the refold', async () => {
    const log = withHistory()
    const { runner, seen, errors } = follower(log)
    let commits = 0
    log.onRead = () => {
      if (commits++ < 40) log.commit(Array.from({ length: 7 }, (_, i) => ordinary(i)))
    }
    await runner.follow('main')
    await until(() => runner.judged('main') >= log.leaves.length, 'all judged')
    await runner.stop()
    const calls = log.leaves
      .filter((leaf) => leaf.event['event.class'] === 'tool_call')
      .map((leaf) => `${leaf.index}`)
    expect(seen).toEqual(calls)
    expect(errors).toEqual([])
  })

  test('folds each leaf once and in order when commits come faster than it folds', async () => {
    const log = withHistory()
    const { runner, seen, upTos } = follower(log)
    await runner.follow('main')
    for (let burst = 0; burst < 3; burst++) {
      for (let i = 0; i < 30; i++) log.commit(Array.from({ length: 1003 }, () => ordinary(i)))
      await until(() => upTos.length > 10 + burst * 10, 'some slices')
    }
    await until(() => runner.judged('main') >= log.leaves.length, 'all judged')
    await runner.stop()
    const calls = log.leaves
      .filter((leaf) => leaf.event['event.class'] === 'tool_call')
      .map((leaf) => `${leaf.index}`)
    expect(seen).toEqual(calls)
    expect(upTos).toEqual(upTos.toSorted((a, b) => a - b))
  })

  test('keeps a finding whose append failed and records it later', async () => {
    const log = withHistory()
    const { runner, errors } = follower(log)
    await runner.follow('main')
    log.appendFails = 1
    log.commit([strange])
    await until(() => errors.length > 0, 'the failure')
    log.commit([ordinary(2)])
    await until(() => log.findings().length > 0, 'the finding')
    await runner.stop()
    expect(log.findings()).toHaveLength(1)
  })

  test('does not spin while the ledger cannot be read', async () => {
    const log = withHistory()
    const { runner, errors } = follower(log)
    await runner.follow('main')
    const broken = log.onRead
    log.onRead = () => {
      throw new Error('disk')
    }
    // Not the following segment: it has to be read.
    log.leaves.push(log.make(nowMs, ordinary(1)))
    log.commit([ordinary(2)])
    await until(() => errors.length > 0, 'the failure')
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(errors.length).toBeLessThan(4)
    log.onRead = broken
    await until(() => runner.judged('main') === log.leaves.length, 'recovery by itself')
    await runner.stop()
  })
})
