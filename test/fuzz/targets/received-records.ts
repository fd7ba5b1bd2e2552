import { createHash } from 'node:crypto'
import { knownMappings } from '../../../ingest/mappings/known-mappings.ts'
import {
  type DecodedBody,
  decodeJsonBody,
  decodeNdjsonBody,
} from '../../../ingest/receivers/decode-json-records.ts'
import { isOtlpExport } from '../../../ingest/receivers/decode-otlp-records.ts'
import { packEvents } from '../../../ingest/receivers/pack.ts'
import { type ReceivedRequest, receiveRecords } from '../../../ingest/receivers/receive.ts'
import { createRedactor } from '../../../ingest/redaction/redactor.ts'
import {
  EventFields,
  type ObservedEvent,
  type RecordedEvent,
} from '../../../schemas/event/event.ts'
import { canonicalJson, type JsonValue } from '../../../schemas/leaf/canonical-json.ts'
import { LeafDraft, maxLeafBytes } from '../../../schemas/leaf/leaf.ts'
import { openLeaf, parseLeaf, verifyOpening } from '../../../schemas/leaf/open-leaf.ts'
import { otlpLog, otlpSpan } from '../../mappings/map-record.ts'
import { decodedOr, ensure, type FuzzTarget } from '../fuzz-target.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const json = (value: unknown) => Buffer.from(JSON.stringify(value))

/** A secret that is whole is redacted, wherever mutation puts it. */
const canary = 'ghp_Zq3vN8sKd0Lx7Rt2Wm5Yb9Hc4Jf6Pa1GuEo'
const canaryStands = new RegExp(`(?<![A-Za-z0-9_])${canary}(?![A-Za-z0-9_])`)

const context = {
  sourceId: 's1',
  format: 'json',
  nowMs: Date.parse('2026-11-24T13:20:00Z'),
  redactor: createRedactor(),
  mappings: knownMappings(sha256),
  digest: sha256,
}

/** Through decoder, mapping, redaction and packing into leaves and back: nothing is lost, nothing is left over. */
function checkBody(decode: () => DecodedBody, expectedRecords: number | undefined): string {
  const decoded = decodedOr(decode)
  if ('refusal' in decoded) return decoded.refusal
  const { records } = decoded.value
  if (expectedRecords !== undefined) {
    ensure(
      records.length >= expectedRecords,
      `${expectedRecords} records sent, ${records.length} decoded`,
    )
  }
  const request = receiveRecords(records, context)
  checkRequest(request, records.length)
  const signatures = new Set<string>()
  for (const event of request.events) {
    checkEvent(event)
    signatures.add(
      [
        event['event.class'],
        event['record.disposition'],
        event['mapping.id'],
        event['record.reason']?.slice(0, 40),
        ...(event['record.notes'] ?? []).map((note) => note.split(':').slice(0, 2).join(':')),
        Object.keys(event).length,
      ].join(),
    )
  }
  return [...signatures].sort().slice(0, 3).join(';')
}

function checkRequest(request: ReceivedRequest, records: number): void {
  ensure(request.records === records, 'the counted records are those decoded')
  ensure(
    request.mapped + request.unmapped + request.rejected === records,
    'each record is mapped, unmapped or rejected',
  )
  ensure(request.events.length >= records, 'each record makes an event')
  const packed = packEvents(request, { logId: 'main', sourceId: 's1', requestDigest: 'd' })
  const events = packed.flatMap((batch) => batch.events)
  ensure(events.length === request.events.length, 'each event is packed')
}

function checkEvent(event: ObservedEvent): void {
  const valid = EventFields.safeParse(event)
  ensure(valid.success, `a field is not valid: ${valid.error?.issues[0]?.path.join('/')}`)
  const recorded: RecordedEvent = {
    ...event,
    'event.id': '019ab3c4-0000-7000-8000-000000000000',
    'event.schema_version': 1,
    'log.id': 'main',
    'time.recorded': '2026-11-24T13:20:00.000000000Z',
  }
  const draft = new LeafDraft(sha256, recorded, Buffer.alloc(32, 1))
  const leaf = draft.encode({ sha256: Buffer.alloc(32), sizeBytes: 1 })
  ensure(leaf.length <= maxLeafBytes, 'a leaf is at most 8 KiB')
  const parsed = parseLeaf(leaf)
  for (const opening of draft.openings) {
    ensure(verifyOpening(sha256, parsed, opening), 'each opening is the committed one')
  }
  const opened = openLeaf(parsed, draft.openings)
  ensure(
    canonicalJson(asJson(opened)) === canonicalJson(asJson(recorded)),
    'leaf and openings spell the event',
  )
  ensure(!strings(asJson(event)).some((text) => canaryStands.test(text)), 'a secret is redacted')
}

/** The cast is safe: every field of an event is JSON or absent. */
function asJson(event: object): JsonValue {
  return JSON.parse(JSON.stringify(event))
}

function strings(value: JsonValue): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, each]) => [key, ...strings(each)])
}

function parsed(input: Uint8Array): JsonValue | undefined {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(input))
  } catch {
    return undefined
  }
}

