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
    const send = async () => {
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
      sent++
    }
    for (let kills = 0; kills < 2; kills++) {
      for (let i = 0; i < 10; i++) await send()
      const pid = await sealtrail.columnarPid()
      if (pid === undefined) throw new Error('there is no columnar store to kill')
      // Stopped first: whatever waited for it now would wait for ever, and the test with it.
      process.kill(pid, 'SIGSTOP')
      for (let i = 0; i < 10; i++) await send()
      process.kill(pid, 'SIGKILL')
      while ((await sealtrail.columnarPid()) === pid) await send()
      for (let tries = 0; (await sealtrail.columnarPid()) === undefined; tries++) {
        if (tries > 300) throw new Error('the columnar store was not started again')
        await send()
        await sleep(100)
      }
    }
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
