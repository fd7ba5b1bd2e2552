import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { callRate } from '../../analytics/detectors/call-rate.ts'
import { firstScope } from '../../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../../analytics/detectors/new-argument-value.ts'
import { Fold } from '../../analytics/fold/fold.ts'
import { FoldRunner } from '../../analytics/fold/fold-runner.ts'
import type { FoldSnapshot, FoldSnapshots } from '../../analytics/fold/fold-snapshot.ts'
import { openFileFoldSnapshots } from '../../analytics/snapshots/file-fold-snapshots.ts'
import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import type { Finding } from '../../schemas/finding.ts'
import { historyStartMs, leafStream, ordinaryDays } from '../fixtures/agent-history.ts'

const dayMs = 86_400_000
const detectors = [firstScope, newArgumentValue, callRate]
const newFold = (alertsPerDay = 10) =>
  new Fold({ logId: 'main', digest: sha256, detectors, alertsPerDay })

/** Days of habits, then what was never seen: rights, recipients, rates, sessions. */
function history(): CommittedLeaf[] {
  const make = leafStream()
  const leaves = [
    ...ordinaryDays(6, 1, make, { imported: true }),
    ...ordinaryDays(2, 2, make, {}, 6),
  ]
  const nowMs = historyStartMs + 8 * dayMs + 10 * 3_600_000
  const strange = (at: number, fields: EventFields) => leaves.push(make(nowMs + at * 1000, fields))
  for (let i = 0; i < 60; i++) {
    strange(i, {
      'event.class': i % 9 === 0 ? 'tick' : 'tool_call',
      'gen_ai.agent.name': `agent-${i % 3}`,
      'gen_ai.conversation.id': `session ${i % 4}`,
      'mcp.server.name': 'mail',
      'gen_ai.tool.name': i % 2 === 0 ? 'send_mail' : 'read_inbox',
      'auth.scopes.granted': [`scope-${i % 7}:admin`],
      'gen_ai.tool.call.arguments': { to: `person-${i}@evil-${i % 5}.example` },
      'gen_ai.tool.call.result': { text: `write to person-${i + 2}@evil-${(i + 2) % 5}.example` },
    })
  }
  return leaves
}

function findingsOf(fold: Fold, leaves: readonly CommittedLeaf[]): Finding[] {
  return leaves.flatMap((leaf) => [...fold.step(leaf).findings])
}

describe('the state of a fold', () => {
  const leaves = history()
  const whole = findingsOf(newFold(), leaves)

  test('this history has findings of several detectors', () => {
    expect(new Set(whole.map(({ detector }) => detector)).size).toBeGreaterThan(1)
  })

  test('saved and taken over at any leaf, it leads to the same findings and the same state', () => {
    const end = newFold()
    findingsOf(end, leaves)
    const saved = JSON.stringify(end.save())
    fc.assert(
      fc.property(fc.integer({ min: 0, max: leaves.length }), (at) => {
        const before = newFold()
        const first = findingsOf(before, leaves.slice(0, at))
        const after = newFold()
        after.restore(JSON.parse(JSON.stringify(before.save())))
        expect([...first, ...findingsOf(after, leaves.slice(at))]).toEqual(whole)
        expect(JSON.stringify(after.save())).toBe(saved)
      }),
      { numRuns: 12, examples: [[leaves.length - 30], [leaves.length]] },
    )
  })

  test('what was saved does not change when the fold goes on', () => {
    const fold = newFold()
    findingsOf(fold, leaves.slice(0, -40))
    const saved = fold.save()
    const text = JSON.stringify(saved)
    findingsOf(fold, leaves.slice(-40))
    expect(JSON.stringify(saved)).toBe(text)
  })

  test('another budget is another set of rules', () => {
    expect(newFold(5).rules).not.toBe(newFold().rules)
    expect(newFold().rules).toContain('first-scope@1')
  })
})

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealtrail-snapshots-'))
})
afterAll(() => rm(directory, { recursive: true, force: true }))

const key = Buffer.alloc(32, 9)
const release = '1.0.0'
function fileSnapshots(over: Partial<Parameters<typeof openFileFoldSnapshots>[0]> = {}) {
  const ignored: string[] = []
  const snapshots = openFileFoldSnapshots({
    directory,
    key,
    release,
    onIgnored: (reason) => ignored.push(reason),
    ...over,
  })
  return { snapshots, ignored }
}

const snapshot: FoldSnapshot = {
  rules: newFold().rules,
  leaves: 7,
  leafHash: 'ab'.repeat(32),
  lastCallLeaf: 6,
  recorded: ['finding-1'],
  pending: [],
  state: { watermarks: [['CANARY-alice', 1]] },
}

