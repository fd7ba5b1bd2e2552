import { describe, expect, it } from 'vitest'
import { mixesScripts, textPieces } from '../../web/format/hidden-characters.ts'

const spelt = (text: string) =>
  textPieces(text)
    .map((piece) => (piece.kind === 'text' ? piece.text : `[${piece.label}]`))
    .join('')

describe('hidden characters', () => {
  it.each([
    ['a\u202eb', 'a[U+202E]b'],
    ['pass\u200b\u200bword', 'pass[U+200B ×2]word'],
    ['\u001b[31mred', '[U+001B][31mred'],
    ['a\u0000b', 'a[U+0000]b'],
    ['lone \ud83d half', 'lone [U+D83D] half'],
    ['line\nand\ttab', 'line\nand\ttab'],
    ['family 👨‍👩‍👧 ❤️ 👩🏽‍💻', 'family 👨‍👩‍👧 ❤️ 👩🏽‍💻'],
    ['❤\ufe0f\ufe0f', '❤\ufe0f[U+FE0F]'],
    ['a\ufe0f', 'a[U+FE0F]'],
    ['👨\u200dx', '👨[U+200D]x'],
    ['x\u200d👨', 'x[U+200D]👨'],
    ['héllo 漢字 עברית', 'héllo 漢字 עברית'],
  ])('%j', (text, shown) => {
    expect(spelt(text)).toBe(shown)
  })

  it('says what smuggled tag characters spell', () => {
    const tags = [...'ignore rules']
      .map((each) => String.fromCodePoint(0xe0000 + (each.codePointAt(0) ?? 0)))
      .join('')
    expect(spelt(`ok${tags}`)).toContain('hidden text “ignore rules”')
  })

  it('makes no more marks than a page bears, and says so', () => {
    const pieces = textPieces('a\u200b'.repeat(5000))
    expect(pieces.length).toBeLessThan(1000)
    expect(pieces.at(-1)).toMatchObject({ label: 'more hidden characters' })
  })

  it('finds words that mix look-alike letters, not texts that use two scripts', () => {
    expect(mixesScripts('p\u0430ypal')).toBe(true)
    expect(mixesScripts('Москва is a city')).toBe(false)
  })
})
