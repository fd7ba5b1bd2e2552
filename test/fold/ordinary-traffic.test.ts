import { expect, test } from 'vitest'
import { callRate } from '../../analytics/detectors/call-rate.ts'
import { firstScope } from '../../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../../analytics/detectors/new-argument-value.ts'
import { Fold } from '../../analytics/fold/fold.ts'
import type { CommittedLeaf } from '../../ledger/committed.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { Finding } from '../../schemas/finding.ts'
import { historyStartMs, leafStream, ordinaryDays, seeded } from '../fixtures/agent-history.ts'

const detectors = [firstScope, newArgumentValue, callRate]
const dayMs = 86_400_000

/** The same leaves in another order: each arrives up to `spread` places too early or too late. */
function shuffled(leaves: readonly CommittedLeaf[], spread: number, seed: number): CommittedLeaf[] {
  const random = seeded(seed)
  return leaves
    .map((leaf, at) => ({ leaf, at: at + random() * spread }))
    .sort((a, b) => a.at - b.at)
    .map(({ leaf }, index) => ({ ...leaf, index }))
}

test('ordinary days raise nothing, in whatever order and however late they arrive', () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    const make = leafStream()
    const history = [...ordinaryDays(14, seed, make, { imported: true })]
    const live = [...ordinaryDays(7, 100 + seed, make, {}, 14)]
    for (const spread of [0, 30, 400]) {
      const fold = new Fold({ logId: 'main', digest: sha256, detectors })
      const findings: Finding[] = []
      for (const leaf of [...history, ...shuffled(live, spread, seed)])
        findings.push(...fold.step(leaf).findings)
      expect(
        findings.map(({ sentence }) => sentence),
        `seed ${seed}, spread ${spread}`,
      ).toEqual([])
    }
  }
})

test('a tail probability is no smaller than how often ordinary traffic reaches it', () => {
  const scores: number[] = []
  let calls = 0
  for (const seed of [11, 12, 13, 14]) {
    const make = leafStream()
    const onScore = (_leaf: number, p: number) => scores.push(p)
    const fold = new Fold({ logId: 'main', digest: sha256, detectors, onScore })
    for (const leaf of ordinaryDays(14, seed, make, { imported: true })) fold.step(leaf)
    for (const leaf of ordinaryDays(14, 200 + seed, make, {}, 14)) {
      fold.step(leaf)
      calls++
    }
  }
  expect(calls).toBeGreaterThan(4000)
  expect(scores.length).toBeGreaterThan(1000)
  for (const p of [0.001, 0.01, 0.05]) {
    const reached = scores.filter((score) => score <= p).length
    expect([p, reached / calls <= p]).toEqual([p, true])
  }
})

test('the baseline of a rate counts every five minutes once, also those that a tick closed', () => {
  const make = leafStream()
  const fold = new Fold({ logId: 'main', digest: sha256, detectors: [callRate] })
  const call = (atMs: number) =>
    make(atMs, { 'gen_ai.agent.name': 'a', 'mcp.server.name': 's', 'gen_ai.tool.name': 't' })
  const tick = (atMs: number) => make(atMs, { 'event.class': 'tick', 'source.id': 'sealtrail' })
  // A call every hour for three days, each closed by a tick.
  for (let hour = 0; hour < 72; hour++) {
    fold.step(call(historyStartMs + hour * 3_600_000))
    fold.step(tick(historyStartMs + hour * 3_600_000 + 600_000))
  }
  const burstMs = historyStartMs + 3 * dayMs
  for (let i = 0; i < 60; i++) fold.step(call(burstMs + i * 1000))
  const [burst] = fold.step(tick(burstMs + 600_000)).findings
  expect(burst?.explanation.window.samples).toBe((3 * dayMs) / 300_000)
})
