import { expect, test } from 'vitest'
import { killRounds, seedOfRun } from '../fixtures/kill-rounds.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

test('kill -9 at thirty random moments', async () => {
  const sealtrail = await RunningSealtrail.start()
  try {
    const { acknowledged, kills } = await killRounds(sealtrail, 30, seedOfRun())
    process.stdout.write(`${kills} kills, ${acknowledged} acknowledged records, each there once\n`)
    expect(acknowledged).toBeGreaterThan(500)
  } finally {
    await sealtrail.end()
  }
}, 600_000)
