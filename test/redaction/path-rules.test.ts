import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compilePathRules } from '../../ingest/redaction/path-rules.ts'
import { pathActions } from '../../schemas/redaction-policy.ts'

/** The meaning of a path, as a regular expression: what is to be found, whatever it costs. */
function means(path: string, pointer: string): boolean {
  const parts = path
    .split('/')
    .slice(1)
    .map((part) => (part === '**' ? '(?:/[^/]*)*' : part === '*' ? '/[^/]*' : `/${part}`))
  return new RegExp(`^${parts.join('')}$`).test(pointer)
}

describe('path rules', () => {
  const segment = fc.constantFrom('a', 'b', 'c', '', '0')
  const pointer = fc
    .array(segment, { minLength: 1, maxLength: 6 })
    .map((all) => `/${all.join('/')}`)
  const path = fc
    .array(fc.constantFrom('a', 'b', 'c', '*', '**'), { minLength: 1, maxLength: 5 })
    .map((all) => `/${all.join('/')}`)
  const rule = fc.record({ path, action: fc.constantFrom(...pathActions) })

  it('the first rule that matches decides, whatever was asked before', () => {
    fc.assert(
      fc.property(
        fc.array(rule, { minLength: 1, maxLength: 6 }),
        fc.array(pointer, { minLength: 1, maxLength: 20 }),
        (rules, pointers) => {
          const compiled = compilePathRules(rules)
          for (const each of pointers) {
            const expected = rules.find(({ path: rulePath }) => means(rulePath, each))?.action
            expect(compiled?.actionAt(each)).toBe(expected)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('what is no pointer has no action, and spoils no later question', () => {
    const compiled = compilePathRules([{ path: '/a/b', action: 'drop' }])
    expect(compiled?.actionAt('a/b')).toBeUndefined()
    expect(compiled?.actionAt('/a/b')).toBe('drop')
  })

  it('a sender cannot make them expensive by depth', () => {
    const rules = Array.from({ length: 64 }, (_, i) => ({
      path: `/gen_ai.tool.call.arguments/**/a/**/x${i}`,
      action: 'drop' as const,
    }))
    const compiled = compilePathRules(rules)
    const list = `/gen_ai.tool.call.arguments${'/a'.repeat(60)}`
    const from = process.cpuUsage()
    for (let at = 0; at < 50_000; at++) expect(compiled?.actionAt(`${list}/${at}`)).toBeUndefined()
    // Matched from the root each time they take a minute: this is no measure of speed.
    expect(process.cpuUsage(from).user).toBeLessThan(10_000_000)
  })
})