/** Counted without our decoder. A list of exports holds theirs; a body that is no JSON is one record. */
function recordsIn(input: Uint8Array): number {
  const value = parsed(input)
  if (value === undefined) return 1
  return (Array.isArray(value) ? value : [value]).reduce<number>(
    (sum, each) => sum + (isOtlpExport(each) ? exportedRecords(each) : 1),
    0,
  )
}

function exportedRecords(value: JsonValue): number {
  let count = 0
  for (const [resources, scopes, records] of [
    ['resourceLogs', 'scopeLogs', 'logRecords'],
    ['resourceSpans', 'scopeSpans', 'spans'],
  ] as const) {
    for (const resource of listUnder(value, resources))
      for (const scope of listUnder(resource, scopes)) count += listUnder(scope, records).length
  }
  return count
}

function listUnder(value: JsonValue, key: string): readonly JsonValue[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return []
  const list: unknown = Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
  return Array.isArray(list) ? list : []
}

const nativeCall = {
  'event.class': 'tool_call',
  'time.occurred': '2026-11-24T13:19:00.5+01:00',
  'source.event.id': 'e1',
  'source.epoch': 'p1',
  'source.seq': 4,
  'source.prev': 'ab'.repeat(32),
  'gen_ai.tool.name': 'send_mail',
  'gen_ai.tool.call.arguments': { to: 'a@example.com', count: 12345678901234567890n.toString() },
  'gen_ai.tool.call.result': [{ type: 'text', text: `token=${canary}` }],
  'auth.scopes.granted': ['mail.read', 'mail.send'],
  'auth.scopes.required': ['mail.send'],
  'user.email': 'a@example.com',
  'outcome.status': 'success',
  duration_ms: 12.5,
  attributes: { nested: { list: [1, 2, { deep: true }] } },
}

const claudeCode = otlpLog(
  {
    'event.name': 'tool_result',
    'session.id': 'c1',
    tool_name: 'mcp__git_hub__create_issue',
    tool_parameters: '{"mcp_server_name":"git_hub","mcp_tool_name":"create_issue"}',
    tool_input: `{"title":"Bug","key":"${canary}"}`,
    'user.account_uuid': 'acc-1',
    success: 'false',
    error: 'boom',
    duration_ms: '17',
  },
  { scope: 'com.anthropic.claude_code.events', body: 'claude_code.tool_result' },
)
const codex = otlpLog(
  {
    'event.name': 'codex.tool_result',
    'conversation.id': 'c1',
    call_id: 'call_1',
    tool_name: 'git_hub__create_issue',
    mcp_server: 'git_hub',
    arguments: `{"title":"Bug","key":"${canary}"}`,
    output: 'created',
    duration_ms: '42',
    success: 'true',
  },
  { scope: 'codex_otel.log_only' },
)
const geminiCli = otlpLog(
  {
    'event.name': 'gemini_cli.tool_call',
    function_name: 'mcp_git_hub_create_issue',
    function_args: `{"title":"Bug","key":"${canary}"}`,
    mcp_server_name: 'git_hub',
    duration_ms: 245,
    success: true,
    decision: 'accept',
    extension_id: {},
    no_value: null,
  },
  { resource: { 'service.name': 'gemini-cli', 'session.id': 's' } },
)
const otelMcp = otlpSpan(
  {
    'mcp.method.name': 'tools/call',
    'gen_ai.tool.name': 'create_issue',
    'mcp.server.name': 'git_hub',
    'enduser.scope': 'repo read:org',
    'error.type': 'tool_error',
    'gen_ai.tool.call.arguments': `{"title":"Bug","key":"${canary}"}`,
    'x.list': { arrayValue: { values: [{ intValue: 1 }, { stringValue: 'b' }, {}] } },
    'x.map': { kvlistValue: { values: [{ key: 'k', value: { doubleValue: 1.5 } }] } },
  },
  { kind: 2, status: { code: 2, message: 'no' }, events: [{ name: 'e', attributes: [] }] },
)
const jsonRpc = [
  {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name: 'x', arguments: { key: canary } },
  },
  {
    ts: '2026-11-24T13:19:00Z',
    direction: 'server_to_client',
    line: '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","inputSchema":{"type":"object"}}]}}',
  },
  { example: 'call', message: { code: -32602, message: 'Unknown tool' } },
  [
    { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } },
    { jsonrpc: '2.0', id: 'a', error: { code: -1, message: 'm' } },
  ],
]

