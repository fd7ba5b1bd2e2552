import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { authorization, startRecordingServer } from './recording-server.ts'

const join = (...parts: string[]) => parts.join('')
const control = 'CONTROL-VALUE-7319'

/** One of each kind: [text as it would be written somewhere, the part that may not survive]. */
const canaries: readonly (readonly [string, string])[] = [
  ['Authorization: Bearer canary0bearer1', 'canary0bearer1'],
  ['Authorization: Basic Y2FuYXJ5MmJhc2lj', 'Y2FuYXJ5MmJhc2lj'],
  ['eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjN9.Y2FuYXJ5M2p3dA', 'eyJjYW5hcnkiOjN9'],
  ['-----BEGIN PRIVATE KEY-----\nY2FuYXJ5NHBlbQ\n-----END PRIVATE KEY-----', 'Y2FuYXJ5NHBlbQ'],
  ['postgres://app:canary5pg@db/x', 'canary5pg'],
  ['mongodb+srv://app:canary6mg@db/x', 'canary6mg'],
  ['redis://:canary7rd@cache', 'canary7rd'],
  ['https://user:canary8url@host/', 'canary8url'],
  [join('AK', 'IACANARY9CANARY9CN'), 'CANARY9'],
  ['aws_secret_access_key=canary10canary10canary10canary10canary10', 'canary10canary10'],
  [join('gh', 'p_canary11canary11canary11canary11canar'), 'canary11canary11'],
  [join('gl', 'pat-canary12canary12canary12'), 'canary12canary12'],
  [join('xo', 'xb-canary13-canary13'), 'canary13'],
  [join('np', 'm_canary14canary14canary14canary14cana'), 'canary14canary14'],
  [join('sk_', 'live_canary15canary15'), 'canary15'],
  [join('sk-', 'ant-canary16-canary16-canary16'), 'canary16'],
  ['sts_canary17canary17canary17', 'canary17'],
  ['password=canary18', 'canary18'],
  ['{"client_secret":"canary19"}', 'canary19'],
  ['Cookie: sid=canary20', 'canary20'],
  ['DefaultEndpointsProtocol=https;AccountKey=canary21canary21canary21==', 'canary21'],
  ['https://a.blob/x?sv=1&sig=canary22canary22canary22', 'canary22'],
  [join('AI', 'zacanary23canary23canary23canary23canar'), 'canary23'],
  [join('py', 'pi-AgEIcanary24canary24canary24'), 'canary24'],
  [join('github', '_pat_11canary25canary25canary25'), 'canary25'],
  [join('sk-', 'proj-canary26canary26canary26canary26'), 'canary26'],
  [join('xo', 'xd-canary27canary27'), 'canary27'],
  [join('dop', '_v1_canary28canary28canary28'), 'canary28'],
  [join('SG', '.canary29canary29canary29.canary29canary29'), 'canary29'],
  [join('GOCS', 'PX-canary30canary30canary30'), 'canary30'],
  ['["--db-password","canary31"]', 'canary31'],
  ['{"Name":"API_KEY","Value":"canary32"}', 'canary32'],
  ['{"kty":"EC","d":"canary33"}', 'canary33'],
  ['<password>canary34</password>', 'canary34'],
  ['root:$6$salt$canary35canary35canary35', 'canary35'],
  ['app:canary36@tcp(db)/x', 'canary36'],
  ['{"client_secret":"canary37\\u0021"}', 'canary37'],
]

/** Every place of a native record that can hold text. */
function nativeRecord(text: string) {
  return {
    'event.class': 'tool_call',
    'gen_ai.tool.name': 'send',
    'gen_ai.tool.call.arguments': { deep: [{ note: text }], nested: JSON.stringify({ x: text }) },
    'gen_ai.tool.call.result': { content: [{ type: 'text', text }] },
    'error.message': text,
    'outcome.reason': text,
    attributes: { note: text, control },
  }
}

