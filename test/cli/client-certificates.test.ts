import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { type BindFlags, bindCommand } from '../../cli/bind-command.ts'
import { ReceiverClient } from '../../ingest/collectors/receiver-client.ts'
import { EventDetail } from '../../schemas/api/event-detail.ts'
import { SearchReply } from '../../schemas/api/search.ts'
import { CreateSourceKeyReply } from '../../schemas/api/sources.ts'
import { CertificateAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

const day = 24 * 60 * 60_000
const spiffe = 'URI:spiffe://acme/gateway'
let folder: string
let authority: CertificateAuthority
let sealtrail: RunningSealtrail
let gateway: IssuedCertificate
let laptop: IssuedCertificate
let sources: Record<'bound' | 'free' | 'keyless', z.infer<typeof CreateSourceKeyReply>>

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sealtrail-mtls-'))
  authority = await CertificateAuthority.create()
  const server = await authority.issueFiles(folder, 'server', { commonName: 'localhost' })
  const names = [{ type: 'url' as const, value: spiffe.slice(4) }]
  gateway = await authority.issue({ commonName: 'gateway', names, purpose: 'client' })
  laptop = await authority.issue({ commonName: 'laptop', purpose: 'client' })
  sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_TLS_CERT_FILE: server.certFile,
    SEALTRAIL_TLS_KEY_FILE: server.keyFile,
    SEALTRAIL_TLS_CLIENT_CA_FILE: authority.writeFile(folder),
  })
  const create = (name: string) =>
    sealtrail.control.call(CreateSourceKeyReply, 'POST', '/api/v1/source-keys', { name })
  sources = {
    bound: await create('bound'),
    free: await create('free'),
    keyless: await create('keyless'),
  }
  const told = await sealtrail.command([
    'source-key',
    'bind',
    sources.bound.id,
    '--certificate',
    spiffe,
  ])
  expect(told).toMatchObject({ code: 0, stdout: expect.stringContaining('besides its key') })
  writeFileSync(join(folder, 'laptop.crt'), laptop.cert)
  await bind('keyless', { certificateFile: join(folder, 'laptop.crt'), insteadOfKey: true })
}, 60_000)
afterAll(async () => {
  await sealtrail?.end()
  rmSync(folder, { recursive: true, force: true })
})

const bind = (source: keyof typeof sources, flags: BindFlags) =>
  bindCommand(sources[source].id, flags, sealtrail.control)

interface Sent {
  readonly key?: string
  readonly shows?: IssuedCertificate
  readonly otlp?: boolean
}

/** Sends one event over a connection of its own. */
async function send({ key, shows, otlp = false }: Sent) {
  const url = otlp ? `${sealtrail.otlpUrl}/v1/logs` : `${sealtrail.url}/v1/events`
  const outgoing = request(url, {
    method: 'POST',
    agent: false,
    ca: authority.cert,
    ...(shows ?? {}),
    headers: {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    },
  })
  const event = { 'event.class': 'tool_call', 'gen_ai.tool.name': 'hello' }
  outgoing.end(JSON.stringify(otlp ? { resourceLogs: [] } : event))
  const [response] = await once(outgoing, 'response')
  let text = ''
  for await (const chunk of response) text += chunk
  const body = JSON.parse(text)
  return { status: response.statusCode, detail: body.detail ?? body.message, body }
}

test('a source that is bound comes with key and certificate, and the record says so', async () => {
  const sent = await send({ key: sources.bound.key, shows: gateway })
  expect(sent.status).toBe(200)
  expect((await send({ key: sources.bound.key, shows: gateway, otlp: true })).status).toBe(200)
  const range = `from=2020-01-01T00:00:00Z&until=${new Date(Date.now() + 60_000).toISOString()}`
  const search = () =>
    sealtrail.control.call(
      SearchReply,
      'GET',
      `/api/v1/events?${range}&view=events&q=${encodeURIComponent(`source.certificate:"${spiffe}"`)}`,
    )
  await expect.poll(async () => (await search()).rows.length, { timeout: 10_000 }).toBe(1)
  const eventId = (await search()).rows[0]?.eventId
  const detail = await sealtrail.control.call(EventDetail, 'GET', `/api/v1/events/${eventId}`)
  expect(JSON.stringify(detail)).toContain(spiffe)
})

