import { expect, test } from 'vitest'
import { demoOutcome } from '../fixtures/demo-outcome.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

test('the demo: the misled agent is among the findings with its reason, and the ordinary agents raise none', async () => {
  const sealtrail = await RunningSealtrail.start()
  try {
    const { calls, findings, entities } = await demoOutcome(sealtrail)
    expect(calls.length).toBeGreaterThan(2000)
    expect(entities).toEqual(['inbox-assistant'])
    expect(
      findings.some(
        (finding) =>
          finding.includes('archive@evil-partner.example') &&
          finding.includes('word for word') &&
          finding.includes('"severity":"critical"'),
      ),
    ).toBe(true)
    expect(findings.some((finding) => finding.includes('calendar:admin'))).toBe(true)
    expect(await sealtrail.verify('main')).toMatchObject({ ok: true, firstProblem: null })
  } finally {
    await sealtrail.end()
  }
}, 120_000)
