import { describe, expect, it } from 'vitest'
import type { SourceRow } from '../../schemas/api/sources.ts'
import { defaultSourceQuota } from '../../schemas/source-quota.ts'
import { formatBytes, formatRate, quotaUse } from '../../web/format/figures.ts'

describe('figures of a source', () => {
  it.each([
    [0, '0'],
    [0.05, '3/h'],
    [1.26, '1.3/min'],
    [64.2, '64/min'],
    [600, '10/s'],
    [3_000_000, '50,000/s'],
  ])('%d a minute is said as %s', (perMinute, text) => {
    expect(formatRate(perMinute)).toBe(text)
  })

  it.each([
    [0, '0 B'],
    [1023, '1,020 B'],
    [1024, '1 KiB'],
    [18_211, '17.8 KiB'],
    [2 ** 50, '1 PiB'],
    [2 ** 62, '4,100 PiB'],
  ])('%d bytes are said as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  it('a quota is used as much as the part of it that is used most', () => {
    const sinceStart: NonNullable<SourceRow['sinceStart']> = {
      requests: 1,
      records: 1,
      duplicates: 0,
      refused: 0,
      rejectedBytesToday: 0,
      hashedToday: 0,
      eventsPerSecond: 5000,
      bytesPerSecond: 32 * 1024 * 1024,
    }
    const use = (row: Pick<SourceRow, 'sinceStart' | 'quota'>) => quotaUse(row)
    const quota = defaultSourceQuota
    expect(use({ sinceStart: null, quota })).toBeUndefined()
    expect(use({ sinceStart, quota })).toBe(0.5)
    expect(use({ sinceStart, quota: { ...quota, eventsPerSecond: 2500 } })).toBe(2)
    expect(use({ sinceStart, quota: { ...quota, rejectedBytesPerDay: 0 } })).toBe(0.5)
  })
})
