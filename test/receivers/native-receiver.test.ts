import { createHash } from 'node:crypto'
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeNdjsonBody } from '../../ingest/receivers/decode-json-records.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { EventFields } from '../../schemas/event/event.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'
import { defaultRedactionPolicy } from '../../schemas/redaction-policy.ts'
import { authorization, startRecordingServer } from './recording-server.ts'

const call = {
  'event.class': 'tool_call',
  'time.occurred': '2026-11-24T15:00:00.5+02:00',
  'gen_ai.tool.name': 'create_issue',
  'gen_ai.tool.call.arguments': { title: 'Bug' },
  'outcome.status': 'success',
}
const json = { ...authorization, 'content-type': 'application/json' }
const ndjson = { ...authorization, 'content-type': 'application/x-ndjson' }

function post(
  server: ReturnType<typeof startRecordingServer>,
  payload: string | Buffer,
  headers: Record<string, string> = json,
  url = '/v1/events',
) {
  return server.app.inject({ method: 'POST', url, headers, payload })
}

describe('POST /v1/events', () => {
  it('keeps the raw record where the event does not say all of it, and only there', async () => {
    const server = startRecordingServer()
    const raw = async (record: object | string) => {
      const text = typeof record === 'string' ? record : JSON.stringify(record)
      const from = server.events().length
      await post(server, text)
      return { text, event: server.events()[from] }
    }
    const toolCall = { 'event.class': 'tool_call', 'gen_ai.tool.name': 'a' }
    const whole = await raw({ ...toolCall, 'time.occurred': '2026-11-24T13:00:00Z' })
    expect(whole.event).toMatchObject({ 'raw.size_bytes': whole.text.length })
    expect(whole.event).not.toHaveProperty('raw.record')
    const wideScopes = Array.from({ length: 250 }, (_, i) => `${'s'.repeat(60)}${i}`)
    for (const record of [
      { ...toolCall, 'time.occurred': '2026-11-24T15:00:00+02:00' },
      { ...toolCall, 'time.occurred': '2199-01-01T00:00:00Z' },
      { ...toolCall, 'gen_ai.tool.call.arguments': 'x'.repeat(200_000) },
      { ...toolCall, 'auth.scopes.granted': wideScopes },
      '{"event.class":"tool_call","gen_ai.tool.call.arguments":{"id":12345678901234567890}}',
    ]) {
      const { text, event } = await raw(record)
      expect(event?.['raw.record']).toBe(text.slice(0, 131_072))
    }
  })

  it('maps one object, a list and NDJSON alike and answers with a receipt', async () => {
    const server = startRecordingServer()
    const one = await post(server, JSON.stringify(call))
    expect(one.statusCode).toBe(200)
    expect(one.json()).toEqual({
      receipt: {
        log: 'main',
        leaves: [{ first: 0, count: 1 }],
        treeSize: 1,
        root: '1'.padStart(64, '0'),
        duplicates: 0,
      },
      records: 1,
      mapped: 1,
      unmapped: 0,
      rejected: 0,
      duplicates: 0,
      problems: [],
    })
    const list = await post(server, JSON.stringify([call, call]))
    expect(list.json()).toMatchObject({ records: 2, mapped: 2 })
    const lines = `${JSON.stringify(call)}\r\n\n  \n${JSON.stringify(call)}`
    expect((await post(server, lines, ndjson)).json()).toMatchObject({ records: 2, mapped: 2 })
    const [event] = server.events()
    expect(event).toMatchObject({
      'event.class': 'tool_call',
      'time.occurred': '2026-11-24T13:00:00.500000000Z',
      'time.observed': '2026-11-24T13:20:00.000000000Z',
      'time.source': 'source',
      'source.id': 's1',
      'source.trust': 'asserted',
      'record.disposition': 'mapped',
      'mapping.id': 'native@1',
      'arguments.size_bytes': 15,
      'arguments.capture': 'full',
      'raw.record': JSON.stringify(call),
    })
    expect(EventFields.safeParse(event).success).toBe(true)
    expect(server.batches[0]?.requestDigest).toBe(
      createHash('sha256').update(JSON.stringify(call)).digest('hex'),
    )
    expect(server.counts[1]).toMatchObject({ receiver: 'native', records: 2, mapped: 2 })
  })

  it('unpacks gzip and both kinds of deflate, and the digest is that of the unpacked body', async () => {
    const server = startRecordingServer()
    const body = JSON.stringify(call)
    for (const [encoding, bytes] of [
      ['gzip', gzipSync(body)],
      ['deflate', deflateSync(body)],
      ['deflate', deflateRawSync(body)],
    ] as const) {
      const reply = await post(server, bytes, { ...json, 'content-encoding': encoding })
      expect(reply.statusCode).toBe(200)
    }
    expect(new Set(server.batches.map((batch) => batch.requestDigest)).size).toBe(1)
  })

  it('refuses a zip bomb, a body over 4 MiB, broken gzip and unknown encodings', async () => {
    const server = startRecordingServer()
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    expect((await post(server, bomb, { ...json, 'content-encoding': 'gzip' })).statusCode).toBe(413)
    const large = await post(server, Buffer.alloc(4 * 1024 * 1024 + 1, 0x20))
    expect(large.statusCode).toBe(413)
    expect(large.headers['content-type']).toContain('application/problem+json')
    const broken = await post(server, Buffer.from('no gzip'), {
      ...json,
      'content-encoding': 'gzip',
    })
    expect(broken.json()).toMatchObject({ status: 400, code: 'ENCODING_INVALID' })
    const brotli = await post(server, 'x', { ...json, 'content-encoding': 'br' })
    expect(brotli.statusCode).toBe(415)
    expect(server.batches).toEqual([])
  })

  it('asks for a key, refuses a wrong one, and reads no body before', async () => {
    const server = startRecordingServer()
    const none = await post(server, '{', { 'content-type': 'application/json' })
    expect(none.json()).toMatchObject({ status: 401, code: 'AUTHENTICATION_REQUIRED' })
    expect(none.headers['www-authenticate']).toContain('Bearer')
    const wrong = await post(server, '{', { ...json, authorization: 'Bearer nope' })
    expect(wrong.json()).toMatchObject({ status: 401, code: 'CREDENTIALS_INVALID' })
    expect(server.batches).toEqual([])
  })

  it('refuses other content types', async () => {
    const reply = await post(startRecordingServer(), '<x/>', {
      ...authorization,
      'content-type': 'application/xml',
    })
    expect(reply.json()).toMatchObject({ status: 415, code: 'MEDIA_TYPE_UNSUPPORTED' })
  })

  it('keeps a bad record as rejected beside good ones, names field and reason, never the value', async () => {
    const server = startRecordingServer()
    const bad = { ...call, 'outcome.status': 'QQQQ' }
    const reply = await post(server, JSON.stringify([call, bad, { some: 'thing' }]))
    expect(reply.statusCode).toBe(200)
    expect(reply.json()).toMatchObject({ records: 3, mapped: 1, unmapped: 1, rejected: 1 })
    expect(reply.json().problems).toEqual([
      expect.objectContaining({ record: 1, field: 'outcome.status', status: 400 }),
    ])
    expect(reply.body).not.toContain('QQQQ')
    const [, rejected, unmapped] = server.events()
    expect(rejected).toMatchObject({
      'event.class': 'other',
      'record.disposition': 'rejected',
      'raw.record': JSON.stringify(bad),
    })
    expect(rejected?.['record.reason']).toContain('outcome.status')
    expect(rejected?.['record.reason']).not.toContain('QQQQ')
    expect(unmapped).toMatchObject({ 'record.disposition': 'unmapped', 'time.source': 'inferred' })
  })

  it.each([
    ['finding', { ...call, 'event.class': 'finding' }, 'event.class'],
    ['admin', { ...call, 'event.class': 'admin' }, 'event.class'],
    ['an event id', { ...call, 'event.id': 'x' }, 'event.id'],
    ['an unknown field', { ...call, nonsense: 1 }, 'nonsense'],
    ['a bad time', { ...call, 'time.occurred': 'yesterday' }, 'time.occurred'],
  ])('refuses %s from a source', async (_name, record, field) => {
    const reply = await post(startRecordingServer(), JSON.stringify(record))
    expect(reply.statusCode).toBe(400)
    expect(reply.headers['content-type']).toContain('application/problem+json')
    expect(reply.json()).toMatchObject({ records: 1, rejected: 1, mapped: 0, status: 400 })
    expect(reply.json().problems[0].field).toBe(field)
  })

  it('keeps malformed JSON as one rejected record and names line and offset', async () => {
    const server = startRecordingServer()
    const reply = await post(server, '[{"a":1},\n {"password":"QQQQ" oops}]')
    expect(reply.statusCode).toBe(400)
    expect(reply.json()).toMatchObject({ records: 1, rejected: 1, code: 'RECORD_INVALID' })
    expect(reply.json().detail).toContain('line 2, offset 30')
    const [event] = server.events()
    expect(event?.['raw.record']).toContain('{"a":1}')
    expect(event?.['raw.record']).not.toContain('QQQQ')
    expect(event?.['raw.size_bytes']).toBe(36)
  })

  it('a bad line does not spoil the lines around it', async () => {
    const server = startRecordingServer()
    const reply = await post(
      server,
      `${JSON.stringify(call)}\n{"x":\n${JSON.stringify(call)}\n`,
      ndjson,
    )
    expect(reply.json()).toMatchObject({ records: 3, mapped: 2, rejected: 1 })
    expect(reply.json().problems[0].reason).toContain('line 2')
  })

  it('rejects duplicate keys and deep nesting, and keeps them', async () => {
    const server = startRecordingServer()
    const twice = `{"event.class":"tool_call","event.class":"tool_list"}`
    const deep = `{"event.class":"tool_call","attributes":${'['.repeat(80)}${']'.repeat(80)}}`
    const veryDeep = '['.repeat(200_000)
    const reply = await post(server, `[${twice},${deep},${JSON.stringify(call)}]`)
    expect(reply.json()).toMatchObject({ records: 3, mapped: 1, rejected: 2 })
    expect(reply.json().problems[0]).toMatchObject({ field: 'event.class' })
    expect(server.events()[0]?.['raw.record']).toBe(twice)
    expect((await post(server, veryDeep)).statusCode).toBe(400)
    expect((await post(server, veryDeep + ']'.repeat(200_000))).statusCode).toBe(400)
  })

  it('keeps digits beyond 2^53 in the raw record and says so', async () => {
    const server = startRecordingServer()
    await post(
      server,
      `{"event.class":"tool_call","gen_ai.tool.call.arguments":{"n":9007199254740993}}`,
    )
    const [event] = server.events()
    expect(event?.['raw.record']).toContain('9007199254740993')
    expect(event?.['record.notes']).toContain('numbers:beyond_2^53')
  })

  it.each([
    '1e999',
    '-1e999',
    '1E+400',
    `1${'0'.repeat(400)}`,
    `${'9'.repeat(215)}e99`,
    `-0.${'0'.repeat(10)}1e0320`,
  ])(
    'a number beyond a double (%s) is on the record as text, with a note and the raw record',
    async (number) => {
      const server = startRecordingServer()
      const inner = JSON.stringify(`{"n":${number}}`)
      const records = [
        `{"event.class":"tool_call","gen_ai.tool.call.arguments":{"n":${number}}}`,
        `{"event.class":"tool_call","attributes":{"list":[${number}]}}`,
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"n":${number}}}}`,
        `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":[{"key":"mcp.method.name","value":{"stringValue":"tools/call"}},{"key":"x","value":{"doubleValue":${number}}},{"key":"gen_ai.tool.call.arguments","value":{"stringValue":${inner}}}]}]}]}]}`,
      ]
      const reply = await post(server, records.join('\n'), ndjson)
      expect(reply.json()).toMatchObject({ records: 4, mapped: 4 })
      for (const event of server.events()) {
        canonicalJson(JSON.parse(JSON.stringify(event)))
        // What a bus writes and reads back is what was received.
        expect(JSON.parse(JSON.stringify(event))).toEqual(event)
        expect(JSON.stringify(event)).toContain(number.startsWith('-') ? '-Infinity' : 'Infinity')
        expect(event['record.notes']).toContain('values:replaced')
        expect(event['raw.record']).toContain(number)
      }
    },
  )

  it('lone surrogates are replaced with a note, and the raw record keeps them', async () => {
    const server = startRecordingServer()
    const text = String.raw`{"event.class":"tool_call","attributes":{"a":"\ud800"}}`
    const whole = String.raw`{"event.class":"tool_call","attributes":{"a":"\ud83d\ude00"}}`
    await post(server, `${text}\n${whole}`, ndjson)
    const [replaced, kept] = server.events()
    expect(replaced?.['raw.record']).toBe(text)
    expect(replaced?.['record.notes']).toContain('values:replaced')
    expect(kept?.['record.notes']).toBeUndefined()
  })

  it('refuses a small body that unfolds into very many records, and says how to send them', async () => {
    const server = startRecordingServer()
    for (const reply of [
      await post(server, `[${'1,'.repeat(10_000)}1]`),
      await post(server, '1\n'.repeat(10_001), ndjson),
      await post(server, gzipSync('0\n'.repeat(2_000_000)), {
        ...ndjson,
        'content-encoding': 'gzip',
      }),
    ]) {
      expect(reply.statusCode).toBe(413)
      expect(reply.json()).toMatchObject({ code: 'BODY_TOO_LARGE' })
      expect(reply.json().detail).toContain('more than 10000 records')
      expect(reply.json().hint).toContain('fewer records')
    }
    expect(server.batches).toEqual([])
    expect((await post(server, '1\n'.repeat(10_000), ndjson)).json().records).toBe(10_000)
  })

  it('a record of a numbered source that no mapping knows keeps its number', async () => {
    const server = startRecordingServer()
    await post(server, '{"source.epoch":"e1","source.seq":4,"x":1}')
    expect(server.events()[0]).toMatchObject({
      'record.disposition': 'unmapped',
      'source.epoch': 'e1',
      'source.seq': 4,
    })
    expect(server.batches[0]?.sentDigests).toHaveLength(1)
  })

  it('keeps bytes that are no UTF-8 as base64', async () => {
    const server = startRecordingServer()
    const bytes = Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])
    const reply = await post(
      server,
      Buffer.concat([bytes, Buffer.from(`\n${JSON.stringify(call)}`)]),
      ndjson,
    )
    expect(reply.json()).toMatchObject({ records: 2, mapped: 1, rejected: 1 })
    const [event] = server.events()
    expect(event?.['raw.encoding']).toBe('base64')
    expect(Buffer.from(event?.['raw.record'] ?? '', 'base64')).toEqual(bytes)
  })

  it('lone surrogates do not make an event that has no canonical form', async () => {
    const server = startRecordingServer()
    await post(server, `{"event.class":"tool_call","gen_ai.tool.call.arguments":{"a":"\\ud800"}}`)
    expect(server.events()[0]?.['gen_ai.tool.call.arguments']).toEqual({ a: '\ufffd' })
  })

  it('cuts arguments, result and raw record at 128 KiB and keeps their full size', async () => {
    const server = startRecordingServer()
    const big = { text: 'ä"'.repeat(100_000) }
    await post(
      server,
      JSON.stringify({
        ...call,
        'gen_ai.tool.call.arguments': big,
        'gen_ai.tool.call.result': big,
      }),
    )
    const [event] = server.events()
    const size = Buffer.byteLength(JSON.stringify(big))
    expect(event).toMatchObject({
      'arguments.capture': 'truncated',
      'arguments.size_bytes': size,
      'result.capture': 'truncated',
      'result.size_bytes': size,
    })
    for (const field of ['gen_ai.tool.call.arguments', 'gen_ai.tool.call.result'] as const) {
      const bytes = Buffer.byteLength(JSON.stringify(event?.[field]))
      expect(bytes).toBeLessThanOrEqual(128 * 1024)
      expect(bytes).toBeGreaterThan(120 * 1024)
    }
    expect(Buffer.byteLength(event?.['raw.record'] ?? '')).toBeLessThanOrEqual(128 * 1024)
    expect(event?.['raw.size_bytes']).toBeGreaterThan(2 * size)
    expect(EventFields.safeParse(event).success).toBe(true)
  })

  it('moves times outside of [1970, now + 1 h] to its edge and says so', async () => {
    const server = startRecordingServer()
    for (const time of ['2031-01-01T00:00:00Z', '1950-01-01T00:00:00Z', '9999-01-01T00:00:00Z']) {
      await post(server, JSON.stringify({ ...call, 'time.occurred': time }))
    }
    const [ahead, before, far] = server.events()
    expect(ahead?.['time.occurred']).toBe('2026-11-24T14:20:00.000000000Z')
    expect(ahead?.['record.notes']).toContain('time.occurred:clamped')
    expect(before?.['time.occurred']).toBe('1970-01-01T00:00:00.000000000Z')
    expect(before?.['record.notes']).toContain('time.occurred:clamped')
    expect(far?.['time.occurred']).toBe('2026-11-24T14:20:00.000000000Z')
  })

  it('packs at most 256 events and 512 KiB a batch, in order', async () => {
    const server = startRecordingServer()
    const records = Array.from({ length: 600 }, (_, i) => ({
      ...call,
      'jsonrpc.request.id': String(i),
    }))
    const reply = await post(server, JSON.stringify(records))
    expect(reply.json().receipt.leaves).toEqual([{ first: 0, count: 600 }])
    expect(server.batches.map((batch) => [batch.firstOrdinal, batch.events.length])).toEqual([
      [0, 256],
      [256, 256],
      [512, 88],
    ])
    expect(server.batches.every((batch) => batch.requestCount === 600)).toBe(true)
    expect(server.events().map((event) => event['jsonrpc.request.id'])).toEqual(
      records.map((record) => record['jsonrpc.request.id']),
    )
    const bad = records.map((record, i) => (i === 500 ? { ...record, odd: 1 } : record))
    const problem = await post(startRecordingServer(), JSON.stringify(bad))
    expect(problem.json()).toMatchObject({ records: 600, rejected: 1 })
    expect(problem.json().problems[0].record).toBe(500)
    const large = startRecordingServer()
    const big = { ...call, 'gen_ai.tool.call.result': 'x'.repeat(100_000) }
    await post(large, JSON.stringify(Array.from({ length: 10 }, () => big)))
    for (const batch of large.batches) {
      expect(Buffer.byteLength(JSON.stringify(batch.events))).toBeLessThanOrEqual(512 * 1024)
    }
    expect(large.events()).toHaveLength(10)
  })

  it('an Idempotency-Key decides what counts as the same request', async () => {
    const server = startRecordingServer()
    const keyed = { ...json, 'idempotency-key': 'k1' }
    await post(server, JSON.stringify(call), keyed)
    await post(server, JSON.stringify([call]), keyed)
    await post(server, JSON.stringify(call))
    const [first, second, third] = server.batches.map((batch) => batch.requestDigest)
    expect(first).toBe(second)
    expect(third).not.toBe(first)
  })

  it('hands on the digests of numbered records, and a rejected one keeps its number', async () => {
    const server = startRecordingServer()
    const numbered = { ...call, 'source.epoch': 'e1', 'source.seq': 7 }
    const bad = { ...numbered, 'source.seq': 8, 'outcome.status': 'odd' }
    await post(server, JSON.stringify([numbered, bad]))
    expect(server.batches[0]?.sentDigests).toHaveLength(2)
    expect(server.batches[0]?.sentDigests?.every((digest) => /^[0-9a-f]{64}$/.test(digest))).toBe(
      true,
    )
    expect(server.events()[1]).toMatchObject({ 'record.disposition': 'rejected', 'source.seq': 8 })
  })

  it('answers 202 with the position behind a durable bus, 200 when asked to wait', async () => {
    const server = startRecordingServer({ durable: true })
    const early = await post(server, JSON.stringify(call))
    expect(early.statusCode).toBe(202)
    expect(early.json().positions).toEqual([
      { topic: 't', incarnation: 'i', partition: 0, offset: '0' },
    ])
    const waited = await post(server, JSON.stringify(call), json, '/v1/events?ack=ledger')
    expect(waited.statusCode).toBe(200)
    expect(waited.json().receipt.treeSize).toBe(2)
  })

  it.each(['BUS_FULL', 'BUS_UNAVAILABLE'] as const)(
    'answers 503 with Retry-After on %s',
    async (code) => {
      const server = startRecordingServer({
        publishError: new SealtrailError(code, 'no', { retryable: true }),
      })
      const reply = await post(server, JSON.stringify(call))
      expect(reply.statusCode).toBe(503)
      expect(reply.headers['retry-after']).toBe('1')
      expect(reply.json()).toMatchObject({ code, type: `urn:sealtrail:error:${code}` })
    },
  )

  it('says nothing about an unexpected error', async () => {
    const server = startRecordingServer({ publishError: new Error('inner QQQQ') })
    const reply = await post(server, JSON.stringify(call))
    expect(reply.statusCode).toBe(500)
    expect(reply.body).not.toContain('QQQQ')
  })

  it('refuses a request without records', async () => {
    expect((await post(startRecordingServer(), '[]')).statusCode).toBe(400)
    expect((await post(startRecordingServer(), '\n\n', ndjson)).statusCode).toBe(400)
  })
})

