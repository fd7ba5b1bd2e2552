import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isSealtrailError } from '../../schemas/errors.ts'
import { explainQuery } from '../../schemas/query/explain-query.ts'
import { parseQuery } from '../../schemas/query/parse-query.ts'

const explained = (text: string) => explainQuery(parseQuery(text))

describe('the query language', () => {
  test.each([
    ['', 'everything'],
    ['tool:read_file', 'gen_ai.tool.name is "read_file"'],
    [
      'tool:a OR tool:b server:c',
      'gen_ai.tool.name is "a" or (gen_ai.tool.name is "b" and mcp.server.name is "c")',
    ],
    ['NOT tool:a AND server:b', 'not gen_ai.tool.name is "a" and mcp.server.name is "b"'],
    ['tool:(a OR b, c)', 'gen_ai.tool.name is "a" or "b" or "c"'],
    ['latency:>2s', 'duration_ms is above "2s"'],
    ['latency >= 80', 'duration_ms is at least "80"'],
    ['duration_ms:[1 TO 5}', 'duration_ms is between "1" and "5"'],
    ['duration_ms:[* TO 5]', 'duration_ms is between anything and "5"'],
    ['rm -rf', 'the text holds "rm" and the text holds "-rf"'],
    ['-tool:a', 'not gen_ai.tool.name is "a"'],
    ['mcp.server.url:https://x/y?a=1', 'mcp.server.url is "https://x/y?a=1"'],
    ['https://x/y', 'the text holds "https://x/y"'],
    ['args.path:/etc/*', 'arguments.path is "/etc/*"'],
    ['tool:*', 'gen_ai.tool.name is known'],
    ['"two words"', 'the text holds "two words"'],
    ['tool!=a', 'not gen_ai.tool.name is "a"'],
    ['error.message:"say \\"hi\\""', 'error.message is "say \\"hi\\""'],
    ['android', 'the text holds "android"'],
  ])('%s means: %s', (text, meaning) => {
    expect(explained(text)).toBe(meaning)
  })

  test.each([
    ['tol:a', 0, 3],
    ['tool:', 5, 5],
    ['(tool:a', 0, 1],
    ['tool:a)', 6, 7],
    ['"abc', 0, 1],
    ['tool:a AND', 10, 10],
    ['latency:>(1 2)', 0, 14],
  ])('%s is refused and the place is named', (text, from, until) => {
    try {
      parseQuery(text)
      expect.unreachable()
    } catch (error) {
      expect(isSealtrailError(error, 'QUERY_INVALID')).toBe(true)
      if (isSealtrailError(error)) expect(error.details).toEqual({ span: { from, until } })
    }
  })

  test('any text parses or is refused as a query, and never takes long', () => {
    const piece = fc.constantFrom(
      'tool',
      ':',
      '(',
      ')',
      '"',
      ' ',
      '-',
      '!',
      'AND',
      'OR',
      'NOT',
      '*',
      '[',
      ']',
      'TO',
      '>=',
      'args.x',
      '\\',
      '||',
      '&&',
      ',',
      'é',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ maxLength: 200 }),
          fc.array(piece, { maxLength: 60 }).map((p) => p.join('')),
        ),
        (text) => {
          try {
            explainQuery(parseQuery(text))
          } catch (error) {
            if (!isSealtrailError(error, 'QUERY_INVALID')) throw error
          }
        },
      ),
      { numRuns: 5000 },
    )
    const started = performance.now()
    for (const hostile of [
      '('.repeat(4096),
      '-'.repeat(4096),
      'a:'.repeat(2048),
      'tool:('.repeat(600),
      '"'.repeat(4095),
      'tool '.repeat(800),
    ]) {
      try {
        parseQuery(hostile)
      } catch (error) {
        if (!isSealtrailError(error, 'QUERY_INVALID')) throw error
      }
    }
    expect(performance.now() - started).toBeLessThan(2000)
  })

  test('deep nesting is refused by name, not by stack overflow', () => {
    expect(() => parseQuery(`${'('.repeat(40)}tool:a${')'.repeat(40)}`)).toThrow(/nested deeper/)
  })
})
