import { expect, test } from 'vitest'
import { ProgressLine } from '../../cli/progress-line.ts'

function recorded(isTTY: boolean) {
  const written: string[] = []
  const clock = { nowMs: 0 }
  const output = { isTTY, write: (text: string) => written.push(text) }
  return { written, clock, line: new ProgressLine(output, () => clock.nowMs) }
}

test('a terminal has one line, written over at each new percent and cleared at the end', () => {
  const { written, line } = recorded(true)
  line.update('leaves', 0, 1000)
  line.update('leaves', 1, 1000)
  line.update('leaves', 500, 1000)
  line.done()
  expect(written).toEqual(['\r\u001b[K  leaves 0 %', '\r\u001b[K  leaves 50 %', '\r\u001b[K'])
})

test('a file has nothing of short work, and a line each five seconds of long work', () => {
  const { written, clock, line } = recorded(false)
  for (const [nowMs, done] of [
    [0, 1],
    [4999, 20],
    [5000, 30],
    [9000, 60],
    [10_000, 70],
  ] as const) {
    clock.nowMs = nowMs
    line.update('leaves', done, 100)
  }
  line.done()
  clock.nowMs = 11_000
  line.update('rows', 100, 100)
  expect(written).toEqual(['  leaves 30 %\n', '  leaves 70 %\n'])
})

test('nothing of nothing is all of it', () => {
  const { written, line } = recorded(true)
  line.update('leaves', 0, 0)
  expect(written).toEqual(['\r\u001b[K  leaves 100 %'])
})