const otlpWords = [
  ...[
    '"resourceLogs"',
    '"scopeLogs"',
    '"logRecords"',
    '"resourceSpans"',
    '"scopeSpans"',
    '"spans"',
  ],
  ...[
    '"resource"',
    '"scope"',
    '"attributes"',
    '"key"',
    '"value"',
    '"body"',
    '"eventName"',
    '"name"',
  ],
  ...[
    '"stringValue"',
    '"intValue"',
    '"doubleValue"',
    '"boolValue"',
    '"arrayValue"',
    '"kvlistValue"',
  ],
  ...['"bytesValue"', '"values"', '"timeUnixNano"', '"observedTimeUnixNano"', '"severityNumber"'],
  ...['"traceId"', '"spanId"', '"parentSpanId"', '"startTimeUnixNano"', '"endTimeUnixNano"'],
  ...['"status"', '"kind"', '"logRecord"', '"span"', `"${canary}"`],
]
const mcpWords = [
  ...[
    '"jsonrpc":"2.0"',
    '"method"',
    '"params"',
    '"result"',
    '"error"',
    '"id"',
    '"_meta"',
    '"tools"',
  ],
  ...[
    '"tools/call"',
    '"tools/list"',
    '"initialize"',
    '"isError":true',
    '"content"',
    '"structuredContent"',
  ],
  ...['"arguments"', '"name"', '"resultType":"input_required"', '"line"', '"message"', '"example"'],
  ...['"direction"', '"ts"', '"notifications/cancelled"', '"requestId"', `"${canary}"`],
]
const nativeWords = [
  ...Object.keys(nativeCall).map((key) => `"${key}"`),
  ...['"raw.record"', '"raw.encoding":"base64"', '"event.id"', '"log.id"', '"time.recorded"'],
  ...[
    '"record.notes"',
    '"attributes"',
    '"redactions"',
    '"tool.list"',
    '"policy.id"',
    `"${canary}"`,
  ],
  ...['"finding"', '"access"', '"tick"', '"2026-11-24T13:19:00Z"', '"0000-00-00T00:00:00Z"'],
]

function jsonTarget(
  name: string,
  corpus: readonly unknown[],
  dictionary: readonly string[],
): FuzzTarget {
  return {
    name,
    corpus: corpus.map(json),
    dictionary,
    check: (input) => checkBody(() => decodeJsonBody(input), recordsIn(input)),
  }
}

const everything = [
  nativeCall,
  [nativeCall, { any: 'thing' }],
  claudeCode,
  otelMcp,
  jsonRpc,
  [[[]]],
  'x',
]

const records: FuzzTarget = jsonTarget('json-records', everything, [...nativeWords, ...otlpWords])

const ndjson: FuzzTarget = {
  name: 'ndjson-records',
  corpus: [
    Buffer.from(everything.map((value) => JSON.stringify(value)).join('\n')),
    Buffer.from(
      `${JSON.stringify(nativeCall)}\r\n \t\n{broken\n\xff\n${JSON.stringify(jsonRpc[0])}\n`,
      'latin1',
    ),
  ],
  dictionary: [...nativeWords, '\n', '\r\n', '\n{"event.class":"tool_call"}\n'],
  check(input) {
    const lines = splitLines(input).filter((line) => !/^[ \t\r]*$/.test(line.toString('latin1')))
    const expected = lines.reduce((sum, line) => {
      const value = parsed(line)
      return sum + (value !== undefined && isOtlpExport(value) ? exportedRecords(value) : 1)
    }, 0)
    return checkBody(() => decodeNdjsonBody(input), expected)
  },
}

function splitLines(input: Uint8Array): Buffer[] {
  const lines: Buffer[] = []
  let line: number[] = []
  for (const byte of input) {
    if (byte === 0x0a) {
      lines.push(Buffer.from(line))
      line = []
    } else line.push(byte)
  }
  return [...lines, Buffer.from(line)]
}

export const receivedRecordTargets: readonly FuzzTarget[] = [
  records,
  ndjson,
  jsonTarget('otlp-logs', [claudeCode, codex, geminiCli, otlpLog({ a: 1 })], otlpWords),
  jsonTarget('otlp-spans', [otelMcp, otlpSpan({ a: 1 })], otlpWords),
  jsonTarget('mapping-native', [nativeCall], nativeWords),
  jsonTarget(
    'mapping-claude-code',
    [claudeCode],
    [
      ...['"tool_decision"', '"claude_code.tool_decision"', '"auth"', '"mcp_server_connection"'],
      ...[
        '"permission_mode_changed"',
        '"mcp_tool"',
        '"decision_type"',
        '"event.name"',
        '"tool_name"',
      ],
      ...otlpWords,
    ],
  ),
  jsonTarget(
    'mapping-codex',
    [codex],
    [
      ...[
        '"codex.tool_decision"',
        '"codex.sandbox_outcome"',
        '"mcp_server_origin"',
        '"event.timestamp"',
      ],
      ...otlpWords,
    ],
  ),
  jsonTarget(
    'mapping-gemini-cli',
    [geminiCli],
    ['"gemini_cli.tool_call"', '"decision"', ...otlpWords],
  ),
  jsonTarget(
    'mapping-otel-mcp',
    [otelMcp],
    [
      ...['"mcp.method.name"', '"mcp.tool.name"', '"execute_tool"', '"gen_ai.operation.name"'],
      ...['"http.response.status_code"', '"rpc.response.status_code"', '"network.transport"'],
      ...otlpWords,
    ],
  ),
  jsonTarget('mapping-mcp-jsonrpc', jsonRpc, mcpWords),
]
