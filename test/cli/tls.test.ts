import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { certificate } from '../../cli/doctor/certificate-check.ts'
import { type Diagnosis, diagnose } from '../../cli/doctor-command.ts'
import { CertificateAuthority } from '../fixtures/certificate-authority.ts'
import { RunningSealtrail, runSealtrail } from '../fixtures/running-sealtrail.ts'

const password = 'correct horse battery staple'
const publicUrl = 'https://audit.example'
const metricsToken = 'metrics-0123456789abcdef'

let folder: string
let authority: CertificateAuthority
let files: { certFile: string; keyFile: string }
let environment: Record<string, string>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-tls-'))
  authority = await CertificateAuthority.create()
  files = await authority.issueFiles(folder, 'server', serverNames)
  writeFileSync(join(folder, 'password'), password)
  writeFileSync(join(folder, 'metrics'), `${metricsToken}\n`)
  environment = {
    SEALTRAIL_TLS_CERT_FILE: files.certFile,
    SEALTRAIL_TLS_KEY_FILE: files.keyFile,
    SEALTRAIL_ADMIN_NAME: 'ana',
    SEALTRAIL_ADMIN_PASSWORD_FILE: join(folder, 'password'),
    SEALTRAIL_PUBLIC_URL: publicUrl,
    SEALTRAIL_METRICS_TOKEN_FILE: join(folder, 'metrics'),
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const serverNames = {
  commonName: 'audit.example',
  names: [
    { type: 'dns' as const, value: 'localhost' },
    { type: 'dns' as const, value: 'audit.example' },
    { type: 'ip' as const, value: '127.0.0.1' },
  ],
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

interface Asked extends RequestOptions {
  readonly body?: unknown
}

/** One request, exactly as it is said: other clients choose Host, Origin and connection by themselves. */
async function ask(url: string, { body, ...options }: Asked = {}): Promise<Answer> {
  const text = body === undefined ? undefined : JSON.stringify(body)
  const headers = {
    ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    ...options.headers,
  }
  const send = url.startsWith('https:') ? httpsRequest : httpRequest
  // Else Node.js expects the certificate of whatever Host says.
  const tls = { agent: false, ca: authority.cert, servername: 'localhost' }
  const outgoing = send(url, { ...tls, ...options, headers })
  outgoing.end(text)
  const [response] = await once(outgoing, 'response')
  let answer = ''
  for await (const chunk of response) answer += chunk
  return { status: response.statusCode, headers: response.headers, text: answer }
}

/**
 * Address of this machine that is not loopback, as those beyond it see; undefined on a machine without a network, where
 * nobody else is, and where test/api/reach.test.ts has to do.
 */
const otherAddress = Object.values(networkInterfaces())
  .flat()
  .find((each) => each?.family === 'IPv4' && !each.internal)?.address

const login = (name: string, secret: string) => ({
  method: 'POST',
  body: { name, password: secret },
})

describe('TLS on every listener', () => {
  let sealtrail: RunningSealtrail
  let key: string
  beforeAll(async () => {
    sealtrail = await RunningSealtrail.start(undefined, {
      ...environment,
      SEALTRAIL_HOST: '0.0.0.0',
    })
    key = await sealtrail.key('gateway')
  }, 60_000)
  afterAll(() => sealtrail?.end())

  function handshake(
    options: {
      minVersion?: 'TLSv1' | 'TLSv1.2'
      maxVersion?: 'TLSv1.1' | 'TLSv1.2'
      ciphers?: string
      port?: number
    } = {},
  ): Promise<TLSSocket> {
    const { port = sealtrail.port, ...rest } = options
    const socket = connect({
      host: '127.0.0.1',
      port,
      servername: 'localhost',
      ca: authority.cert,
      ...rest,
    })
    onTestFinished(() => void socket.destroy())
    return new Promise((resolve, reject) => {
      socket.once('secureConnect', () => resolve(socket))
      socket.once('error', reject)
    })
  }

  test('events are taken over TLS on both ports, and answered with a receipt', async () => {
    const sent = await ask(`${sealtrail.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: { 'event.class': 'tool_call', 'gen_ai.tool.name': 'hello' },
    })
    expect(sent.status).toBe(200)
    expect(JSON.parse(sent.text).receipt.treeSize).toBeGreaterThan(0)
    const otlp = await ask(`${sealtrail.otlpUrl}/v1/logs`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: { resourceLogs: [] },
    })
    expect(otlp).toMatchObject({ status: 200, text: '{}' })
  })

  test('TLS 1.3 where it can be, 1.2 with suites of today, nothing before', async () => {
    expect((await handshake()).getProtocol()).toBe('TLSv1.3')
    expect((await handshake({ maxVersion: 'TLSv1.2' })).getCipher().name).toMatch(
      /^ECDHE-ECDSA-(AES|CHACHA20)/,
    )
    await expect(
      handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ).rejects.toThrow()
    await expect(
      handshake({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' }),
    ).rejects.toThrow()
  })

  test('whoever comes with plain HTTP is told to use https, and that a key was seen on the way', async () => {
    const plain = sealtrail.url.replace('https:', 'http:')
    const program = await ask(`${plain}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: {},
    })
    expect(program.status).toBe(400)
    expect(JSON.parse(program.text)).toMatchObject({
      code: 'REQUEST_INVALID',
      detail: 'this port speaks TLS, and the request came as plain HTTP',
      hint: expect.stringMatching(/https:.*rotate it/),
    })
    const otlp = await ask(`${sealtrail.otlpUrl.replace('https:', 'http:')}/v1/logs`, {
      method: 'POST',
    })
    expect(otlp.status).toBe(400)
    const page = { accept: 'text/html,*/*' }
    const browser = await ask(`${plain}/explore?q=1`, { headers: page })
    expect([browser.status, browser.headers.location]).toEqual([
      308,
      `${sealtrail.url}/explore?q=1`,
    ])
    const named = await ask(`${plain}/explore`, { headers: { ...page, host: 'audit.example' } })
    expect(named.headers.location).toBe(`${publicUrl}/explore`)
    const rebound = await ask(`${plain}/explore`, { headers: { ...page, host: 'evil.example' } })
    expect(rebound.headers.location).toBe(`${publicUrl}/explore`)
  })

  test('whoever says nothing, half a handshake or noise holds up nobody', async () => {
    const silent = connectPlain(sealtrail.port, '127.0.0.1')
    const half = connectPlain(sealtrail.port, '127.0.0.1')
    const noise = connectPlain(sealtrail.port, '127.0.0.1')
    const gone = connectPlain(sealtrail.port, '127.0.0.1')
    for (const socket of [silent, half, noise, gone]) {
      socket.on('error', () => undefined)
      onTestFinished(() => void socket.destroy())
    }
    await Promise.all([silent, half, noise, gone].map((socket) => once(socket, 'connect')))
    half.write(Buffer.from([22, 3, 1]))
    noise.write(Buffer.from([0, 255, 0, 255, 13, 10, 13, 10]))
    gone.end()
    await Promise.all([once(noise.resume(), 'close'), once(gone.resume(), 'close')])
    expect((await ask(`${sealtrail.url}/healthz`)).status).toBe(200)
  })

  test('a session cookie is Secure, and the public name is https for a year', async () => {
    const answer = await ask(`${sealtrail.url}/api/v1/login`, {
      ...login('ana', password),
      headers: { host: 'audit.example' },
    })
    expect(answer.status).toBe(200)
    const cookie = answer.headers['set-cookie']?.[0] ?? ''
    expect(cookie).toMatch(/; Secure/)
    expect(cookie).toMatch(/; HttpOnly/)
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000')
    // Browsers keep it for every port of a name, and other things are developed on this machine.
    const local = await ask(`${sealtrail.url}/healthz`)
    expect(local.headers['strict-transport-security']).toBeUndefined()
  })

  test('only names of this server are answered, and only its own pages change anything', async () => {
    const status = async (headers: Record<string, string>) =>
      (await ask(`${sealtrail.url}/api/v1/logout`, { method: 'POST', headers, body: {} })).status
    expect(await status({ host: 'evil.example' })).toBe(403)
    expect(await status({ host: 'audit.example', origin: publicUrl })).toBe(200)
    expect(await status({ host: 'audit.example', origin: 'http://audit.example' })).toBe(403)
    expect(await status({ host: 'audit.example', origin: 'https://evil.example' })).toBe(403)
  })

  test('who says that he was forwarded is not believed', async () => {
    const status = async (host: string) =>
      (
        await ask(`${sealtrail.url}/api/v1/setup`, {
          headers: { host, 'x-forwarded-host': 'audit.example', 'x-forwarded-proto': 'https' },
        })
      ).status
    expect(await status('evil.example')).toBe(403)
    expect(await status('audit.example')).toBe(200)
  })

  test('probes are answered by address; metrics on this machine, or with their token', async () => {
    const at = async (path: string, headers: Record<string, string> = {}) =>
      (await ask(`${sealtrail.url}${path}`, { headers })).status
    expect(await at('/healthz', { host: '10.1.2.3:3000' })).toBe(200)
    expect(await at('/readyz', { host: '10.1.2.3:3000' })).toBe(200)
    expect(await at('/metrics')).toBe(200)
    expect(await at('/metrics', { host: 'evil.example' })).toBe(403)
    expect(await at('/metrics', { 'x-forwarded-for': '203.0.113.9' })).toBe(401)
    expect(await at('/metrics', { authorization: 'Bearer guess' })).toBe(401)
    expect(
      await at('/metrics', {
        authorization: `Bearer ${metricsToken}`,
        host: '10.1.2.3',
        'x-forwarded-for': '203.0.113.9',
      }),
    ).toBe(200)
  })

  test('the one-time link is opened on this machine only', async () => {
    const post = (headers: Record<string, string>) =>
      ask(`${sealtrail.url}/api/v1/setup`, {
        method: 'POST',
        headers,
        body: { token: 'x'.repeat(32), name: 'eve', password },
      })
    expect((await post({})).status).toBe(401)
    const relayed = await post({ 'x-forwarded-for': '203.0.113.9' })
    expect(relayed.status).toBe(403)
    expect(JSON.parse(relayed.text).hint).toMatch(/ssh -L/)
  })

  test('from another address the same holds', async () => {
    if (otherAddress === undefined) return
    const options = { servername: 'audit.example', headers: { host: 'audit.example' } }
    const origin = `https://${otherAddress}:${sealtrail.port}`
    expect((await ask(`${origin}/healthz`, options)).status).toBe(200)
    expect((await ask(`${origin}/metrics`, options)).status).toBe(401)
    const setup = {
      ...options,
      method: 'POST',
      body: { token: 'x'.repeat(32), name: 'e', password },
    }
    expect((await ask(`${origin}/api/v1/setup`, setup)).status).toBe(403)
    expect(
      (await ask(`${origin}/api/v1/login`, { ...options, ...login('ana', password) })).status,
    ).toBe(200)
  })

  test('a renewed certificate is in use without a restart; a broken one is said and changes nothing', async () => {
    const fingerprint = async () => (await handshake()).getPeerX509Certificate()?.fingerprint256
    const metrics = async () =>
      (await ask(`${sealtrail.url}/metrics`)).text
        .split('\n')
        .filter((line) => line.startsWith('sealtrail_certificate_'))
    const before = await fingerprint()
    const open = await handshake()
    const notAfter = new Date(Math.floor(Date.now() / 1000) * 1000 + 86_400_000)
    await authority.issueFiles(folder, 'server', { ...serverNames, notAfter })
    process.kill(sealtrail.pid, 'SIGHUP')
    await expect.poll(fingerprint, { timeout: 10_000 }).not.toBe(before)
    expect(open.destroyed).toBe(false)
    expect(await metrics()).toEqual([
      `sealtrail_certificate_expiry_timestamp_seconds{certificate="listeners"} ${notAfter.getTime() / 1000}`,
      'sealtrail_certificate_reload_failed{certificate="listeners"} 0',
    ])
    const renewed = await fingerprint()
    writeFileSync(files.keyFile, 'half a k')
    process.kill(sealtrail.pid, 'SIGHUP')
    await expect.poll(() => sealtrail.output, { timeout: 10_000 }).toMatch(/holds no private key/)
    expect(sealtrail.output).toMatch(/the former certificate stays/)
    expect(await fingerprint()).toBe(renewed)
    expect(await metrics()).toContain(
      'sealtrail_certificate_reload_failed{certificate="listeners"} 1',
    )
    expect((await sealtrail.control.status()).certificate?.problem).toMatch(/holds no private key/)
    const found: Diagnosis[] = []
    for await (const each of diagnose(sealtrail.directory, sealtrail.control, [certificate]))
      if (each.check === 'certificate') found.push(each)
    expect(found).toEqual([
      expect.objectContaining({
        state: 'warn',
        what: expect.stringMatching(/ends on .*, in [01] day/),
      }),
      expect.objectContaining({ state: 'fail', what: expect.stringMatching(/no private key/) }),
    ])
  })
})

describe('a proxy before it', () => {
  let sealtrail: RunningSealtrail
  beforeAll(async () => {
    const { SEALTRAIL_TLS_CERT_FILE: _cert, SEALTRAIL_TLS_KEY_FILE: _key, ...plain } = environment
    sealtrail = await RunningSealtrail.start(undefined, {
      ...plain,
      SEALTRAIL_HOST: '0.0.0.0',
      SEALTRAIL_TRUSTED_PROXY: '127.0.0.2',
    })
  }, 60_000)
  afterAll(() => sealtrail?.end())

  const throughProxy = (client: string): Asked => ({
    localAddress: '127.0.0.2',
    headers: {
      host: 'audit.example',
      'x-forwarded-for': client,
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'audit.example',
    },
  })

  test('is believed: cookies are Secure, and tries are counted by the client behind it', async () => {
    const url = `${sealtrail.url}/api/v1/login`
    const answer = await ask(url, { ...throughProxy('203.0.113.1'), ...login('ana', password) })
    expect(answer.status).toBe(200)
    expect(answer.headers['set-cookie']?.[0]).toMatch(/; Secure/)
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000')
    const guess = (client: string, name: string) =>
      ask(url, { ...throughProxy(client), ...login(name, 'wrong wrong wrong') })
    for (let round = 0; round < 5; round++) await guess('203.0.113.66', `nobody-${round}`)
    expect((await guess('203.0.113.66', 'nobody-6')).status).toBe(429)
    expect((await guess('203.0.113.67', 'nobody-7')).status).toBe(401)
  })

  test('somebody else at another address is not', async () => {
    const answer = await ask(`${sealtrail.url}/api/v1/setup`, {
      localAddress: '127.0.0.3',
      headers: { host: 'evil.example', 'x-forwarded-host': 'audit.example' },
    })
    expect(answer.status).toBe(403)
  })

  test('what comes through it is never from this machine', async () => {
    const bare = { localAddress: '127.0.0.2', headers: { host: 'localhost' } }
    expect((await ask(`${sealtrail.url}/metrics`, bare)).status).toBe(401)
    expect((await ask(`${sealtrail.url}/metrics`)).status).toBe(200)
  })

  test('plain HTTP from anywhere else is refused on both ports, whatever it says', async () => {
    if (otherAddress === undefined) return
    for (const url of [`${sealtrail.url}/v1/events`, `${sealtrail.otlpUrl}/v1/logs`]) {
      const answer = await ask(url.replace('127.0.0.1', otherAddress), {
        method: 'POST',
        headers: { host: 'audit.example', 'x-forwarded-for': '127.0.0.1' },
        body: {},
      })
      expect([url, answer.status]).toEqual([url, 403])
      expect(answer.text).toMatch(/SEALTRAIL_TRUSTED_PROXY/)
    }
  })
})

describe('listening wider is refused', () => {
  const start = (settings: Record<string, string>) => {
    const directory = mkdtempSync(join(folder, 'data-'))
    return runSealtrail(
      ['up', '--data', directory, '--port', '0', '--otlp-port', '0', '--no-web'],
      {
        SEALTRAIL_LOG_LEVEL: 'warn',
        ...settings,
      },
    )
  }

  test('while there is no account', async () => {
    const {
      SEALTRAIL_ADMIN_NAME: _name,
      SEALTRAIL_ADMIN_PASSWORD_FILE: _file,
      ...rest
    } = environment
    const fresh = await authority.issueFiles(folder, 'fresh', serverNames)
    const { code, stderr } = await start({
      ...rest,
      SEALTRAIL_TLS_CERT_FILE: fresh.certFile,
      SEALTRAIL_TLS_KEY_FILE: fresh.keyFile,
      SEALTRAIL_HOST: '0.0.0.0',
    })
    expect(code).toBe(2)
    expect(stderr).toMatch(/there is no account yet.*\(LISTEN_REFUSED\)\n.*SEALTRAIL_ADMIN_NAME/)
  })

  test('with a certificate that is not good, with the file and a next step', async () => {
    writeFileSync(join(folder, 'other.key'), (await authority.issue(serverNames)).key)
    const { code, stderr } = await start({
      ...environment,
      SEALTRAIL_PUBLIC_URL: '',
      SEALTRAIL_TLS_KEY_FILE: join(folder, 'other.key'),
    })
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /other\.key does not belong to .*server\.crt \(CONFIG_INVALID\)\n.*renew/,
    )
  })
})
