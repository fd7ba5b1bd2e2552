import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { untilStopSignal } from '../../cli/stop-signal.ts'

function stoppable() {
  const source = new EventEmitter()
  const clock = { nowMs: 0 }
  const exits: number[] = []
  const signal = untilStopSignal(
    source,
    () => clock.nowMs,
    (code) => exits.push(code),
  )
  return { source, clock, exits, signal }
}

test('the first signal stops, and its echo through npm does not cut the stop short', async () => {
  const { source, clock, exits, signal } = stoppable()
  source.emit('SIGINT')
  clock.nowMs = 40
  source.emit('SIGINT')
  expect(await signal).toBe('SIGINT')
  expect(exits).toEqual([])
})

test('another one later does not wait', async () => {
  const { source, clock, exits, signal } = stoppable()
  source.emit('SIGTERM')
  clock.nowMs = 1000
  source.emit('SIGINT')
  expect(await signal).toBe('SIGTERM')
  expect(exits).toEqual([130])
})
