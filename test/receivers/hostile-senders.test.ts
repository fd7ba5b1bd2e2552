import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import Fastify from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { boundConnections } from '../../ingest/receivers/bound-connections.ts'
import { registerReceivers } from '../../ingest/receivers/register-receivers.ts'
import { SourceIntake } from '../../ingest/receivers/source-intake.ts'
import { defaultSourceQuota, type SourceQuota } from '../../schemas/source-quota.ts'
import {
  authorization,
  type RecordingServer,
  sourceKey,
  startRecordingServer,
} from './recording-server.ts'

const json = { ...authorization, 'content-type': 'application/json' }
const event = { 'event.class': 'tool_call', 'gen_ai.tool.name': 'x' }

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function post(server: RecordingServer, payload: string | Uint8Array, headers = {}) {
  return server.app.inject({
    method: 'POST',
    url: '/v1/events',
    headers: { ...json, ...headers },
    payload: Buffer.from(payload),
  })
}

describe('hostile records are kept, or refused with what is wrong', () => {
  it('names that mean something to JavaScript are fields like any other', async () => {
    const server = startRecordingServer()
    const body = `{"event.class":"tool_call","attributes":{"__proto__":{"polluted":1},"constructor":{"prototype":2}}}`
    expect((await post(server, body)).statusCode).toBe(200)
    const [kept] = server.events()
    expect(JSON.stringify(kept?.attributes)).toBe(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":2}}',
    )
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
    const top = await post(
      server,
      '{"event.class":"tool_call","__proto__":{"event.class":"admin"}}',
    )
    expect(top.json()).toMatchObject({ rejected: 1, problems: [{ field: '__proto__' }] })
    expect(server.events()[1]?.['raw.record']).toContain('__proto__')
  })

  it('line ends, NUL and controls stay within their value, in replies and on the record', async () => {
    const server = startRecordingServer()
    const name = 'a\r\nHTTP/1.1 200 OK\r\n\r\n\u0000\u001b[2J\u2028'
    const reply = await post(
      server,
      JSON.stringify([
        { ...event, 'gen_ai.tool.name': name },
        { [name]: 1, ...event },
      ]),
    )
    expect(server.events()[0]?.['gen_ai.tool.name']).toBe(name)
    expect(reply.statusCode).toBe(200)
    expect(reply.body).not.toContain('\r\n')
    expect(reply.json().problems[0].field).toBe(name.slice(0, 128))
    const header = await post(server, JSON.stringify(event), { 'idempotency-key': 'k'.repeat(257) })
    expect(header.json()).toMatchObject({ code: 'REQUEST_INVALID' })
  })

  it('all members of a gzip body are one body, also over the limit together', async () => {
    const server = startRecordingServer()
    const [first = '', second = ''] = [`[${JSON.stringify(event)},`, `${JSON.stringify(event)}]`]
    const packed = Buffer.concat([gzipSync(first), gzipSync(second)])
    expect((await post(server, packed, { 'content-encoding': 'gzip' })).json().records).toBe(2)
    const half = gzipSync(Buffer.alloc(3 * 1024 * 1024, 0x20))
    const bomb = await post(server, Buffer.concat([half, half]), { 'content-encoding': 'gzip' })
    expect([bomb.statusCode, bomb.json().code]).toEqual([413, 'BODY_TOO_LARGE'])
    const cut = await post(server, packed.subarray(0, -3), { 'content-encoding': 'gzip' })
    expect([cut.statusCode, cut.json().code]).toEqual([400, 'ENCODING_INVALID'])
    const twice = await post(server, gzipSync(packed), { 'content-encoding': 'gzip, gzip' })
    expect([twice.statusCode, twice.json().code]).toEqual([415, 'MEDIA_TYPE_UNSUPPORTED'])
  })

  it('depth beyond any stack costs a rejected record, no process', async () => {
    const server = startRecordingServer()
    const deep = 1_000_000
    const reply = await post(
      server,
      `{"event.class":"tool_call","attributes":${'['.repeat(deep)}${']'.repeat(deep)}}`,
    )
    expect(reply.statusCode).toBe(400)
    expect(server.events()).toMatchObject([
      { 'record.disposition': 'rejected', 'raw.size_bytes': 2 * deep + 41 },
    ])
  })
})