const attribute = (key: string, text: string) => ({ key, value: { stringValue: text } })

function otlpAttributes(text: string) {
  return [
    attribute('mcp.method.name', 'tools/call'),
    attribute('gen_ai.tool.call.arguments', JSON.stringify({ note: text })),
    attribute('gen_ai.tool.call.result', JSON.stringify({ nested: JSON.stringify({ text }) })),
    attribute('error.message', text),
    attribute('note', text),
    attribute('control', control),
  ]
}

function otlpLogs(text: string) {
  return {
    resourceLogs: [
      {
        resource: { attributes: [attribute('process.command_line', text)] },
        scopeLogs: [
          { logRecords: [{ body: { stringValue: text }, attributes: otlpAttributes(text) }] },
        ],
      },
    ],
  }
}

function otlpTraces(text: string) {
  return {
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: [
              {
                name: text.slice(0, 200),
                status: { code: 2, message: text },
                attributes: otlpAttributes(text),
                events: [{ name: 'exception', attributes: [attribute('exception.message', text)] }],
              },
            ],
          },
        ],
      },
    ],
  }
}

const text = canaries.map(([each]) => each).join('\n')
const native = JSON.stringify(nativeRecord(text))
const single = canaries.map(([each]) => JSON.stringify(nativeRecord(each)))

const forms: readonly (readonly [string, string, Record<string, string>, string | Buffer])[] = [
  ['object', '/v1/events', { 'content-type': 'application/json' }, native],
  ['array', '/v1/events', { 'content-type': 'application/json' }, `[${single.join(',')}]`],
  ['NDJSON', '/v1/events', { 'content-type': 'application/x-ndjson' }, single.join('\n')],
  [
    'gzip',
    '/v1/events',
    { 'content-type': 'application/json', 'content-encoding': 'gzip' },
    gzipSync(native),
  ],
  ['unmapped', '/v1/events', {}, JSON.stringify({ control, any: [text], nested: native })],
  [
    'rejected by the schema',
    '/v1/events',
    {},
    JSON.stringify({ ...nativeRecord(text), 'outcome.status': text }),
  ],
  ['rejected for a key', '/v1/events', {}, `{"control":"${control}","a":1,"a":${native}}`],
  ['malformed', '/v1/events', {}, `${native.slice(0, -1)} ${control}`],
  [
    'not UTF-8',
    '/v1/events',
    {},
    Buffer.concat([Buffer.from([0xff]), Buffer.from(native), Buffer.from(control)]),
  ],
  [
    'raw JSON-RPC',
    '/v1/events',
    {},
    JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'send', arguments: { note: text, control } },
    }),
  ],
  ['OTLP logs', '/v1/logs', {}, JSON.stringify(otlpLogs(text))],
  ['OTLP traces', '/v1/traces', {}, JSON.stringify(otlpTraces(text))],
  [
    'unicode escapes',
    '/v1/events',
    {},
    native.replace(/canary/g, '\\u0063an\\u0061ry').replace(/password/g, 'p\\u0061ssword'),
  ],
]

describe('canaries', () => {
  it.each(forms)(
    'no secret sent as %s reaches the bus, and the control value does',
    async (_name, url, headers, payload) => {
      const server = startRecordingServer()
      await server.app.inject({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', ...authorization, ...headers },
        payload,
      })
      const events = server.events()
      expect(events.length).toBeGreaterThan(0)
      const stored = JSON.stringify(server.batches)
      const decoded = events
        .map((event) =>
          event['raw.encoding'] === 'base64'
            ? Buffer.from(event['raw.record'] ?? '', 'base64').toString('latin1')
            : '',
        )
        .join()
      for (const [, secret] of canaries) {
        expect(stored).not.toContain(secret)
        expect(decoded).not.toContain(secret)
      }
      expect(stored + decoded).toContain(control)
      expect(stored + decoded).toContain('[redacted:')
    },
  )
})