describe('files of snapshots', () => {
  test('what was stored is loaded, and is no plaintext on disk', async () => {
    const { snapshots, ignored } = fileSnapshots()
    await snapshots.store('main', snapshot)
    expect(await snapshots.load('main')).toEqual(snapshot)
    expect(await snapshots.load('other')).toBeUndefined()
    const bytes = await readFile(join(directory, 'main.fold'))
    expect(bytes.includes('CANARY-alice')).toBe(false)
    expect(bytes.includes('sealtrail-fold-snapshot/1')).toBe(true)
    expect(ignored).toEqual([])
  })

  test('one of another key, release or log, and one that was altered anywhere, is ignored', async () => {
    const { snapshots } = fileSnapshots()
    await snapshots.store('main', snapshot)
    for (const over of [{ key: Buffer.alloc(32, 8) }, { release: '1.0.1' }]) {
      const other = fileSnapshots(over)
      expect(await other.snapshots.load('main')).toBeUndefined()
      expect(other.ignored).toHaveLength(1)
    }
    const bytes = await readFile(join(directory, 'main.fold'))
    await writeFile(join(directory, 'other.fold'), bytes)
    expect(await snapshots.load('other')).toBeUndefined()
    for (let at = 0; at < bytes.length; at += 13) {
      const altered = Buffer.from(bytes)
      altered[at] = (altered[at] ?? 0) ^ 1
      await writeFile(join(directory, 'main.fold'), altered)
      expect(await snapshots.load('main')).toBeUndefined()
    }
    for (const length of [0, 40, 80, bytes.length - 1]) {
      await writeFile(join(directory, 'main.fold'), bytes.subarray(0, length))
      expect(await snapshots.load('main')).toBeUndefined()
    }
  })

  test('wiped, there are none', async () => {
    const { snapshots } = fileSnapshots()
    await snapshots.store('main', snapshot)
    await snapshots.wipe()
    expect(await readdir(directory)).toEqual([])
    expect(await snapshots.load('main')).toBeUndefined()
    await fileSnapshots({ directory: join(directory, 'none') }).snapshots.wipe()
  })
})

describe('a start with a snapshot', () => {
  const leaves = history()

  /** Runs over the first `size` leaves and stops. @returns leaves read, and findings appended */
  async function run(
    size: number,
    snapshots: FoldSnapshots,
    over: { alertsPerDay?: number; cursor?: number; leaves?: readonly CommittedLeaf[] } = {},
  ) {
    const stored = (over.leaves ?? leaves).slice(0, size)
    let read = 0
    const reader: LedgerReader = {
      size: async () => size,
      logIds: async () => ['main'],
      async *read(_logId, from, until) {
        read += until - from
        yield stored.slice(from, until)
      },
      readOne: async (_logId, index) => stored[index],
    }
    const findings: string[] = []
    const errors: Error[] = []
    const runner = new FoldRunner({
      reader,
      appender: {
        append: async (_logId, events) => {
          findings.push(...events.map((event) => event['finding.id'] ?? ''))
          throw new Error('kept for the next start')
        },
      },
      digest: sha256,
      detectors,
      clock: () => historyStartMs,
      alertsPerDay: over.alertsPerDay ?? 10,
      onCalls: async () => undefined,
      onError: (error) => errors.push(error),
      snapshots,
      ...(over.cursor === undefined ? {} : { callsCursor: async () => over.cursor ?? 0 }),
    })
    await runner.follow('main')
    await runner.stop()
    return { read, findings: new Set(findings), errors }
  }

  test('reads only what is new, and puts the same findings on the record', async () => {
    const { snapshots } = fileSnapshots()
    const whole = await run(leaves.length, { ...noSnapshots })
    expect(whole.findings.size).toBeGreaterThan(0)
    await run(leaves.length - 25, snapshots)
    const after = await run(leaves.length, snapshots)
    expect(after.read).toBe(25)
    expect(after.findings).toEqual(whole.findings)
  })

  test.each([
    ['other rules', { alertsPerDay: 3 }],
    ['calls that the columnar store lost', { cursor: leaves.length - 40 }],
    ['another history', { leaves: otherHistory(leaves) }],
  ])('reads everything again after %s', async (_what, over) => {
    const { snapshots } = fileSnapshots()
    await run(leaves.length, snapshots)
    expect((await run(leaves.length, snapshots, over)).read).toBe(leaves.length)
  })

  test('of a log that is shorter now reads everything again', async () => {
    const { snapshots } = fileSnapshots()
    await run(leaves.length, snapshots)
    expect((await run(leaves.length - 10, snapshots)).read).toBe(leaves.length - 10)
  })
})

function otherHistory(leaves: readonly CommittedLeaf[]): CommittedLeaf[] {
  return leaves.map((leaf) => ({ ...leaf, leafHash: new Uint8Array(32).fill(3) }))
}

const noSnapshots: FoldSnapshots = {
  load: async () => undefined,
  store: async () => undefined,
  wipe: async () => undefined,
}
