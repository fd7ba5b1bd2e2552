import { expect, test } from 'vitest'
import { IntegrityReply } from '../../../schemas/api/integrity.ts'
import { temporaryDirectory } from '../../fixtures/embedded-ledger.ts'
import { FaultControl } from '../../fixtures/fault-control.ts'
import { RunningSealtrail } from '../../fixtures/running-sealtrail.ts'

const dayMs = 86_400_000

test('a clock that jumps ten years ahead, and then a day back, of a running Sealtrail: said, not followed, nothing doubled', async () => {
  const directory = await temporaryDirectory()
  const control = new FaultControl(directory)
  const sealtrail = await RunningSealtrail.start(directory, control.environment)
  try {
    const key = await sealtrail.key('clock')
    const post = async (id: string) => {
      const response = await fetch(`${sealtrail.url}/v1/events?ack=ledger`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ 'event.class': 'tool_call', 'source.event.id': id }),
      })
      expect(response.status).toBe(200)
      return await response.text()
    }
    const warnings = async () =>
      (await sealtrail.control.call(IntegrityReply, 'GET', '/api/v1/integrity')).warnings.join('\n')
    await post('a')
    expect(await warnings()).toBe('')
    control.shiftClock(3652 * dayMs)
    await post('b')
    expect(await warnings()).toMatch(/jumped by \+3652 days, which is not followed/)
    expect(await post('a')).toMatch(/"duplicates":1/)
    control.shiftClock(-dayMs)
    await post('c')
    expect(await warnings()).toMatch(/jumped by -24 hours, which is not followed/)
    control.shiftClock(0)
    await post('d')
    expect(await warnings()).toBe('')
    expect(await sealtrail.stop()).toBe(0)

    // At the start ten years are refused, with a way out.
    control.shiftClock(3652 * dayMs)
    await expect(sealtrail.restart()).rejects.toThrow(/CLOCK_IMPLAUSIBLE[\s\S]*--accept-clock/)
    control.shiftClock(0)
    await sealtrail.restart()
    expect((await sealtrail.verify('main')).ok).toBe(true)
  } finally {
    await sealtrail.end()
    control.close()
  }
})
