import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const read = (name: string) => readFileSync(join(root, name), 'utf8')
const pages = [
  'README.md',
  'ARCHITECTURE.md',
  'docs/format.md',
  'docs/errors.md',
  'docs/tls.md',
  ...readdirSync(join(root, 'docs/decisions')).map((name) => `docs/decisions/${name}`),
]
const folders = 'schemas|ledger|ingest|analytics|web|cli|demo|test|docs|scripts|bin|bench'

describe('the pages', () => {
  test.each(pages)('%s names files and folders that are there', (page) => {
    const named = [
      ...read(page).matchAll(
        new RegExp(`(?<![\\w./-])(?:${folders})/(?:[\\w./-]|\\(\\w+\\))*`, 'g'),
      ),
    ]
    const gone = named
      .map(([path]) => path.replace(/\.$/, ''))
      .filter((path) => !existsSync(join(root, path)))
    expect(gone).toEqual([])
  })

  test.each(pages)('%s links to what is there', (page) => {
    const links = [...read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)].map(
      ([, path]) => path ?? '',
    )
    expect(links.filter((path) => !existsSync(resolve(root, page, '..', path)))).toEqual([])
  })
})

describe('the folder map', () => {
  const map = /## Folders\n\n```\n([\s\S]*?)```/.exec(read('ARCHITECTURE.md'))?.[1] ?? ''

  test('names every folder of the repository, and no other', () => {
    const mapped = [...map.matchAll(/(?:^| {2,})(\.?[a-z]+)\//gm)].map(([, name]) => name)
    const there = readdirSync(root, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .filter((name) => existsSync(join(root, name)) && !ignored.has(name))
    const inner = new Set(['event', 'leaf', 'tlog', 'query', 'api'])
    expect(mapped.filter((name) => !inner.has(name ?? '')).sort()).toEqual(there.sort())
  })
})

/** Not of the repository: packages, builds, data, and what .gitignore says. */
const ignored = new Set(
  ['.git', ...read('.gitignore').split('\n')].map((line) => line.replace(/\/$/, '')),
)

describe('README.md', () => {
  test('names scripts of package.json and commands of sealtrail that are there', () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(read('package.json'))
    const page = read('README.md')
    const named = [...page.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name ?? '')
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([])
    const main = read('cli/main.ts')
    const commands = [...page.matchAll(/(?:npx sealtrail|sealtrail\.mjs",) "?([a-z-]+)/g)]
    expect(commands.length).toBeGreaterThan(5)
    for (const [, name] of commands) {
      if (name === '--help') continue
      expect(main).toMatch(new RegExp(`command\\(\\s*'${name}[ ']`))
    }
  })
})
