import { expect, test } from 'vitest'
import { InsertPace, lingerMs } from '../../analytics/store/insert-pace.ts'

test('the slower the store, the longer rows gather, within bounds', async () => {
  let nowMs = 1000
  const pace = new InsertPace(() => nowMs)
  const insert = (tookMs: number) =>
    pace.measure(async () => {
      nowMs += tookMs
    })
  expect(pace.dueInMs()).toBeLessThanOrEqual(0)
  await insert(10)
  expect(pace.dueInMs()).toBe(lingerMs - 10)
  await insert(150)
  expect(pace.dueInMs()).toBe(1050)
  await insert(5000)
  expect(pace.dueInMs()).toBeLessThanOrEqual(0)
  await insert(1)
  expect(pace.dueInMs()).toBe(lingerMs - 1)
})

test('an insert that fails counts as one', async () => {
  let nowMs = 0
  const pace = new InsertPace(() => nowMs)
  const failing = pace.measure(async () => {
    nowMs += 100
    throw new Error('away')
  })
  await expect(failing).rejects.toThrow('away')
  expect(pace.dueInMs()).toBe(700)
})
