import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { killRounds, seedOfRun } from '../fixtures/kill-rounds.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

test('kill -9 at random moments: every acknowledged record is there exactly once, and the rows equal the ledger', async () => {
  const sealtrail = await RunningSealtrail.start()
  try {
    const { acknowledged } = await killRounds(sealtrail, 3, seedOfRun())
    expect(acknowledged).toBeGreaterThan(50)
  } finally {
    await sealtrail.end()
  }
}, 120_000)

test('killing the columnar store stops no acknowledgement and loses nothing', async () => {
  const sealtrail = await RunningSealtrail.start()
  try {
    const key = await sealtrail.key('steady')
    let sent = 0
    let slowestMs = 0
    const until = Date.now() + 4000
    const killer = (async () => {
      for (let i = 0; i < 2; i++) {
        await sleep(700)
        const pid = await sealtrail.columnarPid()
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
      }
    })()
    while (Date.now() < until) {
      const started = Date.now()
      const response = await fetch(`${sealtrail.url}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          'event.class': 'tool_call',
          'gen_ai.tool.name': 'steady',
          'source.event.id': `s-${sent}`,
        }),
      })
      await response.text()
      expect(response.status).toBe(200)
      slowestMs = Math.max(slowestMs, Date.now() - started)
      sent++
    }
    await killer
    expect(slowestMs).toBeLessThan(3000)
    for (let tries = 0; tries < 60; tries++) {
      const result = await sealtrail.verify('main')
      if (result.ok && result.rows === result.treeSize && result.treeSize >= sent) return
      await sleep(500)
    }
    expect.unreachable('the projection did not catch up within 30 s')
  } finally {
    await sealtrail.end()
  }
}, 120_000)
