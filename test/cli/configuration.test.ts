import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dataDirectoryOf, readConfiguration } from '../../cli/configuration.ts'

let folder: string
/** Names in the folder: whether they hold certificates is not asked here. */
const tlsFiles = { SEALTRAIL_TLS_CERT_FILE: 'password', SEALTRAIL_TLS_KEY_FILE: 'password' }
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
        tls: undefined,
        reach: {
          hosts: new Set(['localhost', '127.0.0.1', '[::1]']),
          publicOrigin: undefined,
          isTrustedProxy: expect.any(Function),
          https: false,
        },
        exposed: false,
        metricsTokenFile: undefined,
        logId: 'main',
        masterKeyFile: undefined,
        adminName: undefined,
        adminPasswordFile: undefined,
        sourceSecretFile: undefined,
        kafka: undefined,
        logLevel: undefined,
        alertsPerDay: 10,
        columnarMemoryMib: 2048,
        acceptClock: false,
        anchors: {
          intervalMs: 10_000,
          directory: undefined,
          webhook: undefined,
          bucket: undefined,
          witnessPolicyFile: undefined,
        },
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
      tls: undefined,
      sasl: undefined,
    })
  })

  test('brokers are reached over TLS and with a password where that is said, halves are refused', () => {
    const file = join(folder, 'password')
    const kafka = (environment: Record<string, string>) =>
      readConfiguration({}, { SEALTRAIL_KAFKA_BROKERS: 'b.example:9093', ...environment }).kafka
    expect(kafka({ SEALTRAIL_KAFKA_TLS: 'true' })?.tls).toEqual({})
    const sasl = {
      SEALTRAIL_KAFKA_SASL_MECHANISM: 'plain',
      SEALTRAIL_KAFKA_USERNAME: 'ana',
      SEALTRAIL_KAFKA_PASSWORD_FILE: file,
    }
    expect(kafka({ SEALTRAIL_KAFKA_CA_FILE: file, ...sasl })).toMatchObject({
      tls: { caFile: file },
      sasl: { mechanism: 'plain', username: 'ana', password: 'correct horse battery' },
    })
    expect(kafka({ ...sasl, SEALTRAIL_KAFKA_BROKERS: 'localhost:9092' })?.tls).toBeUndefined()
    for (const [environment, message] of [
      [sasl, /plain sends the password as it is/],
      [{ SEALTRAIL_KAFKA_USERNAME: 'ana' }, /go together/],
      [{ SEALTRAIL_KAFKA_KEY_FILE: file }, /go together/],
      [{ SEALTRAIL_KAFKA_CA_FILE: file, SEALTRAIL_KAFKA_TLS: 'false' }, /files are named/],
      [{ SEALTRAIL_KAFKA_TLS: 'yes' }, /must be true or false/],
    ] as const)
      expect(() => kafka(environment)).toThrow(message)
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
    'listening on %s without TLS or a proxy is refused with a sentence',
    (host) => {
      expect(() => readConfiguration({}, { SEALTRAIL_HOST: host })).toThrow(
        expect.objectContaining({
          code: 'LISTEN_REFUSED',
          message: expect.stringContaining(host),
          hint: expect.stringMatching(/SEALTRAIL_TLS_CERT_FILE.*SEALTRAIL_TRUSTED_PROXY/),
        }),
      )
    },
  )

  test.each(['127.0.0.1', '127.8.0.1', '::1', 'localhost'])('%s is this machine', (host) => {
    expect(readConfiguration({}, { SEALTRAIL_HOST: host }).host).toBe(host)
  })

  describe('who can come', () => {
    const cert = () => ({
      SEALTRAIL_TLS_CERT_FILE: join(folder, 'password'),
      SEALTRAIL_TLS_KEY_FILE: join(folder, 'password'),
    })
    const reachOf = (environment: Record<string, string>) => readConfiguration({}, environment)

    test('others than this machine come over TLS, under the names that are said', () => {
      const wide = reachOf({
        ...cert(),
        SEALTRAIL_HOST: '0.0.0.0',
        SEALTRAIL_PUBLIC_URL: 'https://Audit.example:8443',
      })
      expect(wide).toMatchObject({
        exposed: true,
        tls: { certFile: join(folder, 'password'), caFile: undefined },
        reach: { publicOrigin: 'https://audit.example:8443', https: true },
      })
      expect([...wide.reach.hosts]).toEqual(['localhost', '127.0.0.1', '[::1]', 'audit.example'])
      const one = reachOf({ ...cert(), SEALTRAIL_HOST: 'FD00::1' })
      expect([...one.reach.hosts]).toContain('[fd00::1]')
    })

    test('TLS on loopback is nobody else', () => {
      expect(reachOf(cert())).toMatchObject({ exposed: false, reach: { https: true } })
    })

    test('a proxy is believed by its address, in every form of it, and nobody else', () => {
      const { reach, exposed } = reachOf({
        SEALTRAIL_TRUSTED_PROXY: '10.1.0.0/16, 192.0.2.7,fd00::/8',
        SEALTRAIL_PUBLIC_URL: 'https://audit.example',
      })
      expect({ exposed, https: reach.https }).toEqual({ exposed: true, https: true })
      for (const address of ['10.1.255.1', '::ffff:10.1.0.1', '192.0.2.7', 'fd00::5'])
        expect([address, reach.isTrustedProxy(address)]).toEqual([address, true])
      for (const address of ['10.2.0.1', '127.0.0.1', '192.0.2.8', '2001:db8::1', ''])
        expect([address, reach.isTrustedProxy(address)]).toEqual([address, false])
    })

    test.each<[Record<string, string>, string, RegExp]>([
      [{ SEALTRAIL_TLS_KEY_FILE: 'password' }, 'CONFIG_INVALID', /go together/],
      [{ SEALTRAIL_TLS_CLIENT_CA_FILE: 'password' }, 'CONFIG_INVALID', /needs SEALTRAIL_TLS_CERT/],
      [{ ...tlsFiles, SEALTRAIL_HOST: '::' }, 'LISTEN_REFUSED', /every address, and no name/],
      [{ SEALTRAIL_TRUSTED_PROXY: 'proxy' }, 'CONFIG_INVALID', /"proxy" is neither an address/],
      [{ SEALTRAIL_TRUSTED_PROXY: '10.0.0.0/33' }, 'CONFIG_INVALID', /neither an address/],
      [{ SEALTRAIL_TRUSTED_PROXY: '0.0.0.0/0' }, 'CONFIG_INVALID', /\/0 is everybody/],
      [{ SEALTRAIL_PUBLIC_URL: 'audit.example' }, 'CONFIG_INVALID', /is not the address of a serv/],
      [{ SEALTRAIL_PUBLIC_URL: 'https://a.example/x' }, 'CONFIG_INVALID', /is not the address/],
      [{ SEALTRAIL_PUBLIC_URL: 'https://u@a.example' }, 'CONFIG_INVALID', /is not the address/],
      [
        { SEALTRAIL_PUBLIC_URL: 'https://a.example' },
        'CONFIG_INVALID',
        /only this machine reaches/,
      ],
      [{ SEALTRAIL_PUBLIC_URL: 'https://localhost' }, 'CONFIG_INVALID', /nothing here speaks TLS/],
      [
        { SEALTRAIL_TRUSTED_PROXY: '127.0.0.1', SEALTRAIL_PUBLIC_URL: 'http://a.example' },
        'CONFIG_INVALID',
        /must begin with https/,
      ],
    ])('%o is refused', (environment, code, message) => {
      const files = Object.entries(environment).map(([name, value]) => [
        name,
        name.endsWith('_FILE') ? join(folder, value) : value,
      ])
      expect(() => readConfiguration({}, Object.fromEntries(files))).toThrow(
        expect.objectContaining({ code, message: expect.stringMatching(message) }),
      )
    })
  })
})
