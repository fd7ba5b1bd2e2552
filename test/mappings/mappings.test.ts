import { describe, expect, it } from 'vitest'
import { readDurationMs, readIdentity, readScopes } from '../../ingest/mappings/read-value.ts'
import { mapBody, mapOne, otlpLog, otlpSpan } from './map-record.ts'

describe('values as sources write them', () => {
  it.each([
    ['10ms', 10],
    ['1.204s', 1204],
    ['35µs', 0.035],
    ['900ns', 0.0009],
    [12, 12],
    ['12', 12],
    ['soon', undefined],
    [-1, undefined],
    ['', undefined],
  ])('the duration %j is %j ms', (value, ms) => {
    if (ms === undefined) expect(readDurationMs(value)).toBeUndefined()
    else expect(readDurationMs(value)).toBeCloseTo(ms, 9)
  })

  it('a bare duration counts in the unit of its source', () => {
    expect(readDurationMs(1.5, 's')).toBe(1500)
    expect(readDurationMs('2000000', 'ns')).toBe(2)
  })

  it.each([
    'anonymous',
    '***REDACTED***',
    '-',
    '<USERNAME>',
    '<REDACTED>',
    '0000-0000-00000',
    'N/A',
  ])('the user %j is a stand-in and absent, with a note', (value) => {
    const notes: string[] = []
    expect(readIdentity('user.name', value, notes)).toBeUndefined()
    expect(notes).toHaveLength(1)
  })

  it.each(['alice', 'alice@example.com', 'user_2f8a', 'dash-board', '00u1abcd2EFGH'])(
    'the user %j is one',
    (value) => {
      expect(readIdentity('user.name', value, [])).toBe(value)
    },
  )

  it('an empty scope is a known empty list', () => {
    expect(readScopes('')).toEqual([])
    expect(readScopes('a  b')).toEqual(['a', 'b'])
    expect(readScopes(undefined)).toBeUndefined()
  })
})

