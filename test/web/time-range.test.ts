import { describe, expect, it } from 'vitest'
import {
  aroundInstant,
  describeTimeRange,
  formatTimeRange,
  parseTimeRange,
} from '../../web/state/time-range.ts'

const nowMs = Date.parse('2026-11-26T12:00:00Z')

describe('time range of a view', () => {
  it('reads presets up to a minute past now, and instants as they are', () => {
    expect(parseTimeRange('1h', nowMs)).toEqual({
      from: '2026-11-26T11:00:00.000Z',
      until: '2026-11-26T12:01:00.000Z',
    })
    expect(parseTimeRange('2026-11-22T04:50Z..2026-11-22T05:40Z', nowMs)).toEqual({
      from: '2026-11-22T04:50:00.000Z',
      until: '2026-11-22T05:40:00.000Z',
    })
  })

  it.each(['', 'x', '24', '99999d', '2026-11-22T05:40Z..2026-11-22T04:50Z', 'a..b'])(
    'takes the last day for %j',
    (text) => {
      expect(parseTimeRange(text, nowMs).from).toBe('2026-11-25T12:00:00.000Z')
      expect(describeTimeRange(text)).toBe('Last 24 hours')
    },
  )

  it('writes a range so that it reads back to the same instants', () => {
    const range = { from: '2026-11-22T04:50:00.000Z', until: '2026-11-22T05:40:07.125Z' }
    expect(parseTimeRange(formatTimeRange(range), nowMs)).toEqual(range)
    expect(formatTimeRange(range)).toBe('2026-11-22T04:50Z..2026-11-22T05:40:07.125Z')
  })

  it('spans a minute before and after an instant of nine digits', () => {
    expect(aroundInstant('2026-11-26T00:53:48.064012000Z')).toEqual({
      from: '2026-11-26T00:52:48.064Z',
      until: '2026-11-26T00:54:48.064Z',
    })
  })
})
