import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildCollector, maxCollectorBytes } from '../../scripts/build-collector.ts'

test('the collector is one small program that needs nothing but Node', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'sealtrail-bundle-'))
  const size = await buildCollector(folder)
  const program = join(folder, 'sealtrail.mjs')
  expect(readdirSync(folder).sort()).toEqual(['package.json', 'sealtrail.mjs'])
  expect(size).toBe(statSync(program).size)
  expect(size).toBeLessThan(maxCollectorBytes)
  const text = readFileSync(program, 'utf8')
  const imported = [...text.matchAll(/^import\s.*?from\s+"([^"]+)"/gm)].map(
    (match) => match[1] ?? '',
  )
  expect(imported.length).toBeGreaterThan(3)
  for (const name of imported) expect(builtinModules).toContain(name.replace(/^node:/, ''))
  for (const heavy of ['chdb', 'kafkajs', 'next/', 'fastify'])
    expect(text).not.toContain(`from "${heavy}`)
  expect(text).not.toMatch(/\brequire\(/)
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  expect(manifest).toMatchObject({
    type: 'module',
    bin: { sealtrail: 'sealtrail.mjs' },
    license: 'Apache-2.0',
    engines: { node: '>=20.19' },
  })
  // From a folder without node_modules, with nothing in the environment.
  const out = execFileSync(
    process.execPath,
    [program, 'tap', '--server', 'x', '--', process.execPath, '-e', 'console.log(6 * 7)'],
    { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'ignore'], timeout: 20_000 },
  )
  expect(out.toString()).toBe('42\n')
})
