import { gzipSync } from 'node:zlib'
import { SeverityNumber } from '@opentelemetry/api-logs'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { describe, expect, it } from 'vitest'
import { authorization, sourceKey, startRecordingServer } from './recording-server.ts'

const headers = { ...authorization, 'content-type': 'application/json' }

function logs(...records: object[]) {
  return {
    resourceLogs: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'gemini-cli' } }] },
        scopeLogs: [{ scope: { name: 'gemini-cli' }, logRecords: records }],
      },
    ],
  }
}

const toolCall = {
  timeUnixNano: '1795346702134000001',
  body: null,
  attributes: [
    { key: 'event.name', value: { stringValue: 'gemini_cli.tool_call' } },
    { key: 'function_name', value: { stringValue: 'mcp_git_hub_create_issue' } },
    { key: 'mcp_server_name', value: { stringValue: 'git_hub' } },
    { key: 'duration_ms', value: { intValue: '245' } },
    { key: 'success', value: { boolValue: true } },
    { key: 'extension_id', value: {} },
    { key: 'no_value' },
  ],
}

function post(server: ReturnType<typeof startRecordingServer>, value: unknown, url: string) {
  return server.app.inject({ method: 'POST', url, headers, payload: JSON.stringify(value) })
}

describe('OTLP over HTTP', () => {
  it('maps log records, keeps the others unmapped and answers success', async () => {
    const server = startRecordingServer()
    const reply = await server.app.inject({
      method: 'POST',
      url: '/v1/logs',
      headers: { ...headers, 'content-encoding': 'gzip' },
      payload: gzipSync(JSON.stringify(logs(toolCall, { body: { stringValue: 'started' } }))),
    })
    expect(reply.statusCode).toBe(200)
    expect(reply.json()).toEqual({})
    const [mapped, unmapped] = server.events()
    expect(mapped).toMatchObject({
      'event.class': 'tool_call',
      'time.occurred': '2026-11-22T11:25:02.134000001Z',
      'gen_ai.tool.name': 'create_issue',
      'tool.exposed_name': 'mcp_git_hub_create_issue',
      'mcp.server.name': 'git_hub',
      'outcome.status': 'success',
      duration_ms: 245,
      'mapping.id': 'gemini-cli@1',
      'source.format': 'otlp_logs',
    })
    expect(JSON.parse(mapped?.['raw.record'] ?? '').logRecord).toEqual(toolCall)
    expect(unmapped).toMatchObject({
      'record.disposition': 'unmapped',
      'event.class': 'other',
      'source.product': 'gemini-cli',
    })
    expect(server.counts).toMatchObject([{ receiver: 'otlp_logs', mapped: 1, unmapped: 1 }])
  })

  it('reports rejected records as partial success and keeps them', async () => {
    const server = startRecordingServer()
    const text = JSON.stringify(logs(toolCall)).replace(
      '"body":null',
      '"body":null,"body":{"stringValue":"x"}',
    )
    const reply = await server.app.inject({
      method: 'POST',
      url: '/v1/logs',
      headers,
      payload: text,
    })
    expect(reply.json().partialSuccess).toMatchObject({ rejectedLogRecords: '1' })
    expect(server.events()[0]).toMatchObject({ 'record.disposition': 'rejected' })
  })

  const evidence = { body: { stringValue: 'EVIDENCE' } }
  it.each<[string, unknown, number]>([
    ['resources that are no list', { resourceLogs: { scopeLogs: [evidence] } }, 1],
    ['a resource that is no object', { resourceLogs: ['EVIDENCE'] }, 1],
    ['scopes that are no list', { resourceLogs: [{ scopeLogs: { logRecords: [evidence] } }] }, 1],
    ['a scope that is no object', { resourceLogs: [{ scopeLogs: [['EVIDENCE']] }] }, 1],
    [
      'records that are no list',
      { resourceSpans: [{ scopeSpans: [{ spans: { a: 'EVIDENCE' } }] }] },
      1,
    ],
    [
      'a record that is no object',
      { resourceLogs: [{ scopeLogs: [{ logRecords: ['EVIDENCE'] }] }] },
      1,
    ],
    ['a member of its own', { resourceLogs: [], extra: 'EVIDENCE' }, 1],
    ['an event beside records', { resourceLogs: 'x', 'event.class': 'EVIDENCE' }, 2],
  ])('an export with %s is kept as rejected, wherever it is sent', async (_name, value, count) => {
    for (const url of ['/v1/logs', '/v1/events']) {
      const server = startRecordingServer()
      const reply = await post(server, value, url)
      expect(server.counts[0]).toMatchObject({ records: count, rejected: count })
      expect(JSON.stringify(server.events())).toContain('EVIDENCE')
      expect(reply.body).not.toContain('EVIDENCE')
    }
  })

  it('null is an empty list, and an empty export holds nothing', async () => {
    const server = startRecordingServer()
    const groups = [null, [], [{ scopeLogs: null }], [{ scopeLogs: [{ logRecords: [] }] }]]
    for (const resourceLogs of groups) {
      expect((await post(server, { resourceLogs }, '/v1/logs')).json()).toEqual({})
    }
    expect(server.events()).toEqual([])
  })

  it('two resources around one record refuse it, and both are kept', async () => {
    const server = startRecordingServer()
    const text = `{"resourceLogs":[{"resource":{"attributes":[{"key":"a","value":{"stringValue":"FIRST"}}]},"resource":{},"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}`
    await server.app.inject({
      method: 'POST',
      url: '/v1/logs',
      headers,
      payload: text,
    })
    expect(server.events()[0]?.['record.reason']).toContain('resource stands twice')
    expect(server.events()[0]?.['raw.record']).toContain('FIRST')
  })

  it('a large resource around many records is refused before it is copied for each', async () => {
    const server = startRecordingServer()
    const resource = {
      attributes: [{ key: 'a', value: { stringValue: 'x'.repeat(1_000_000) } }],
    }
    const logRecords = Array.from({ length: 9000 }, () => ({}))
    const value = { resourceLogs: [{ resource, scopeLogs: [{ logRecords }] }] }
    const before = process.memoryUsage().rss
    const reply = await post(server, value, '/v1/logs')
    expect(reply.statusCode).toBe(413)
    expect(reply.json().message).toContain('resource and scope')
    expect(server.events()).toEqual([])
    expect(process.memoryUsage().rss - before).toBeLessThan(300_000_000)
  })

  it('refuses protobuf with the setting that helps', async () => {
    const reply = await startRecordingServer().app.inject({
      method: 'POST',
      url: '/v1/traces',
      headers: { ...authorization, 'content-type': 'application/x-protobuf' },
      payload: Buffer.from([1, 2]),
    })
    expect(reply.statusCode).toBe(415)
    expect(reply.json().message).toContain('OTEL_EXPORTER_OTLP_PROTOCOL=http/json')
  })

  it('answers metrics with success, counts them and stores nothing', async () => {
    const server = startRecordingServer()
    const reply = await server.app.inject({
      method: 'POST',
      url: '/v1/metrics',
      headers: { ...authorization, 'content-type': 'application/x-protobuf' },
      payload: Buffer.from([1, 2]),
    })
    expect(reply.statusCode).toBe(200)
    expect(server.batches).toEqual([])
    expect(server.counts).toMatchObject([{ receiver: 'otlp_metrics', bodyBytes: 2 }])
  })

  it('asks for a key and keeps malformed bodies as one rejected record', async () => {
    const server = startRecordingServer()
    const none = await server.app.inject({ method: 'POST', url: '/v1/logs', payload: '{}' })
    expect(none.statusCode).toBe(401)
    expect(none.json().code).toBe(16)
    const broken = await server.app.inject({
      method: 'POST',
      url: '/v1/logs',
      headers,
      payload: '{"a"',
    })
    expect(broken.statusCode).toBe(400)
    expect(broken.json().message).toContain('offset 4')
    expect(server.events()).toHaveLength(1)
  })

  it('takes what the OpenTelemetry JavaScript exporters send over a real port', async () => {
    const server = startRecordingServer()
    const url = await server.app.listen({ host: '127.0.0.1', port: 0 })
    const resource = resourceFromAttributes({ 'service.name': 'weather-server' })
    const logProvider = new LoggerProvider({
      resource,
      processors: [
        new BatchLogRecordProcessor({
          exporter: new OTLPLogExporter({ url: `${url}/v1/logs`, headers: authorization }),
        }),
      ],
    })
    const traceProvider = new BasicTracerProvider({
      resource,
      spanProcessors: [
        new SimpleSpanProcessor(
          new OTLPTraceExporter({
            url: `${url}/v1/traces`,
            headers: { authorization: `Bearer ${sourceKey}` },
          }),
        ),
      ],
    })
    logProvider.getLogger('t').emit({
      severityNumber: SeverityNumber.INFO,
      body: 'tool called',
      attributes: {
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 'forecast',
        'gen_ai.tool.call.arguments': '{"password":"QQQQ","city":"Paris"}',
        big: 2 ** 60,
        missing: undefined,
      },
    })
    const span = traceProvider.getTracer('t').startSpan('tools/call forecast', {
      kind: 1,
      attributes: {
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 'forecast',
        'enduser.id': 'agent-7',
        'enduser.scope': 'weather:read weather:write',
        'error.type': 'tool_error',
      },
    })
    span.setStatus({ code: 2, message: 'no such city' })
    span.end()
    await Promise.all([logProvider.forceFlush(), traceProvider.forceFlush()])
    await Promise.all([logProvider.shutdown(), traceProvider.shutdown()])
    await server.app.close()
    const events = server.events()
    expect(events).toHaveLength(2)
    expect(JSON.stringify(events)).not.toContain('QQQQ')
    const log = events.find((event) => event['source.format'] === 'otlp_logs')
    expect(log).toMatchObject({
      'event.class': 'tool_call',
      'arguments.capture': 'redacted',
      'outcome.status': 'unknown',
    })
    expect(log?.['gen_ai.tool.call.arguments']).toMatchObject({ city: 'Paris' })
    expect(events.find((event) => event['source.format'] === 'otlp_traces')).toMatchObject({
      'mcp.client.id': 'agent-7',
      'auth.scopes.granted': ['weather:read', 'weather:write'],
      'mcp.server.name': 'weather-server',
      'outcome.status': 'tool_error',
      'error.message': 'no such city',
      'source.vantage': 'server',
      'source.completeness': 'sampled',
    })
  })
})
