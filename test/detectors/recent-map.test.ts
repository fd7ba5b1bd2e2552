import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RecentMap } from '../../analytics/recent-map.ts'

describe('a map of the most recent entries', () => {
  test('does what a list in order of use does', () => {
    const step = fc.record({
      kind: fc.constantFrom('use', 'delete', 'evict', 'peek'),
      key: fc.integer({ min: 0, max: 9 }).map(String),
    })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.array(step, { maxLength: 200 }),
        (capacity, steps) => {
          const gone: string[] = []
          const expectedGone: string[] = []
          const map = new RecentMap<{ key: string }>(capacity, (value, key) => {
            expect(value.key).toBe(key)
            gone.push(key)
          })
          let model: string[] = []
          const evict = () => {
            if (model.length < 2) return false
            expectedGone.push(model[0] ?? '')
            model = model.slice(1)
            return true
          }
          for (const { kind, key } of steps) {
            if (kind === 'use') {
              expect(map.use(key, () => ({ key })).key).toBe(key)
              model = [...model.filter((each) => each !== key), key]
              if (model.length > capacity) evict()
            } else if (kind === 'delete') {
              map.delete(key)
              model = model.filter((each) => each !== key)
            } else if (kind === 'evict') expect(map.evictOldest()).toBe(evict())
            else expect(map.peek(key)?.key).toBe(model.includes(key) ? key : undefined)
            expect([...map.entries()].map(([name]) => name)).toEqual(model)
            expect(map.size).toBe(model.length)
          }
          expect(gone).toEqual(expectedGone)
        },
      ),
    )
  })

  test('forgets the oldest of many as fast as of few', () => {
    const usOf = (capacity: number) => {
      const map = new RecentMap<number>(capacity)
      let n = 0
      const fill = (count: number) => {
        for (const until = n + count; n < until; n++) map.use(`key ${n}`, () => n)
      }
      fill(capacity)
      const { user } = process.cpuUsage()
      fill(50_000)
      return process.cpuUsage().user - user
    }
    usOf(100)
    // A search for the oldest would take five hundred times as long.
    expect(usOf(50_000) / usOf(100)).toBeLessThan(100)
  })
})
