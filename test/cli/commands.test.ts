import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Environment } from '../../cli/configuration.ts'
import { version } from '../../cli/version.ts'
import { type CommandResult, runSealtrail } from '../fixtures/running-sealtrail.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-cli-'))
  // What a ledger would be in, and a keyring whose master key is elsewhere.
  mkdirSync(join(folder, 'locked-out/ledger'), { recursive: true })
  mkdirSync(join(folder, 'locked-out/keyring'))
  writeFileSync(join(folder, 'locked-out/keyring/keyring'), '')
  writeFileSync(join(folder, 'short'), 'short')
  mkdirSync(join(folder, 'empty'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('help', () => {
  const names = [
    'up',
    'tap',
    'source-key create',
    'setup-link',
    'verify',
    'prove',
    'export',
    'rebuild',
    'master-key rotate',
    'erase',
    'shred',
    'erasures',
    'backup',
    'restore',
    'vkey',
    'demo',
  ]
  let pages: Map<string, CommandResult>
  let overview: CommandResult
  beforeAll(async () => {
    overview = await runSealtrail(['--help'])
    pages = new Map()
    for (const name of names) pages.set(name, await runSealtrail([...name.split(' '), '--help']))
  }, 120_000)

  test('names every command, the data directory and the exit codes', () => {
    expect(overview).toMatchObject({ code: 0, stderr: '' })
    const listed = [...overview.stdout.matchAll(/^ {2}([a-z-]+) /gm)].map(([, name]) => name)
    for (const name of names) expect(listed).toContain(name.split(' ')[0])
    expect(overview.stdout).toMatch(/Data directory: --data DIR or SEALTRAIL_DATA/)
    expect(overview.stdout).toMatch(/Exit codes: 0 .*1 .*2 /s)
  })

  test.each(names)('%s explains itself', (name) => {
    const { code, stdout, stderr } = pages.get(name) ?? { code: null, stdout: '', stderr: '' }
    // Standard output of a tap belongs to the protocol.
    const [text, other] = name === 'tap' ? [stderr, stdout] : [stdout, stderr]
    expect({ code, other }).toEqual({ code: 0, other: '' })
    expect(text).toContain(`sealtrail ${name.split(' ')[0]}`)
    // More than commander makes out of the flags.
    expect(text.split('\n').length).toBeGreaterThan(10)
  })

  test('up documents every variable that it reads', () => {
    for (const variable of Object.keys(Environment.shape)) {
      expect(pages.get('up')?.stdout).toContain(variable)
    }
  })
})

test('--version is that of the package', async () => {
  const { version: packaged }: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  )
  expect(version).toBe(packaged)
  expect(await runSealtrail(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` })
})

describe('what cannot be done ends with code 2 and says what, where and what to do', () => {
  const eventId = '01a2152b-9136-7001-8204-512fef02ed52'
  const at = (name: string) => join(folder, name)
  type Case = readonly [
    name: string,
    args: () => readonly string[],
    message: RegExp,
    environment?: Readonly<Record<string, string>>,
  ]
  const cases: readonly Case[] = [
    ['no command', () => [], /Usage: sealtrail/],
    ['an unknown command', () => ['verfy'], /unknown command 'verfy'[\s\S]*verify/],
    ['an unknown flag', () => ['up', '--prot', '1'], /unknown option '--prot'[\s\S]*--port/],
    ['an argument too many', () => ['up', 'here'], /too many arguments for 'up'/],
    ['a flag that is missing', () => ['export'], /'--from <time>'[\s\S]*sealtrail export --help/],
    ['a size that is no number', () => ['verify', '--size', 'abc'], /'abc' is invalid/],
    ['a choice that is none', () => ['source-key', 'create', 'x', '--print', 'all'], /choices are/],
    ['days that are no number', () => ['demo', '--days', 'two'], /'two' is invalid/],
    [
      'ports that are none',
      () => ['up', '--port', '70000', '--otlp-port', 'x'],
      /--port: must be .*; --otlp-port: must be .*\(CONFIG_INVALID\)\nSee sealtrail up --help/,
    ],
    [
      'listening wider than this machine',
      () => ['up', '--data', at('new')],
      /0\.0\.0\.0 is not a loopback address.*\(LISTEN_REFUSED\)\n.*SEALTRAIL_TLS_CERT_FILE/,
      { SEALTRAIL_HOST: '0.0.0.0' },
    ],
    [
      'a data directory that is a file',
      () => ['up', '--data', at('short'), '--port', '0', '--otlp-port', '0'],
      /data directory .*short cannot be used: ENOTDIR \(CONFIG_INVALID\)\n.*--data/,
    ],
    [
      'a first password that is too short',
      () => ['up', '--data', at('admin'), '--port', '0', '--otlp-port', '0', '--no-web'],
      /password: .*12.*\n/,
      { SEALTRAIL_ADMIN_NAME: 'ana', SEALTRAIL_ADMIN_PASSWORD_FILE: 'short' },
    ],
    [
      'a directory without ledger, to verify',
      () => ['verify', '--data', at('none')],
      /none holds no ledger \(CONFIG_INVALID\)\n/,
    ],
    ['or to rebuild', () => ['rebuild', '--data', at('none')], /none holds no ledger/],
    [
      'a master key that is not there',
      () => ['verify', '--data', at('locked-out')],
      /no master key at .*master\.key \(CONFIG_INVALID\)\n.*SEALTRAIL_MASTER_KEY_FILE/,
    ],
    [
      'a verifier key that is none',
      () => ['verify', '--key', 'mykey'],
      /--key: .*\(CONFIG_INVALID\)\n.*sealtrail vkey/,
    ],
    ['an event id that is none', () => ['prove', 'first'], /"first" is no event id.*\n.*UUID/],
    [
      'a folder that is not there',
      () => ['prove', eventId, '--out', at('none')],
      /--out .*none cannot be written to: ENOENT/,
    ],
    [
      'a time that is none',
      () => ['export', '--from', 'monday', '--to', '2026-12-01', '--out', at('out')],
      /--from monday is no day .*\n.*2026-11-24/,
    ],
    [
      'a range that ends before it begins',
      () => ['export', '--from', '2026-12-01', '--to', '2026-11-01', '--out', at('out')],
      /--from 2026-12-01 is not before --to 2026-11-01/,
    ],
    ...(
      [
        ['source-key', 'create', 'x'],
        ['setup-link'],
        ['prove', eventId],
        ['vkey'],
        ['demo'],
        ['export', '--from', '2026-11-01', '--to', '2026-12-01', '--out', 'OUT'],
      ] as const
    ).map(
      (args) =>
        [
          `${args[0]} while nothing runs`,
          () => [...args, '--data', at('empty')].map((arg) => (arg === 'OUT' ? at('out') : arg)),
          /no Sealtrail answers on .*empty\/control\.sock \(SERVER_UNREACHABLE\)\nStart it/,
        ] satisfies Case,
    ),
  ]

  for (const [name, args, message, environment = {}] of cases) {
    test.concurrent(name, async () => {
      const result = await runSealtrail(
        args(),
        Object.fromEntries(
          Object.entries(environment).map(([name, value]) => [
            name,
            name.endsWith('_FILE') ? join(folder, value) : value,
          ]),
        ),
      )
      expect(result.stderr).toMatch(message)
      // A stack is for faults of ours.
      expect(result.stderr).not.toMatch(/^ +at /m)
      expect(result.code).toBe(2)
    })
  }
})

describe('bin/sealtrail.mjs', () => {
  // npm makes it executable when it installs, and a later checkout would take that back.
  test('is executable as it is checked out', () => {
    const bin = new URL('../../bin/sealtrail.mjs', import.meta.url)
    expect(statSync(bin).mode & 0o111).toBe(0o111)
  })

  test('an old Node.js is told so', async () => {
    const old = `data:text/javascript,${encodeURIComponent(
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } })",
    )}`
    const result = await runSealtrail(['--help'], { NODE_OPTIONS: `--import "${old}"` })
    expect(result).toMatchObject({ code: 2, stdout: '' })
    expect(result.stderr).toMatch(/this is Node\.js 18\.20\.4, .* needs 20\.19 or later/)
  })
})
