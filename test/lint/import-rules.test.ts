import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const use = (specifier: string) => `import { x } from '${specifier}'\nexport const y = x\n`

const refused = [
  ['schemas', '../ledger/sha256.ts'],
  ['schemas/event', '../../ingest/bus/event-bus.ts'],
  ['schemas', 'node:crypto'],
  ['ledger', '../ingest/bus/event-bus.ts'],
  ['ledger/storage', '../../analytics/store/migrate.ts'],
  ['ingest/sequencer', '../../analytics/fold/fold.ts'],
  ['analytics/fold', '../../ingest/sequencer/sequencer.ts'],
  ['analytics/api', '../../cli/core.ts'],
  ['ingest/collectors', '../../ledger/sha256.ts'],
  ['ingest/collectors', '../bus/event-bus.ts'],
  ['ingest/redaction', 'node:crypto'],
  ['ingest/mappings', '../receivers/pack.ts'],
  ['analytics/detectors', 'node:fs'],
  ['web/components', '../../ledger/sha256.ts'],
  ['web/components', '../../analytics/store/migrate.ts'],
  ['web/components', 'node:fs'],
  ['ingest/bus', 'kafkajs'],
  ['analytics/store', '@clickhouse/client'],
  ['analytics/store', 'chdb'],
  ['analytics/store', 'ffi-rs'],
  ['ledger/control', '@node-rs/argon2'],
  ['cli', 'kafkajs'],
  ['analytics/api', '../../ledger/storage/file-storage.ts'],
  ['ledger/verify', '../payloads/file-payload-store.ts'],
  ['ledger', './keyring/file-keyring.ts'],
  ['ingest/sequencer', '../../ledger/signer/file-signer.ts'],
  ['ingest/receivers', '../bus/in-process-bus.ts'],
  ['ingest/receivers', '../bus/kafka-bus.ts'],
  ['analytics/api', '../store/columnar-process.ts'],
  ['ingest/collectors', '../mappings/mapping.ts'],
  ['demo', '../ledger/sha256.ts'],
  ['demo', '../cli/core.ts'],
  ['cli', '../web/app/layout.tsx'],
  ['ledger', '../test/fixtures/embedded-ledger.ts'],
  ['cli', '../bench/workload.ts'],
  ['analytics/store', '../../scripts/servers.ts'],
] as const
const allowed = [
  ['ledger', '../schemas/bytes.ts'],
  ['ingest/sequencer', '../../ledger/sha256.ts'],
  ['analytics/api', '../../ledger/sha256.ts'],
  ['ingest/collectors', '../redaction/redactor.ts'],
  ['web/components', '../../schemas/bytes.ts'],
  ['cli', '../analytics/fold/fold.ts'],
  ['cli', '../ledger/storage/file-storage.ts'],
  ['demo', '../schemas/bytes.ts'],
  ['test/ledger', '../../ledger/storage/file-storage.ts'],
] as const
const other = [
  {
    path: 'analytics/detectors/clock.ts',
    code: 'export const now = () => Date.now()\n',
    rule: 'noRestrictedGlobals',
  },
  ...[
    ['schemas', 'Math.random()'],
    ['schemas', 'Date.now()'],
    ['schemas', 'new Date()'],
    ['ingest/redaction', 'Math.random'],
    ['ingest/mappings', 'new Date().getTime()'],
    ['analytics/detectors', 'Math.random()'],
    ['analytics/fold', 'Math.random()'],
  ].map(([where, code], i) => ({
    path: `${where}/impure-${i}.ts`,
    code: `export const x = () => ${code}\n`,
    rule: 'plugin',
  })),
  ...[
    ['schemas', 'Buffer.alloc(1)'],
    ['schemas', 'crypto.randomUUID()'],
    ['schemas', 'performance.now()'],
    ['ingest/redaction', 'process.env'],
    ['ingest/mappings', "fetch('http://example.com')"],
    ['analytics/detectors', 'crypto.randomUUID()'],
    ['analytics/fold', 'new Date(0)'],
  ].map(([where, code], i) => ({
    path: `${where}/global-${i}.ts`,
    code: `export const x = () => ${code}\n`,
    rule: 'noRestrictedGlobals',
  })),
  {
    path: 'analytics/fold/clock.ts',
    code: 'export const now = () => performance.now()\n',
    rule: 'noRestrictedGlobals',
  },
  { path: 'ledger/any.ts', code: 'export const x = (y: any) => y\n', rule: 'noExplicitAny' },
  {
    path: 'ledger/non-null.ts',
    code: 'export const x = (y: string | null) => y!.length\n',
    rule: 'noNonNullAssertion',
  },
  { path: 'schemas/barrel.ts', code: "export * from './errors.ts'\n", rule: 'noReExportAll' },
  { path: 'cli/console.ts', code: "console.log('x')\n", rule: 'noConsole' },
  {
    path: 'cli/one.ts',
    code: "import { two } from './two.ts'\nexport const one = () => two\n",
    rule: 'noImportCycles',
  },
  {
    path: 'cli/two.ts',
    code: "import { one } from './one.ts'\nexport const two = () => one\n",
    rule: 'noImportCycles',
  },
] as const

/** Planted files in a folder of their own, under the rules of this repository; `path|rule` of what was found. */
let found: ReadonlySet<string>
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-lint-'))
  for (const file of ['biome.json', 'scripts/pure.grit'])
    cpSync(join(root, file), join(folder, file), { recursive: true })
  const plant = (path: string, code: string) => {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), code)
  }
  for (const [i, [where, specifier]] of refused.entries())
    plant(`${where}/refused-${i}.ts`, use(specifier))
  for (const [i, [where, specifier]] of allowed.entries())
    plant(`${where}/allowed-${i}.ts`, use(specifier))
  for (const { path, code } of other) plant(path, code)
  plant('schemas/parsed.ts', 'export const x = (ms: number) => new Date(ms).toISOString()\n')
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [biome, 'lint', '--max-diagnostics=none', '--colors=off', '.'],
    { cwd: folder, encoding: 'utf8' },
  )
  found = new Set(
    [...(stdout + stderr).matchAll(/^(\S+?):\d+:\d+ (?:lint\/\w+\/)?(\w+)/gm)].map(
      ([, path, rule]) => `${path}|${rule}`,
    ),
  )
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** One planted violation of each rule of ARCHITECTURE.md: a gate that never failed proves nothing. */
describe('the import rules', () => {
  test.each(refused.map(([where, specifier], i) => [where, specifier, i] as const))(
    '%s may not import %s',
    (where, _specifier, i) => {
      expect(found).toContain(`${where}/refused-${i}.ts|noRestrictedImports`)
    },
  )

  test.each(allowed.map(([where, specifier], i) => [where, specifier, i] as const))(
    '%s may import %s',
    (where, _specifier, i) => {
      expect(found).not.toContain(`${where}/allowed-${i}.ts|noRestrictedImports`)
    },
  )

  test('a time that is read from text is no clock', () => {
    expect(found).not.toContain('schemas/parsed.ts|plugin')
    expect(found).not.toContain('schemas/parsed.ts|noRestrictedGlobals')
  })

  test.each(other)('$path is refused by $rule', ({ path, rule }) => {
    expect(found).toContain(`${path}|${rule}`)
  })
})
