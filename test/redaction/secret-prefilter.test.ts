import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  mayHoldSecret,
  secretLiterals,
  urlWithUser,
} from '../../ingest/redaction/secret-prefilter.ts'

const sources = [...secretLiterals.map(([source]) => source), urlWithUser.source]

describe('the literal prefilter', () => {
  it.each(sources)('lets everything through that holds %s', (source) => {
    fc.assert(
      fc.property(
        fc.stringMatching(new RegExp(`^${source}$`)),
        fc.string(),
        fc.string(),
        fc.boolean(),
        (literal, before, after, upper) => {
          const text = before + (upper ? literal.toUpperCase() : literal) + after
          expect(mayHoldSecret(text)).toBe(true)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('harmless words before a literal do not hide it', () => {
    const harmless = 'https://a/b keyboard, broken, in passing '.repeat(100)
    expect(mayHoldSecret(harmless)).toBe(false)
    expect(mayHoldSecret(`${harmless}Password`)).toBe(true)
  })

  it('stops ordinary text, also with addresses and words that resemble', () => {
    const ordinary = [
      'When I open the page the chart is blank. Steps: open the list, click on a row.',
      '{"method":"tools/call","params":{"name":"create_issue","arguments":{"owner":"acme"}}}',
      '7a09c96904d2a1418d041be743d6d794 2026-11-24T13:20:00.123000000Z alice@example.com',
      'see https://example.com/a?x=1 and https://example.org, mail bob@example.com',
      'The keyboard of a monkey, broken into tables, was discovered in passing. It costs $5.',
      '{"gen_ai.tool.call.arguments":{"path":"/srv/a"},"key":"value","pageTitle":"x"}',
    ]
    expect(ordinary.filter(mayHoldSecret)).toEqual([])
  })

  it('costs less than 40 microseconds for a kilobyte full of addresses (5 on an idle machine)', () => {
    const text = 'see https://example.com/a?x=1 for the keyboard, then '.repeat(20)
    for (let i = 0; i < 5000; i++) mayHoldSecret(text)
    const before = process.cpuUsage()
    for (let i = 0; i < 5000; i++) mayHoldSecret(text)
    const { user, system } = process.cpuUsage(before)
    const micros = (user + system) / 5000
    process.stdout.write(`mayHoldSecret, 1 KB with 20 addresses: ${micros.toFixed(1)} µs\n`)
    expect(micros).toBeLessThan(40)
  })
})
