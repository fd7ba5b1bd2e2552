import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hex } from '../../schemas/bytes.ts'
import {
  aToolCall,
  openEmbeddedLedger,
  temporaryDirectory,
  testMasterKey,
} from '../fixtures/embedded-ledger.ts'
import { type Fault, FaultControl } from '../fixtures/fault-control.ts'
import { RunningLedger } from '../fixtures/running-ledger.ts'
import { verifyOffline } from '../fixtures/small-directory.ts'

const boundary = 65_536
const before = boundary - 100
let filled: string

beforeAll(async () => {
  filled = await temporaryDirectory()
  const ledger = await openEmbeddedLedger(filled)
  for (let size = 0; size < before; ) {
    const count = Math.min(2000, before - size)
    await ledger.sequencer.append(
      'main',
      Array.from({ length: count }, () => aToolCall()),
    )
    size += count
  }
  await ledger.close()
  writeFileSync(join(filled, 'keyring/master.key'), `${hex(testMasterKey)}\n`, { mode: 0o600 })
}, 300_000)
afterAll(() => rmSync(filled, { recursive: true, force: true }))

test.each<Fault>([
  { action: 'killAfter', nth: 2 },
  { action: 'tornWrite', nth: 3 },
  { action: 'fail', error: 'EIO', nth: 4 },
  { action: 'fail', error: 'ENOSPC', nth: 3 },
])(
  'the 65,536th leaf: $action $error at file operation $nth',
  async (fault) => {
    const directory = await temporaryDirectory()
    cpSync(filled, directory, { recursive: true })
    const control = new FaultControl(directory)
    const ledger = await RunningLedger.start(directory, {
      steady: true,
      environment: control.environment,
    })
    const body = Array.from({ length: 200 }, (_, n) =>
      JSON.stringify({
        'event.class': 'tool_call',
        'source.event.id': `n-${n}`,
        'gen_ai.tool.call.arguments': { n },
      }),
    ).join('\n')
    try {
      // The log is opened by its first record.
      const one = JSON.stringify({ 'event.class': 'tool_call', 'source.event.id': 'one' })
      expect((await ledger.post(one)).status).toBe(200)
      const from = (await ledger.size()).durable
      control.arm(fault)
      expect((await ledger.post(body)).status).not.toBe(200)
      expect(control.fired).toBe(true)
      control.disarm()
      if (fault.error === 'ENOSPC') expect(await ledger.ended(100)).toBeUndefined()
      else {
        expect(await ledger.ended(10_000)).toBeDefined()
        await ledger.restart()
      }
      // What was refused is delivered again by itself after half a second; until then more is refused.
      for (let tries = 0; (await ledger.post(body)).status !== 200; tries++) {
        expect(tries).toBeLessThan(50)
        await sleep(200)
      }
      expect((await ledger.size()).durable).toBe(from + 200)
      await ledger.post('', '/checkpoint')
      await ledger.kill9()
      const { said } = await verifyOffline(directory)
      expect(said).toContain(`OK  main: ${from + 200} leaves`)
    } finally {
      await ledger.kill9()
      control.close()
      rmSync(directory, { recursive: true, force: true })
    }
  },
  600_000,
)
