import { describe, expect, test } from 'vitest'
import { Mentions } from '../../analytics/erasure/mentions.ts'

describe('whether a text mentions somebody', () => {
  const mentions = new Mentions(['Ada', 'ada.lovelace@example.org', 'Jürgen', '李雷雷', '𝒜da-x'])
  test.each([
    'ADA wrote it',
    'user.name:ada',
    '"ada"',
    'to ada.lovelace@example.org.',
    'von JÜRGEN',
    '(李雷雷)',
    'by 𝒜da-x, again',
  ])('%s: yes', (text) => expect(mentions.in(text)).toBe(true))
  test.each(['', 'Adam', 'Canada', 'ada2', '2ada', 'adaé', '李雷', 'x李雷雷'])('%s: no', (text) =>
    expect(mentions.in(text)).toBe(false),
  )
  test('of nobody there is no mention', () => expect(new Mentions([]).in('Ada')).toBe(false))

  test('a source has many users, and a text is not read once for each', () => {
    const from = process.cpuUsage()
    const many = new Mentions(Array.from({ length: 100_000 }, (_, i) => `user number ${i} of ours`))
    expect(many.in(`${'lorem ipsum '.repeat(200)} User number 99999 of ours`)).toBe(true)
    expect(many.in(`${'lorem ipsum '.repeat(200)} user number 100000 of ours`)).toBe(false)
    // One pattern of all of them takes most of a minute: this is no measure of speed.
    expect(process.cpuUsage(from).user).toBeLessThan(5_000_000)
  })
})
