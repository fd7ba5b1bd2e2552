import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../../fixtures/embedded-ledger.ts'
import { FaultControl, operations } from '../../fixtures/fault-control.ts'
import { markersIn } from '../../fixtures/markers.ts'
import { RunningLedger } from '../../fixtures/running-ledger.ts'
import { verifyOffline } from '../../fixtures/small-directory.ts'

test('on a disk that takes 150 ms a sync, forty senders are acknowledged, and their records share segments', async () => {
  const directory = await temporaryDirectory()
  const control = new FaultControl(directory)
  const ledger = await RunningLedger.start(directory, { environment: control.environment })
  try {
    control.arm({ action: 'slow', nth: 1, lasting: true, kinds: operations.sync, delayMs: 150 })
    const send = (n: number) =>
      ledger.post(
        JSON.stringify({
          'event.class': 'tool_call',
          'gen_ai.tool.name': 'killed',
          'gen_ai.tool.call.arguments': { marker: `slow-${n}` },
        }),
      )
    const answers = await Promise.all(Array.from({ length: 40 }, (_, n) => send(n)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    const segments = new Set(answers.map(({ body }) => /"treeSize":(\d+)/.exec(body)?.[1]))
    expect(segments.size).toBeLessThan(20)
    expect(control.fired).toBe(true)
    control.disarm()
    expect(await ledger.stop()).toBe(0)
    expect((await verifyOffline(directory)).code).toBe(0)
    expect([...(await markersIn(directory)).values()]).toEqual(answers.map(() => 1))
  } finally {
    await ledger.kill9()
    control.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
