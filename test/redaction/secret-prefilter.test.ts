import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasSecretTrigram, secretLiterals } from '../../ingest/redaction/secret-prefilter.ts'

/** Alternatives of the outermost level. */
function alternatives(source: string): string[] {
  const parts: string[] = []
  let depth = 0
  let from = 0
  for (let at = 0; at < source.length; at++) {
    const char = source[at]
    if (char === '\\') at++
    else if (char === '(' || char === '[') depth++
    else if (char === ')' || char === ']') depth--
    else if (char === '|' && depth === 0) {
      parts.push(source.slice(from, at))
      from = at + 1
    }
  }
  return [...parts, source.slice(from)]
}

describe('the literal prefilter', () => {
  it.each(alternatives(secretLiterals.source))(
    'its first stage lets everything through that holds %s',
    (source) => {
      fc.assert(
        fc.property(
          fc.stringMatching(new RegExp(`^${source}$`)),
          fc.string(),
          fc.string(),
          fc.boolean(),
          (literal, before, after, upper) => {
            const text = before + (upper ? literal.toUpperCase() : literal) + after
            expect(secretLiterals.test(text)).toBe(true)
            expect(hasSecretTrigram(text)).toBe(true)
          },
        ),
        { numRuns: 200 },
      )
    },
  )

  it('most ordinary text stops at the first stage', () => {
    const ordinary = [
      'When I open the page the chart is blank. Steps: open the list, click on a row.',
      '{"method":"tools/call","params":{"name":"create_issue","arguments":{"owner":"acme"}}}',
      '7a09c96904d2a1418d041be743d6d794 2026-11-24T13:20:00.123000000Z alice@example.com',
    ]
    expect(ordinary.filter(hasSecretTrigram)).toEqual([])
  })
})
