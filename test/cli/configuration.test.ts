import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dataDirectoryOf, readConfiguration } from '../../cli/configuration.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-config-'))
  writeFileSync(join(folder, 'password'), 'correct horse battery')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the configuration', () => {
  test('is that of the page when nothing is said, also by empty variables', () => {
    const empty = { SEALTRAIL_LOG_LEVEL: '', SEALTRAIL_PORT: '', SEALTRAIL_DATA: '' }
    for (const environment of [{}, empty]) {
      expect(readConfiguration({}, environment)).toEqual({
        dataDirectory: resolve('.sealtrail'),
        host: '127.0.0.1',
        port: 3000,
        otlpPort: 4318,
        logId: 'main',
        masterKeyFile: undefined,
        adminName: undefined,
        adminPasswordFile: undefined,
        sourceSecretFile: undefined,
        kafka: undefined,
        logLevel: undefined,
        alertsPerDay: 10,
        columnarMemoryMib: 2048,
      })
    }
  })

  test('takes flags over variables', () => {
    const environment = { SEALTRAIL_DATA: '/a', SEALTRAIL_PORT: '1', SEALTRAIL_OTLP_PORT: '2' }
    const flags = { data: '/b', port: '3' }
    expect(readConfiguration(flags, environment)).toMatchObject({
      dataDirectory: '/b',
      port: 3,
      otlpPort: 2,
    })
    expect(dataDirectoryOf(undefined, environment)).toBe('/a')
  })

  test('splits brokers', () => {
    const environment = { SEALTRAIL_KAFKA_BROKERS: 'a:1,b.example:9092' }
    expect(readConfiguration({}, environment).kafka).toEqual({
      brokers: ['a:1', 'b.example:9092'],
      topic: 'sealtrail.batches',
    })
  })

  test.each([
    [{ port: '70000' }, {}, /^--port: must be a whole number from 0 to 65535$/],
    [{ port: '0x10' }, {}, /^--port: must be a whole number/],
    [{ otlpPort: '' }, {}, /^--otlp-port: must be a whole number/],
    [{}, { SEALTRAIL_PORT: 'http' }, /^SEALTRAIL_PORT: must be a whole number/],
    [{ port: '81', otlpPort: '81' }, {}, /^--port and --otlp-port are both 81$/],
    [{}, { SEALTRAIL_LOG: '../../x' }, /^SEALTRAIL_LOG: "\.\.\/\.\.\/x" is no name/],
    [{}, { SEALTRAIL_LOG: '_system' }, /^SEALTRAIL_LOG: "_system" is no name of a log of events/],
    [{}, { SEALTRAIL_LOG_LEVEL: 'loud' }, /^SEALTRAIL_LOG_LEVEL: must be debug, info/],
    [{}, { SEALTRAIL_KAFKA_BROKERS: 'kafka' }, /^SEALTRAIL_KAFKA_BROKERS: must be host:port/],
    [{}, { SEALTRAIL_ALERTS_PER_DAY: '0' }, /^SEALTRAIL_ALERTS_PER_DAY: must be more than 0$/],
    [{}, { SEALTRAIL_COLUMNAR_MEMORY_MIB: '1' }, /^SEALTRAIL_COLUMNAR_MEMORY_MIB: must be a whole/],
    [{}, { SEALTRAIL_ADMIN_NAME: 'ana' }, /go together$/],
    [
      {},
      { SEALTRAIL_MASTER_KEY_FILE: '/no/key' },
      /^SEALTRAIL_MASTER_KEY_FILE: \/no\/key cannot be read: ENOENT$/,
    ],
    [{ data: `/${'d'.repeat(120)}` }, {}, /path of the data directory is too long/],
  ])('refuses %o %o', (flags, environment, message) => {
    expect(() => readConfiguration(flags, environment)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) }),
    )
  })

  test('names every problem at once', () => {
    const environment = { SEALTRAIL_LOG: 'A', SEALTRAIL_ADMIN_PASSWORD_FILE: join(folder, 'none') }
    expect(() => readConfiguration({ port: 'x' }, environment)).toThrow(
      /--port: .*; SEALTRAIL_LOG: .*; SEALTRAIL_ADMIN_PASSWORD_FILE: .*; .*go together/,
    )
  })

  test('an admin needs a name and a file that is there', () => {
    const environment = {
      SEALTRAIL_ADMIN_NAME: 'ana',
      SEALTRAIL_ADMIN_PASSWORD_FILE: join(folder, 'password'),
    }
    expect(readConfiguration({}, environment)).toMatchObject({ adminName: 'ana' })
  })

  test.each(['0.0.0.0', '::', '192.168.1.2', 'example.com', '127.0.0.1.example.com'])(
    'listening on %s is refused with a sentence',
    (host) => {
      expect(() => readConfiguration({}, { SEALTRAIL_HOST: host })).toThrow(
        expect.objectContaining({
          code: 'LISTEN_REFUSED',
          message: expect.stringContaining(host),
          hint: expect.stringContaining('TLS'),
        }),
      )
    },
  )

  test.each(['127.0.0.1', '127.8.0.1', '::1', 'localhost'])('%s is this machine', (host) => {
    expect(readConfiguration({}, { SEALTRAIL_HOST: host }).host).toBe(host)
  })
})
