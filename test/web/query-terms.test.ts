import { describe, expect, it } from 'vitest'
import { parseQuery } from '../../schemas/query/parse-query.ts'
import {
  namesClass,
  queryTerms,
  sameTerm,
  termIn,
  termOf,
  withoutTerm,
  withTerm,
} from '../../web/state/query-terms.ts'

describe('conditions of a query', () => {
  it.each([
    ['tool:a outcome:denied', ['tool:a', 'outcome:denied']],
    ['tool:a AND NOT user:"x y"', ['tool:a', 'NOT user:"x y"']],
    ['latency > 2s "free text"', ['latency > 2s', '"free text"']],
    ['tool:a OR tool:b', ['tool:a OR tool:b']],
    ['(tool:a OR tool:b) -user:c', ['(tool:a OR tool:b)', '-user:c']],
    ['tool:(', ['tool:(']],
    ['  ', []],
  ])('%s', (query, terms) => {
    expect(queryTerms(query).map(({ text }) => text)).toEqual(terms)
  })

  it('finds a condition however it is written', () => {
    expect(sameTerm('server:mail', 'mcp.server.name:"mail"')).toBe(true)
    expect(sameTerm('server:mail', '-server:mail')).toBe(false)
    expect(sameTerm('server:mail', 'server:mai*')).toBe(false)
    expect(termIn('tool:a mcp.server.name:mail', 'server:mail')?.text).toBe('mcp.server.name:mail')
  })
})

describe('withTerm', () => {
  it.each([
    ['', 'tool:a', 'tool:a'],
    ['tool:a', 'tool:a', 'tool:a'],
    ['gen_ai.tool.name:a', 'tool:a', 'gen_ai.tool.name:a'],
    ['tool:a x', '-gen_ai.tool.name:a', 'x -gen_ai.tool.name:a'],
    ['tool:a OR tool:b', 'user:c', '(tool:a OR tool:b) user:c'],
    ['agent:a', 'user:c', 'agent:a user:c'],
  ])('%s + %s', (query, term, both) => {
    expect(withTerm(query, term)).toBe(both)
  })

  it('comes back to where it was when the condition is taken away again', () => {
    const query = 'tool:a AND outcome:denied'
    const both = withTerm(query, 'user.name:x')
    const term = termIn(both, 'user.name:x')
    expect(term === undefined ? undefined : withoutTerm(both, term)).toBe(query)
  })
})

describe('termOf', () => {
  it.each(['a b', 'a"b', 'a\\', 'OR', '-x', '*', 'x:y', '(', '\u202e', '/etc/*', '', "it's"])(
    'keeps %j a value',
    (value) => {
      expect(parseQuery(termOf('mcp.server.name', value))).toMatchObject({
        kind: 'condition',
        comparison: '=',
        values: [{ text: value, kind: 'exact' }],
      })
    },
  )
})

describe('namesClass', () => {
  it.each([
    ['class:finding', true],
    ['-event.class:tick', true],
    ['tool:a (x OR class:*)', true],
    ['tool:class', false],
    ['"class:finding"', false],
    ['tol:', false],
  ])('%s', (query, names) => {
    expect(namesClass(query)).toBe(names)
  })
})