describe('OpenTelemetry MCP conventions', () => {
  it('only spans of MCP methods and tools become events', () => {
    expect(mapOne(otlpSpan({ 'http.request.method': 'POST' }))).toMatchObject({
      'record.disposition': 'unmapped',
      trace_id: '7a09c96904d2a1418d041be743d6d794',
    })
    expect(mapOne(otlpSpan({ 'gen_ai.operation.name': 'chat' }))['record.disposition']).toBe(
      'unmapped',
    )
    expect(mapOne(otlpSpan({ 'gen_ai.operation.name': 'execute_tool' }))['event.class']).toBe(
      'tool_call',
    )
  })

  it('ids are lower case, a zero parent is none, the duration is exact', () => {
    const event = mapOne(otlpSpan({ 'mcp.method.name': 'tools/call' }))
    expect(event.trace_id).toBe('7a09c96904d2a1418d041be743d6d794')
    expect(event.parent_span_id).toBeUndefined()
    expect(event.duration_ms).toBe(240.5)
  })

  it.each([
    [{}, {}, 'success'],
    [{ 'error.type': 'tool_error' }, { status: { code: 2 } }, 'tool_error'],
    [{ 'error.type': '-32602' }, {}, 'protocol_error'],
    [{ 'rpc.response.status_code': '-32602', 'error.type': 'x' }, {}, 'protocol_error'],
    [{ 'http.response.status_code': 403 }, {}, 'denied'],
    [{ 'error.type': 'TimeoutError' }, {}, 'timeout'],
    [{ 'error.type': 'NotFoundError' }, { status: { code: 'STATUS_CODE_ERROR' } }, 'tool_error'],
    [{}, { status: { code: 2, message: 'm' } }, 'tool_error'],
  ])('attributes %j and span %j mean %s', (attributes, span, status) => {
    const event = mapOne(otlpSpan({ 'mcp.method.name': 'tools/call', ...attributes }, span))
    expect(event['outcome.status']).toBe(status)
  })

  it('enduser.id is the OAuth client and never the user', () => {
    const event = mapOne(otlpSpan({ 'mcp.method.name': 'tools/call', 'enduser.id': 'agent-7' }))
    expect(event['mcp.client.id']).toBe('agent-7')
    expect(event['user.id']).toBeUndefined()
  })

  it('unknown attributes are kept, empty ones are absent, resource attributes have a prefix', () => {
    const event = mapOne(
      otlpSpan({
        'mcp.method.name': 'tools/call',
        'mcp.session.id': '',
        'x.list': { arrayValue: { values: [{ intValue: 1 }, { stringValue: 'b' }, {}] } },
        'x.map': { kvlistValue: { values: [{ key: 'k', value: { doubleValue: 1.5 } }] } },
        'x.big': { intValue: '9007199254740993' },
        'x.empty': {},
        'x.none': undefined,
      }),
    )
    expect(event['mcp.session.id']).toBeUndefined()
    expect(event.attributes).toEqual({
      'x.list': [1, 'b', null],
      'x.map': { k: 1.5 },
      'x.big': '9007199254740993',
    })
  })

  it('a tool name is split only where the server is named', () => {
    const named = mapOne(
      otlpSpan({
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 'a_b_c',
        'mcp.server.name': 'a_b',
      }),
    )
    expect(named).toMatchObject({ 'gen_ai.tool.name': 'c', 'tool.exposed_name': 'a_b_c' })
    const alone = mapOne(otlpSpan({ 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': 'a_b_c' }))
    expect(alone['gen_ai.tool.name']).toBe('a_b_c')
    expect(alone['tool.exposed_name']).toBeUndefined()
  })

  it('what the schema would refuse is cut or left out with a note, and the record stays', () => {
    const event = mapOne(
      otlpSpan({
        'mcp.method.name': 'tools/call',
        'gen_ai.tool.name': 'n'.repeat(300),
        'enduser.scope': `ok ${'s'.repeat(300)}`,
        'error.message': 'e'.repeat(9000),
      }),
    )
    expect(event['record.disposition']).toBe('mapped')
    expect(event['gen_ai.tool.name']).toHaveLength(256)
    expect(event['auth.scopes.granted']).toEqual(['ok'])
    expect(event['error.message']).toHaveLength(8192)
    expect(event['record.notes']).toEqual(
      expect.arrayContaining([
        'gen_ai.tool.name:cut',
        'auth.scopes.granted:cut',
        'error.message:cut',
      ]),
    )
  })

  it('clear fields never outgrow a leaf', () => {
    const scopes = Array.from({ length: 200 }, (_, i) => `scope-${i}-${'s'.repeat(100)}`).join(' ')
    const event = mapOne(otlpSpan({ 'mcp.method.name': 'tools/call', 'enduser.scope': scopes }))
    expect(event['auth.scopes.granted']).toBeUndefined()
    expect(event['record.notes']).toContain('auth.scopes.granted:no_room')
  })
})

describe('Claude Code', () => {
  const log = (name: string, values: Record<string, string | number | boolean>) =>
    otlpLog(
      { 'event.name': name, 'user.id': 'f'.repeat(64), 'session.id': 'c1', ...values },
      { scope: 'com.anthropic.claude_code.events', body: `claude_code.${name}` },
    )

  it('a call with details names server, tool and arguments', () => {
    const event = mapOne(
      log('tool_result', {
        tool_name: 'mcp__git_hub__create_issue',
        tool_parameters: '{"mcp_server_name":"git_hub","mcp_tool_name":"create_issue"}',
        tool_input: '{"title":"Bug"}',
        mcp_server_scope: 'user',
        'user.account_uuid': 'acc-1',
        success: 'false',
        error: 'boom',
        duration_ms: '17',
      }),
    )
    expect(event).toMatchObject({
      'gen_ai.tool.name': 'create_issue',
      'tool.exposed_name': 'mcp__git_hub__create_issue',
      'mcp.server.name': 'git_hub',
      'gen_ai.tool.call.arguments': { title: 'Bug' },
      'outcome.status': 'tool_error',
      'error.message': 'boom',
      duration_ms: 17,
      'user.id': 'acc-1',
      'gen_ai.conversation.id': 'c1',
    })
    // Where a server is configured is no OAuth scope, and the installation is no user.
    expect(event['auth.scopes.granted']).toBeUndefined()
    expect(event.attributes).toMatchObject({ mcp_server_scope: 'user', 'user.id': 'f'.repeat(64) })
  })

  it('without details the exposed name is kept and the server is not guessed', () => {
    const event = mapOne(log('tool_result', { tool_name: 'mcp__a__b', success: true }))
    expect(event).toMatchObject({ 'tool.exposed_name': 'mcp__a__b', 'outcome.status': 'success' })
    expect(event['mcp.server.name']).toBeUndefined()
    expect(event['record.notes']).toContain('gen_ai.tool.name:exposed_name')
    const hidden = mapOne(log('tool_result', { tool_name: 'mcp_tool', success: true }))
    expect(hidden['gen_ai.tool.name']).toBeUndefined()
    expect(hidden['record.notes']).toContain('gen_ai.tool.name:hidden_by_source')
  })

  it('decisions and connections have their classes, other records stay unmapped', () => {
    expect(
      mapOne(
        log('tool_decision', { tool_name: 'Bash', decision: 'reject', source: 'user_reject' }),
      ),
    ).toMatchObject({
      'event.class': 'client_decision',
      'outcome.decision': 'deny',
      'outcome.decision_by': 'user_reject',
    })
    expect(
      mapOne(
        log('mcp_server_connection', {
          server_name: 'gh',
          status: 'failed',
          transport_type: 'stdio',
        }),
      ),
    ).toMatchObject({
      'event.class': 'session',
      'mcp.server.name': 'gh',
      'network.transport': 'pipe',
      'outcome.status': 'protocol_error',
    })
    expect(mapOne(log('api_request', { model: 'm' }))['record.disposition']).toBe('unmapped')
  })
})

describe('Codex', () => {
  it('a tool result has its numbers from text and its server from the record', () => {
    const event = mapOne(
      otlpLog(
        {
          'event.name': 'codex.tool_result',
          'conversation.id': 'c1',
          call_id: 'call_1',
          tool_name: 'git_hub__create_issue',
          mcp_server: 'git_hub',
          mcp_server_origin: 'https://mcp.example.com',
          arguments: '{"title":"Bug"}',
          output: 'created',
          duration_ms: '42',
          success: 'true',
          'user.email': undefined,
        },
        { scope: 'codex_otel.log_only' },
      ),
    )
    expect(event).toMatchObject({
      'event.class': 'tool_call',
      'gen_ai.tool.name': 'create_issue',
      'gen_ai.tool.call.arguments': { title: 'Bug' },
      'gen_ai.tool.call.result': 'created',
      'mcp.server.url': 'https://mcp.example.com',
      duration_ms: 42,
      'outcome.status': 'success',
    })
  })

  it('a decision of the person is a client decision', () => {
    expect(
      mapOne(otlpLog({ 'event.name': 'codex.tool_decision', decision: 'denied', source: 'User' })),
    ).toMatchObject({ 'event.class': 'client_decision', 'outcome.decision': 'deny' })
  })
})

describe('raw MCP messages', () => {
  it('a lone request is a call of unknown outcome', () => {
    expect(
      mapOne({
        jsonrpc: '2.0',
        id: 0,
        method: 'tools/call',
        params: {
          name: 'echo',
          arguments: { a: 1 },
          _meta: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
        },
      }),
    ).toMatchObject({
      'event.class': 'tool_call',
      'jsonrpc.request.id': '0',
      'jsonrpc.request.id_type': 'number',
      'outcome.status': 'unknown',
      'mcp.direction': 'client_to_server',
      trace_id: 'a'.repeat(32),
      parent_span_id: 'b'.repeat(16),
    })
  })

  it('a lone answer says how a call ended and not which', () => {
    const event = mapOne({
      jsonrpc: '2.0',
      id: 'x',
      result: { content: [{ type: 'text', text: 'no' }], isError: true },
    })
    expect(event).toMatchObject({ 'event.class': 'other', 'outcome.status': 'tool_error' })
    expect(event['gen_ai.tool.name']).toBeUndefined()
  })

  it('the direction of an answer is that of its request', () => {
    const record = {
      ts: '2026-11-22T11:28:22.245Z',
      direction: 'server_to_client',
      line: '{"jsonrpc":"2.0","id":1,"result":{}}',
    }
    expect(mapOne([record])).toMatchObject({
      'mcp.direction': 'client_to_server',
      'time.occurred': '2026-11-22T11:28:22.245000000Z',
    })
  })

  it('a tool list carries the hash of each definition, which `_meta` and key order do not change', () => {
    const list = (tool: object) =>
      mapOne({ jsonrpc: '2.0', id: 1, result: { tools: [tool] } })['tool.list']
    const first = list({ name: 'a', description: 'd', inputSchema: { type: 'object' } })
    expect(first).toEqual([{ name: 'a', definition_hash: expect.stringMatching(/^[0-9a-f]{64}$/) }])
    expect(
      list({ inputSchema: { type: 'object' }, description: 'd', name: 'a', _meta: { x: 1 } }),
    ).toEqual(first)
    expect(list({ name: 'a', description: 'D', inputSchema: { type: 'object' } })).not.toEqual(
      first,
    )
  })

  it('a batch of 2025-03-26 makes an event of each message', () => {
    const batch = [
      { jsonrpc: '2.0', id: 1, method: 'tools/list' },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
    ]
    expect(mapBody([batch]).map((event) => event['event.class'])).toEqual(['tool_list', 'session'])
  })

  it('something that only looks like a message stays unmapped', () => {
    expect(mapOne({ jsonrpc: '1.0', method: 'x' })['record.disposition']).toBe('unmapped')
    expect(mapOne({ line: 'Starting server', ts: 'x' })['record.disposition']).toBe('unmapped')
  })
})
