import { expect, test } from 'vitest'
import { durationSeconds } from '../../cli/source-key-command.ts'

test('lengths of time are numbers with a unit, and nothing else is one', () => {
  const lengths = { '0': 0, '0h': 0, '90s': 90, '90m': 5400, '24h': 86_400, '7d': 604_800 }
  for (const [text, seconds] of Object.entries(lengths)) expect(durationSeconds(text)).toBe(seconds)
  for (const text of ['', '5', '-1h', '1.5h', '1w', '1h30m', '9999999d', ' 1h'])
    expect([text, durationSeconds(text)]).toEqual([text, undefined])
})