describe('quotas of a source', () => {
  const quota: SourceQuota = {
    eventsPerSecond: 10,
    bytesPerSecond: 1_000_000,
    rejectedBytesPerDay: 300,
  }

  it('past its events it is told when to come again, before its body is read; then it is taken', async () => {
    const server = startRecordingServer({ quota })
    const many = JSON.stringify(Array.from({ length: 120 }, () => event))
    expect((await post(server, many)).statusCode).toBe(200)
    const refused = await post(server, `not read ${'x'.repeat(100)}`)
    expect(refused.statusCode).toBe(429)
    expect(refused.headers['retry-after']).toBe('2')
    expect(refused.json()).toMatchObject({ code: 'QUOTA_EXCEEDED' })
    expect(refused.json().detail).toContain('10 events')
    const otlp = await server.app.inject({
      method: 'POST',
      url: '/v1/logs',
      headers: json,
      payload: '{}',
    })
    expect([otlp.statusCode, otlp.headers['retry-after'], otlp.json().code]).toEqual([429, '2', 8])
    expect(server.events()).toHaveLength(120)
    server.clock.nowMs += 2100
    expect((await post(server, JSON.stringify(event))).statusCode).toBe(200)
  })

  it('bytes count as they are unpacked', async () => {
    const server = startRecordingServer({ quota: { ...quota, bytesPerSecond: 100_000 } })
    const padded = JSON.stringify({ ...event, attributes: { pad: 'p'.repeat(1_300_000) } })
    const packed = gzipSync(padded)
    expect((await post(server, packed, { 'content-encoding': 'gzip' })).statusCode).toBe(200)
    const refused = await post(server, JSON.stringify(event))
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([429, '4'])
  })

  it('of rejected records past the bytes of a day hash and size are kept, until the next day', async () => {
    const server = startRecordingServer({ quota })
    const bad = (n: number) => `{"event.class":"tool_call","no.field":"${String(n).repeat(100)}"}`
    for (let n = 0; n < 4; n++) await post(server, bad(n))
    const raws = server.events().map((each) => each['raw.record'] !== undefined)
    expect(raws).toEqual([true, true, false, false])
    expect(server.events()[3]).toMatchObject({
      'record.disposition': 'rejected',
      'raw.size_bytes': bad(3).length,
      'record.notes': [
        'raw.record:over_quota',
        expect.stringMatching(/^raw\.record:sha256:[0-9a-f]{64}$/),
      ],
    })
    // What is mapped has no such quota.
    await post(server, JSON.stringify({ ...event, attributes: { pad: 'p'.repeat(500) } }))
    server.clock.nowMs += 86_400_000
    await post(server, bad(5))
    expect(server.events().at(-1)?.['raw.record']).toBe(bad(5))
  })

  it('one source has a bounded number of requests under way, and another one is not touched by it', () => {
    const intake = new SourceIntake(
      () => defaultSourceQuota,
      () => 0,
    )
    const [loud, quiet] = ['loud', 'quiet'].map((sourceId) => ({ sourceId, logId: 'main' }))
    if (loud === undefined || quiet === undefined) throw new Error('two sources')
    const over = Array.from({ length: 64 }, () => intake.admit(loud, 10))
    expect(() => intake.admit(loud, 10)).toThrow(
      expect.objectContaining({ code: 'QUOTA_EXCEEDED' }),
    )
    intake.admit(quiet, 10)()
    over[0]?.()
    over[0]?.()
    intake.admit(loud, 10)
    expect(() => intake.admit(loud, 10)).toThrow(
      expect.objectContaining({ code: 'QUOTA_EXCEEDED' }),
    )
    expect(intake.of('loud')?.refused).toBe(2)
  })

  it('bodies of all sources together are bounded', () => {
    const intake = new SourceIntake(
      () => defaultSourceQuota,
      () => 0,
    )
    const taken: unknown[] = []
    const fill = () => {
      for (let i = 0; i < 1000; i++)
        taken.push(intake.admit({ sourceId: `s${i}`, logId: 'main' }, 4 * 1024 * 1024))
    }
    expect(fill).toThrow(expect.objectContaining({ code: 'BUS_FULL', retryable: true }))
    expect(taken).toHaveLength(48)
  })
})

