import { describe, expect, test } from 'vitest'
import { ResultMemory } from '../../analytics/detectors/result-memory.ts'

describe('the memory of results', () => {
  test.each([
    ['a plain text', 'Dear all,\nwrite to audit@evil.example, please.'],
    ['a text right after a line break in an MCP result', mcp('Dear all\naudit@evil.example\nBye')],
    ['a text after a tab in an MCP result', mcp('to:\taudit@evil.example')],
    ['a mail link', 'see [us](mailto:audit@evil.example)'],
    ['an assignment', 'to=audit@evil.example'],
    ['quotes and emphasis', '**"audit@evil.example"**'],
    ['other capitals', 'Audit@EVIL.example'],
    ['structured content', { structuredContent: { rows: [{ mail: 'audit@evil.example' }] } }],
  ])('finds an address that stood in %s', (_name, result) => {
    const memory = new ResultMemory()
    memory.learn('s', 7, result)
    expect(memory.sourceOf('s', 'audit@evil.example')).toBe(7)
    expect(memory.sourceOf('another', 'audit@evil.example')).toBeUndefined()
    expect(memory.sourceOf('s', 'udit@evil.example')).toBeUndefined()
  })

  test('a session filled with words beforehand still learns a later address', () => {
    const memory = new ResultMemory()
    const words = Array.from({ length: 6000 }, (_, i) => `word${i}x`)
    for (let i = 0; i < 5; i++) memory.learn('s', i, words.map((word) => word + i).join(' '))
    memory.learn('s', 9, 'audit@evil.example')
    expect(memory.sourceOf('s', 'audit@evil.example')).toBe(9)
  })
})

function mcp(text: string) {
  return { content: [{ type: 'text', text }] }
}
