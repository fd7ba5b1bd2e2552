import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  type CollectorCertificates,
  ReceiverClient,
} from '../../ingest/collectors/receiver-client.ts'
import { CertificateAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts'

let folder: string
let authority: CertificateAuthority
let caFile: string
let server: IssuedCertificate
let client: { certFile: string; keyFile: string }
const day = 24 * 60 * 60_000

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-collector-tls-'))
  authority = await CertificateAuthority.create()
  caFile = authority.writeFile(folder)
  server = await authority.issue({ commonName: 'localhost' })
  client = await authority.issueFiles(folder, 'client', { commonName: 'laptop', purpose: 'client' })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function listen(app: Server): Promise<number> {
  app.listen(0, '127.0.0.1')
  onTestFinished(() => {
    app.closeAllConnections()
    app.close()
  })
  await once(app, 'listening')
  const address = app.address() as AddressInfo | null
  return address?.port ?? 0
}

const answer: RequestListener = (_request, response) => void response.end('{"well":true}')
const overTls = (options: ServerOptions, handler = answer) => listen(createServer(options, handler))

function ask(url: string, certificates: CollectorCertificates = { caFile }) {
  const asking = new ReceiverClient({ url, bearer: 'stk_x', certificates, timeoutMs: 5000 })
  return asking.ask('GET', '/v1/sources/self', undefined, new AbortController().signal)
}

describe('a collector', () => {
  test('reaches a receiver whose authority it was told', async () => {
    const port = await overTls(server)
    await expect(ask(`https://localhost:${port}`)).resolves.toEqual({
      status: 200,
      retryAfter: undefined,
      body: { well: true },
    })
  })

  test('shows its certificate, and another one as soon as the files change', async () => {
    const seen: unknown[] = []
    const port = await overTls(
      { ...server, ca: authority.cert, requestCert: true },
      (request, response) => {
        const { socket } = request
        if ('getPeerCertificate' in socket && typeof socket.getPeerCertificate === 'function')
          seen.push(socket.getPeerCertificate().subject.CN)
        response.end('{}')
      },
    )
    const asking = new ReceiverClient({
      url: `https://localhost:${port}`,
      bearer: 'stk_x',
      certificates: { caFile, ...client },
      timeoutMs: 5000,
    })
    const once = () => asking.ask('POST', '/v1/events', '{}', new AbortController().signal)
    await once()
    const renewed = await authority.issue({ commonName: 'renewed', purpose: 'client' })
    writeFileSync(client.keyFile, renewed.key)
    writeFileSync(client.certFile, renewed.cert)
    await once()
    rmSync(client.keyFile)
    // What cannot be read does not end what works.
    await once()
    expect(seen).toEqual(['laptop', 'renewed', 'renewed'])
  })

  test('sends again what a kept connection lost before it was read', async () => {
    let requests = 0
    const app = createPlainServer((request, response) => {
      requests++
      if (requests === 2) request.socket.resetAndDestroy()
      else response.end('{"well":true}')
    })
    const asking = new ReceiverClient({
      url: `http://127.0.0.1:${await listen(app)}`,
      bearer: 'stk_x',
      timeoutMs: 5000,
    })
    const ask = () => asking.ask('POST', '/v1/events', '{}', new AbortController().signal)
    await ask()
    await expect(ask()).resolves.toMatchObject({ body: { well: true } })
    expect(requests).toBe(3)
  })

  test('never follows a receiver that sends it elsewhere', async () => {
    const port = await overTls(
      server,
      (_request, response) =>
        void response.writeHead(307, { location: 'https://evil.example/' }).end(),
    )
    await expect(ask(`https://localhost:${port}`)).resolves.toMatchObject({ status: 307 })
  })

  const other = () => CertificateAuthority.create('Another authority')
  test.each<[string, () => Promise<[string, CollectorCertificates?]>, RegExp]>([
    [
      'an authority that it does not know',
      async () => [`https://localhost:${await overTls(server)}`, {}],
      /authority that is not known here: .*SEALTRAIL_CA_FILE \(UNABLE_TO/,
    ],
    [
      'a certificate of another authority',
      async () => [
        `https://localhost:${await overTls(await (await other()).issue({ commonName: 'localhost' }))}`,
      ],
      /authority that is not known here/,
    ],
    [
      'a certificate for another name',
      async () => {
        const names = [{ type: 'dns' as const, value: 'audit.example' }]
        const port = await overTls(await authority.issue({ commonName: 'audit.example', names }))
        return [`https://localhost:${port}`]
      },
      /is not for localhost: use a name/,
    ],
    [
      'a certificate that has ended',
      async () => {
        const notBefore = new Date(Date.now() - 2 * day)
        const notAfter = new Date(Date.now() - day)
        const ended = await authority.issue({ commonName: 'localhost', notBefore, notAfter })
        return [`https://localhost:${await overTls(ended)}`]
      },
      /has ended: renew it/,
    ],
    [
      'a receiver without TLS',
      async () => [`https://localhost:${await listen(createPlainServer(answer))}`],
      /does not speak TLS: use http:/,
    ],
    [
      'a proxy that wants a certificate',
      async () => {
        const wants = { ca: authority.cert, requestCert: true, rejectUnauthorized: true }
        return [
          `https://localhost:${await overTls({ ...server, ...wants, maxVersion: 'TLSv1.2' })}`,
        ]
      },
      /refuses this client: .*SEALTRAIL_CLIENT_CERT_FILE/,
    ],
    [
      'a file that is not there',
      async () => ['https://localhost:1', { caFile: join(folder, 'none') }],
      /a certificate file cannot be read: ENOENT.*none/,
    ],
  ])('says what is wrong and what to do: %s', async (_name, reach, sentence) => {
    const [url, certificates] = await reach()
    await expect(ask(url, certificates)).rejects.toThrow(sentence)
  })
})
