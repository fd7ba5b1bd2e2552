import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { errorCatalogue } from '../../schemas/errors.ts'

const page = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
)

describe('docs/errors.md', () => {
  test('documents every code, and no other, in the order of the catalogue', () => {
    expect([...sections.keys()]).toEqual(Object.keys(errorCatalogue))
  })

  test.each(Object.entries(errorCatalogue))(
    '%s states its title, its status and what to do',
    (code, entry) => {
      const section = sections.get(code) ?? ''
      expect(section).toContain(`${entry.title}. HTTP status ${entry.status}.`)
      expect(section).toMatch(/\*What to do\.\* \S/)
    },
  )
})