describe('on the wire', () => {
  it('who is slow with the head of a request, or with its body, is answered 408 and let go', async () => {
    const port = await listening({ headersMs: 150, requestMs: 400 })
    const slowHead = await open(port, 'POST /v1/events HTTP/1.1\r\nHost: x\r\nX-')
    const slowBody = await open(port, head(`Content-Length: 1000`))
    const trickle = await open(port, head('Transfer-Encoding: chunked'))
    const dripping = setInterval(() => trickle.socket.write('1\r\n{\r\n'), 20)
    for (const each of [slowHead, slowBody, trickle]) {
      await each.closed
      expect(each.text()).toMatch(/^HTTP\/1\.1 408 /)
    }
    clearInterval(dripping)
  })

  it('a length that is wrong, doubled or no number is refused, and what follows it is no request', async () => {
    const port = await listening()
    const smuggled = 'POST /v1/events HTTP/1.1\r\nHost: x\r\n\r\n'
    for (const [lines, status] of [
      ['Content-Length: 1\r\nContent-Length: 40', 400],
      ['Content-Length: -5', 400],
      ['Content-Length: 0x10', 400],
      ['Content-Length: 10\r\nTransfer-Encoding: chunked', 400],
      [`Content-Length: ${100 * 1024 * 1024}`, 413],
    ] as const) {
      const each = await open(port, `${head(lines)}{}${smuggled}`)
      await each.closed
      expect(each.text().match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`])
    }
  })

  it('a chunked body over the limit is cut off while it comes', async () => {
    const port = await listening()
    const each = await open(port, head('Transfer-Encoding: chunked'))
    const chunk = `40000\r\n${' '.repeat(0x40000)}\r\n`
    for (let i = 0; i < 40 && !each.socket.destroyed; i++) {
      each.socket.write(chunk)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await each.closed
    expect(each.text()).toMatch(/^HTTP\/1\.1 413 /)
    expect(each.text()).toContain('BODY_TOO_LARGE')
  })

  it('connections are bounded by address and in all, and those that are in go on', async () => {
    const port = await listening({ perAddress: 20, total: 1000 })
    const flood = await Promise.all(Array.from({ length: 200 }, () => open(port, '')))
    await eventually(() => flood.filter(({ socket }) => socket.destroyed).length === 180)
    const kept = flood.filter(({ socket }) => !socket.destroyed)
    const body = JSON.stringify(event)
    kept[0]?.socket.write(`${head(`Content-Length: ${body.length}`)}${body}`)
    await eventually(() => kept[0]?.text().startsWith('HTTP/1.1 200') === true)
    for (const { socket } of kept.slice(1)) socket.destroy()
    await eventually(async () => {
      const late = await open(port, `${head(`Content-Length: ${body.length}`)}${body}`)
      await Promise.race([late.closed, once(late.socket, 'data')])
      return late.text().startsWith('HTTP/1.1 200')
    })
  })
})

function head(lines: string): string {
  return `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${sourceKey}\r\nContent-Type: application/json\r\n${lines}\r\n\r\n`
}

async function listening(
  bounds: Partial<Parameters<typeof boundConnections>[1]> = {},
): Promise<number> {
  const { deps } = startRecordingServer()
  const app = Fastify({
    serverFactory: (handler) =>
      createServer({ connectionsCheckingInterval: 50 }, (request, response) =>
        handler(request, response),
      ),
    forceCloseConnections: true,
  })
  boundConnections(app.server, {
    total: 100,
    perAddress: 100,
    headersMs: 5000,
    requestMs: 5000,
    ...bounds,
  })
  registerReceivers(app, deps)
  await app.listen({ port: 0, host: '127.0.0.1' })
  closing.push(() => app.close())
  return (app.server.address() as AddressInfo).port
}

async function open(port: number, text: string) {
  const socket: Socket = connect(port, '127.0.0.1')
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
  })
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  closing.push(async () => socket.destroy())
  await Promise.race([once(socket, 'connect'), closed])
  if (text !== '') socket.write(text)
  return { socket, closed, text: () => received }
}

async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 20_000
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error('it did not come to hold')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
