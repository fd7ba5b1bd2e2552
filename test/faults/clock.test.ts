import { rmSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { compareWithNewest, describeStep, SteadyClock } from '../../cli/steady-clock.ts'
import { aBatch } from '../conformance/event-bus.ts'
import { openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const start = Date.parse('2026-11-24T12:00:00Z')

function machine() {
  const at = { wall: start, monotonic: 5000, sinceBoot: 90_000 }
  const clock = new SteadyClock({
    wall: () => at.wall,
    monotonic: () => at.monotonic,
    sinceBoot: () => at.sinceBoot,
  })
  return {
    at,
    clock,
    pass(ms: number, asleep = false) {
      at.wall += ms
      at.sinceBoot += ms
      if (!asleep) at.monotonic += ms
    },
  }
}

describe('the clock', () => {
  test.each([
    ['ten years ahead', 3652 * dayMs, '+3652 days'],
    ['a day back', -dayMs, '-24 hours'],
    ['to 1970', -start, `${Math.round(-start / dayMs)} days`],
    [
      'to the end of 32 bit',
      2 ** 31 * 1000 - start,
      `+${Math.round((2 ** 31 * 1000 - start) / dayMs)} days`,
    ],
  ])(
    'that jumps %s while it runs is not followed, and is again when it is back',
    (_name, step, said) => {
      const { at, clock, pass } = machine()
      pass(10_000)
      expect(clock.now()).toBe(start + 10_000)
      at.wall += step
      pass(30_000)
      expect(clock.now()).toBe(start + 40_000)
      expect(clock.refusedStepMs).toBe(step)
      expect(describeStep(clock.refusedStepMs)).toBe(said)
      pass(10 * hourMs)
      expect(clock.now()).toBe(start + 40_000 + 10 * hourMs)
      at.wall -= step
      expect(clock.now()).toBe(at.wall)
      expect(clock.refusedStepMs).toBe(0)
    },
  )

  test('of a machine that slept is right, and so is one that drifts', () => {
    const { at, clock, pass } = machine()
    pass(3 * dayMs, true)
    expect(clock.now()).toBe(start + 3 * dayMs)
    for (let hours = 0; hours < 1000; hours++) {
      pass(hourMs)
      at.wall += 30_000
      expect(clock.now()).toBe(at.wall)
    }
    expect(clock.refusedStepMs).toBe(0)
  })

  test('at the start may be ahead of the newest record by a year, not by ten; behind it is a warning', () => {
    expect(compareWithNewest(start, 0, false)).toBeUndefined()
    expect(compareWithNewest(start + 200 * dayMs, start, false)).toBeUndefined()
    expect(() => compareWithNewest(start + 3652 * dayMs, start, false)).toThrow(
      /the clock says 2036-.*, and the newest record is of 2026-/,
    )
    expect(compareWithNewest(start + 3652 * dayMs, start, true)).toBeUndefined()
    expect(compareWithNewest(start - dayMs, start, false)).toMatch(/until the clock has passed it/)
  })
})

test('after a start under a clock that is months ahead, the keys of yesterday are kept: a request that is repeated is known', async () => {
  const directory = await temporaryDirectory()
  const message = (n: number, offset: number) => ({
    position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset) },
    batch: aBatch('main', n, { firstOrdinal: 0, requestCount: 1 }),
  })
  const first = await openEmbeddedLedger(directory)
  await first.sequencer.handle([message(0, 0)])
  await first.close()

  const jumped = await openEmbeddedLedger(
    directory,
    undefined,
    undefined,
    undefined,
    start + 90 * dayMs,
  )
  await jumped.sequencer.tick()
  await jumped.close()

  const back = await openEmbeddedLedger(directory)
  await back.sequencer.tick()
  await back.sequencer.handle([message(0, 1)])
  await back.sequencer.publishCheckpoints()
  const leaves: string[] = []
  for await (const chunk of back.reader.read('main', 0, await back.reader.size('main')))
    for (const { event } of chunk) leaves.push(event['event.class'])
  const times: string[] = []
  for await (const chunk of back.reader.read('main', 0, await back.reader.size('main')))
    for (const { event } of chunk) times.push(event['time.recorded'])
  expect(leaves.filter((each) => each === 'tool_call')).toHaveLength(1)
  expect(times).toEqual([...times].sort())
  await back.close()
  rmSync(directory, { recursive: true })
})