describe('GET /v1/sources/self', () => {
  it('tells a collector who it is, its token key and how far it is committed', async () => {
    const { app } = startRecordingServer()
    const self = await app.inject({ url: '/v1/sources/self', headers: authorization })
    expect(self.json()).toEqual({
      source_id: 's1',
      log_id: 'main',
      token_key: Buffer.alloc(32, 7).toString('base64'),
      redaction_policy: defaultRedactionPolicy,
    })
    const committed = await app.inject({
      url: '/v1/sources/self/committed',
      headers: authorization,
    })
    expect(committed.json()).toEqual({
      epoch: 'e1',
      seq: 41,
      epochs: [
        { epoch: 'e1', seq: 41 },
        { epoch: 'e0', seq: 7 },
      ],
    })
    const ask = async (epoch: string) => {
      const reply = await app.inject({
        url: `/v1/sources/self/committed?epoch=${epoch}`,
        headers: authorization,
      })
      return [reply.statusCode, reply.json().code ?? reply.json()]
    }
    expect(await ask('e0')).toEqual([200, { epoch: 'e0', seq: 7 }])
    expect(await ask('never')).toEqual([200, { epoch: 'never', seq: null }])
    expect(await ask('')).toEqual([400, 'REQUEST_INVALID'])
    expect(await ask('a&epoch=b')).toEqual([400, 'REQUEST_INVALID'])
    expect((await app.inject({ url: '/v1/sources/self' })).statusCode).toBe(401)
  })
})

describe('NDJSON', () => {
  it('every record comes out as it went in, whatever its text and line ends', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.jsonValue(), fc.constantFrom('\n', '\r\n', '\n\n', ' \n'))),
        (lines) => {
          const body = lines.map(([value, end]) => JSON.stringify(value) + end).join('')
          const { records } = decodeNdjsonBody(Buffer.from(body))
          expect(records.map((record) => (record.readable ? record.text : undefined))).toEqual(
            lines.map(([value]) => JSON.stringify(value)),
          )
        },
      ),
    )
  })
})
