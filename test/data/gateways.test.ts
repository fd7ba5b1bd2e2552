import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { EventFields } from '../../schemas/event/event.ts'
import { authorization, startRecordingServer } from '../receivers/recording-server.ts'

const folder = process.env.SEALTRAIL_DEV_DATA

beforeAll(() => {
  if (folder === undefined || folder === '') {
    throw new Error(
      'SEALTRAIL_DEV_DATA is not set: this tier needs the folder of development data that holds gateways/',
    )
  }
})

interface Request {
  readonly url: string
  readonly contentType: string
  readonly body: string
}

function read(file: string): string {
  return readFileSync(join(folder ?? '', 'gateways', file), 'utf8')
}

const events = (file: string, contentType: string) => (): Request[] => [
  { url: '/v1/events', contentType, body: read(file) },
]
const asJson = 'application/json'
const asLines = 'application/x-ndjson'

/** Requests as they were captured: {method, path, headers, body}, with binary bodies as `base64:...`. */
function captured(file: string): Request[] {
  return read(file)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
    .filter((request) => typeof request.body === 'string')
    .map(({ path, headers, body }) => ({ url: path, contentType: headers['content-type'], body }))
}

interface Expected {
  readonly requests: () => Request[]
  /** [records, mapped, unmapped, rejected] */
  readonly counts: readonly [number, number, number, number]
  /** Requests that are refused as a whole: protobuf. */
  readonly refused?: number
  readonly holds: readonly Partial<Record<string, unknown>>[]
}

const sources: Readonly<Record<string, Expected>> = {
  'claude-code.otlp-logs.json': {
    requests: () => [
      { url: '/v1/logs', contentType: asJson, body: read('claude-code.otlp-logs.json') },
    ],
    counts: [5, 1, 4, 0],
    holds: [
      {
        'event.class': 'tool_call',
        'gen_ai.tool.name': 'Read',
        'outcome.status': 'success',
        duration_ms: 2,
        'gen_ai.tool.call.id': 'toolu_000000000000000000000',
        'prompt.id': 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
        'user.email': 'developer@example.com',
        'mcp.client.name': 'claude-code',
        'mcp.client.version': '2.1.226',
        'arguments.size_bytes': 72,
        'result.size_bytes': 43,
        'gen_ai.conversation.id': '11111111-2222-3333-4444-555555555555',
      },
    ],
  },
  'codex.otlp-logs-0.145.0.json': {
    requests: () => [
      {
        url: '/v1/logs',
        contentType: asJson,
        body: JSON.stringify(JSON.parse(read('codex.otlp-logs-0.145.0.json')).payload),
      },
    ],
    counts: [1, 0, 1, 0],
    holds: [{ 'source.product': 'codex_exec', 'time.source': 'inferred' }],
  },
  'derived-otel-semconv-mcp.otlp-traces.jsonl': {
    requests: () => captured('derived-otel-semconv-mcp.otlp-traces.jsonl'),
    counts: [6, 6, 0, 0],
    refused: 1,
    holds: [
      {
        'gen_ai.tool.name': 'get-weather',
        'gen_ai.tool.call.arguments': { location: 'Paris' },
        'jsonrpc.request.id': '7',
        duration_ms: 240,
        'outcome.status': 'success',
        'source.vantage': 'client',
      },
      {
        'mcp.client.id': 'claude-desktop',
        'auth.scopes.granted': ['mcp:tools', 'weather:read'],
        'client.address': '10.1.2.80',
        'source.completeness': 'sampled',
      },
      { 'gen_ai.tool.name': 'delete-station', 'outcome.status': 'tool_error' },
      {
        'gen_ai.tool.name': 'no-such',
        'outcome.status': 'protocol_error',
        'rpc.response.status_code': '-32602',
      },
      { 'event.class': 'resource_read', 'mcp.resource.uri': 'file:///srv/report.pdf' },
      { 'event.class': 'prompt_get', 'gen_ai.prompt.name': 'analyze-code' },
    ],
  },
  'gemini-cli.otlp-http.capture.jsonl': {
    requests: () => captured('gemini-cli.otlp-http.capture.jsonl'),
    counts: [2, 2, 0, 0],
    holds: [
      {
        'gen_ai.tool.name': 'create_issue',
        'mcp.server.name': 'github',
        'tool.exposed_name': 'mcp_github_create_issue',
        'gen_ai.tool.call.arguments': { owner: 'acme', repo: 'app', title: 'Bug' },
        'outcome.status': 'success',
        'outcome.decision': 'allow',
        duration_ms: 245,
      },
      { 'gen_ai.tool.name': 'delete_repo', 'outcome.status': 'denied', 'outcome.decision': 'deny' },
    ],
  },
  'mcp-stdio.capture.jsonl': {
    requests: events('mcp-stdio.capture.jsonl', asLines),
    counts: [37, 36, 1, 0],
    holds: [
      {
        'event.class': 'session',
        'mcp.client.name': 'capture-client',
        'mcp.protocol.version': '2025-11-25',
        'mcp.direction': 'client_to_server',
      },
      { 'event.class': 'tool_list', 'mcp.direction': 'client_to_server' },
      {
        'gen_ai.tool.name': 'get-sum',
        'gen_ai.tool.call.arguments': { a: 2, b: 3 },
        'jsonrpc.request.id': '3',
        'jsonrpc.request.id_type': 'number',
        'outcome.status': 'unknown',
      },
      { 'event.class': 'other', 'outcome.status': 'tool_error', 'jsonrpc.request.id': '5' },
      { 'event.class': 'elicitation', 'mcp.direction': 'server_to_client' },
      { 'event.class': 'sampling' },
      { 'event.class': 'catalog_change' },
    ],
  },
  'mcp-wire-2026-07-28.jsonl': {
    requests: events('mcp-wire-2026-07-28.jsonl', asLines),
    counts: [53, 48, 5, 0],
    holds: [
      {
        'event.class': 'tool_call',
        'gen_ai.tool.name': 'get_weather',
        'mcp.protocol.version': '2026-07-28',
        'mcp.client.name': 'ExampleClient',
        'jsonrpc.request.id_type': 'string',
      },
      { 'outcome.status': 'input_required' },
      { 'outcome.status': 'protocol_error', 'rpc.response.status_code': '-32020' },
      { 'outcome.status': 'cancelled', 'jsonrpc.request.id': '123' },
    ],
  },
  'splunk-ta-mcp.jsonrpc.json': {
    requests: events('splunk-ta-mcp.jsonrpc.json', asJson),
    counts: [18, 18, 0, 0],
    holds: [
      {
        'event.class': 'tool_call',
        'gen_ai.tool.name': 'read_file',
        'gen_ai.tool.call.arguments': { path: '/etc/passwd' },
      },
      { 'mcp.server.name': 'github-mcp-server', 'mcp.server.version': '0.6.2' },
      { 'outcome.status': 'protocol_error', 'rpc.response.status_code': '-32603' },
    ],
  },
}

