import { expect, test } from 'vitest'
import { callRate } from '../../analytics/detectors/call-rate.ts'
import { firstScope } from '../../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../../analytics/detectors/new-argument-value.ts'
import { Fold } from '../../analytics/fold/fold.ts'
import { historyEvents } from '../../demo/history.ts'
import { runDemo } from '../../demo/run.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { timestampToMs } from '../../schemas/event/timestamp.ts'
import { leafStream } from '../fixtures/agent-history.ts'
import { CaptureReceiver } from '../fixtures/mcp/capture-receiver.ts'
import { bundledCollector } from '../fixtures/mcp/tap-process.ts'

test('the demo raises findings about the attacked agent and about nobody else', async () => {
  const receiver = await new CaptureReceiver().start()
  const lines: string[] = []
  const result = await runDemo({
    url: receiver.url,
    sourceSecret: receiver.secretText,
    tap: [await bundledCollector()],
    log: (line) => lines.push(line),
  })
  await receiver.stop()
  expect(receiver.violations).toEqual([])
  expect(result.historyEvents).toBeGreaterThan(1500)
  const calls = receiver.records.filter((each) => each['event.class'] === 'tool_call')
  expect(calls).toHaveLength(result.historyEvents + result.liveCalls)
  const make = leafStream()
  const fold = new Fold({
    logId: 'main',
    digest: sha256,
    detectors: [firstScope, newArgumentValue, callRate],
  })
  const findings = receiver.records.flatMap(
    (record) =>
      fold.step(
        make(timestampToMs(record['time.occurred'] ?? ''), { ...record, 'source.id': 'demo' }),
      ).findings,
  )
  findings.push(
    ...fold.step(make(Date.now() + 600_000, { 'event.class': 'tick', 'source.id': 'sealtrail' }))
      .findings,
  )
  const seen = findings.map(({ detector, severity, explanation }) =>
    [detector, severity, explanation.entity.value, explanation.subject, explanation.observed].join(
      ' | ',
    ),
  )
  for (const finding of findings)
    expect(finding.explanation.entity.value, seen.join('\n')).toBe('inbox-assistant')
  const mail = findings.find(({ explanation }) => explanation.observed === result.outsideAddress)
  expect(mail, seen.join('\n')).toMatchObject({
    detector: 'new-argument-value@1',
    severity: 'critical',
  })
  expect(mail?.sentence).toContain('word for word')
  expect(seen.join('\n')).toContain('scope calendar:admin')
  expect(findings.length).toBeLessThanOrEqual(5)
  expect(lines.join('\n')).toContain(result.outsideAddress)
})

test('the same seed tells the same history, in time order, all of it imported', () => {
  const options = {
    days: 14,
    untilMs: Date.parse('2026-11-24T12:00:00Z'),
    workspace: '/w',
    seed: 7,
  }
  const [first, second] = [1, 2].map(() => [...historyEvents(options)])
  expect(first).toEqual(second)
  const times = first?.map((event) => event['time.occurred'] ?? '') ?? []
  expect(times).toEqual(times.toSorted())
  expect(first?.every((event) => event.imported === true)).toBe(true)
  expect([...historyEvents({ ...options, seed: 8 })]).not.toEqual(first)
})