test('without it, or with another one, the key alone is refused, and it is said why', async () => {
  const key = sources.bound.key
  const names = [{ type: 'url' as const, value: spiffe.slice(4) }]
  const foreign = await (await CertificateAuthority.create('Another')).issue({
    commonName: 'gateway',
    names,
    purpose: 'client',
  })
  const ended = await authority.issue({
    commonName: 'gateway',
    names,
    purpose: 'client',
    notBefore: new Date(Date.now() - 2 * day),
    notAfter: new Date(Date.now() - day),
  })
  // A certificate for servers is none for clients.
  const server = await authority.issue({ commonName: 'gateway', names, purpose: 'server' })
  for (const [shows, why] of [
    [undefined, /must show a client certificate, and there was none/],
    [laptop, /is not the one that this source is bound to/],
    [foreign, /is not accepted: .*(?:UNABLE_TO|SELF_SIGNED)/],
    [ended, /is not accepted: CERT_HAS_EXPIRED/],
    [server, /is not accepted: INVALID_PURPOSE/],
  ] as const) {
    const sent = await send({ key, ...(shows === undefined ? {} : { shows }) })
    expect([sent.status, sent.body.code]).toEqual([401, 'CREDENTIALS_INVALID'])
    expect(sent.detail).toMatch(why)
  }
  expect(await send({ key, otlp: true })).toMatchObject({
    status: 401,
    detail: expect.stringContaining('there was none'),
  })
  // Who has no key learns nothing of what would be right.
  expect((await send({ key: `${key}x`, shows: laptop })).detail).toBe(
    'the source key is unknown or revoked',
  )
})

test('a source that is not bound is not asked, and what it shows does not stand on its records', async () => {
  expect((await send({ key: sources.free.key })).status).toBe(200)
  expect((await send({ key: sources.free.key, shows: gateway })).status).toBe(200)
})

test('a certificate may be enough, for the one source that it stands for', async () => {
  expect((await send({ shows: laptop })).status).toBe(200)
  expect(await send({ shows: gateway })).toMatchObject({ status: 401 })
  expect(await send({})).toMatchObject({ status: 401, detail: 'the request carries no source key' })
  // Its key alone is not enough any more.
  expect(await send({ key: sources.keyless.key })).toMatchObject({ status: 401 })
  const same = { certificateFile: join(folder, 'laptop.crt'), insteadOfKey: true } as const
  await expect(bind('free', same)).rejects.toMatchObject({
    code: 'REQUEST_INVALID',
    message: expect.stringContaining('stands for another source already'),
  })
})

test('a session that is resumed is who it was, and nobody where it was nobody', async () => {
  const resumed = async (shows: IssuedCertificate | undefined) => {
    const options = { host: '127.0.0.1', port: sealtrail.port, servername: 'localhost' }
    const first = connect({ ...options, ca: authority.cert, ...(shows ?? {}) })
    const [session] = await once(first, 'session')
    first.destroy()
    // Shows nothing of its own: only the session speaks.
    const again = connect({ ...options, ca: authority.cert, session })
    await once(again, 'secureConnect')
    expect(again.isSessionReused()).toBe(true)
    again.write(
      'POST /v1/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}',
    )
    let text = ''
    for await (const chunk of again) text += chunk
    return Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])
  }
  expect(await resumed(undefined)).toBe(401)
  // What it sent is kept as unmapped.
  expect(await resumed(laptop)).toBe(200)
})

test("a collector's client shows what it was given", async () => {
  for (const [name, text] of [
    ['tap.crt', gateway.cert],
    ['tap.key', gateway.key],
  ] as const)
    writeFileSync(join(folder, name), text)
  const client = new ReceiverClient({
    url: sealtrail.url.replace('127.0.0.1', 'localhost'),
    bearer: sources.bound.key,
    certificates: {
      caFile: join(folder, 'ca.crt'),
      certFile: join(folder, 'tap.crt'),
      keyFile: join(folder, 'tap.key'),
    },
    timeoutMs: 5000,
  })
  const { signal } = new AbortController()
  const reply = await client.ask('GET', '/v1/sources/self', undefined, signal)
  expect(z.object({ source_id: z.string() }).parse(reply.body).source_id).toBe(sources.bound.id)
})

test('a source that is freed needs its key alone again', async () => {
  expect(await bind('bound', { none: true })).toMatch(/shows no certificate any more/)
  expect((await send({ key: sources.bound.key })).status).toBe(200)
  for (const flags of [{}, { none: true, certificate: spiffe }] as const)
    await expect(bind('bound', flags)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  await expect(bind('bound', { certificate: 'CN=gateway' })).rejects.toThrow(/spki-sha256/)
  await expect(bind('bound', { certificateFile: '/none' })).rejects.toThrow(/no certificate/)
})