const secretPatterns =
  /\bsk-\d{10}|eyJ[\w-]{10,}\.[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE|AKIA[A-Z0-9]{16}|gh[pos]_\w{20}|xox[bp]-\d|Bearer [\w.-]{16,}|:\/\/[^\s/"@:]+:(?!\[redacted)[^\s/"@]+@/

describe('records of real gateways, clients and servers', () => {
  it.each(Object.entries(sources))('%s arrives whole', async (file, expected) => {
    const server = startRecordingServer()
    let refused = 0
    for (const { url, contentType, body } of expected.requests()) {
      const binary = body.startsWith('base64:')
      const reply = await server.app.inject({
        method: 'POST',
        url,
        headers: { ...authorization, 'content-type': contentType },
        payload: binary ? Buffer.from(body.slice(7), 'base64') : body,
      })
      if (reply.statusCode === 415) refused++
      else expect(reply.statusCode).toBe(200)
    }
    const stored = server.events()
    const sum = (pick: 'records' | 'mapped' | 'unmapped' | 'rejected') =>
      server.counts.reduce((total, counts) => total + counts[pick], 0)
    const counted = [sum('records'), sum('mapped'), sum('unmapped'), sum('rejected')]
    report(file, counted, refused, stored)
    expect(counted[0]).toBe((counted[1] ?? 0) + (counted[2] ?? 0) + (counted[3] ?? 0))
    expect(counted).toEqual(expected.counts)
    expect(refused).toBe(expected.refused ?? 0)
    for (const fields of expected.holds) {
      expect(stored).toContainEqual(expect.objectContaining(fields))
    }
    for (const event of stored) expect(EventFields.safeParse(event).error?.issues).toBeUndefined()
    expect(JSON.stringify(stored)).not.toMatch(secretPatterns)
  })
})

function report(
  file: string,
  counted: readonly number[],
  refused: number,
  stored: readonly ObservedEvent[],
): void {
  const [records, mapped, unmapped, rejected] = counted
  const fields = new Set(stored.flatMap((event) => Object.keys(event)))
  process.stdout.write(
    `${file}: records ${records}, mapped ${mapped}, unmapped ${unmapped}, rejected ${rejected}, requests refused ${refused}; fields: ${[...fields].sort().join(' ')}\n`,
  )
}
