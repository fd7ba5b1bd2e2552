import { createHash } from 'node:crypto'
import { cutToFit } from '../../../ingest/collectors/cut-to-fit.ts'
import { McpObserver } from '../../../ingest/collectors/mcp-observer.ts'
import { SourceEvent } from '../../../schemas/event/event.ts'
import { canonicalJson } from '../../../schemas/leaf/canonical-json.ts'
import { ensure, type FuzzTarget } from '../fuzz-target.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

const identity = {
  serverName: 'files',
  hostName: 'host',
  osUserName: 'os-user',
  parentProcessName: 'editor',
  command: 'npx files',
  agentName: 'agent',
  userName: 'user',
  workflowId: undefined,
  sessionId: 'session-1',
}

const session = (lines: readonly (readonly ['>' | '<', unknown])[]) =>
  Buffer.from(lines.map(([sender, message]) => `${sender}${JSON.stringify(message)}\n`).join(''))

const call = (id: unknown, name: string) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: {
    name,
    arguments: { path: '/a' },
    _meta: { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` },
  },
})

/** An input is a session: each line begins with who says it, `>` the client and anything else the server. */
export const mcpObserver: FuzzTarget = {
  name: 'mcp-observer',
  corpus: [
    session([
      [
        '>',
        {
          jsonrpc: '2.0',
          id: 0,
          method: 'initialize',
          params: { clientInfo: { name: 'c', version: '1' } },
        },
      ],
      [
        '<',
        {
          jsonrpc: '2.0',
          id: 0,
          result: { protocolVersion: '2025-06-18', serverInfo: { name: 's', version: '2' } },
        },
      ],
      ['>', { jsonrpc: '2.0', id: 1, method: 'tools/list' }],
      [
        '<',
        {
          jsonrpc: '2.0',
          id: 1,
          result: { tools: [{ name: 'a', inputSchema: {}, annotations: {} }] },
        },
      ],
      ['>', call(2, 'a')],
      [
        '<',
        {
          jsonrpc: '2.0',
          id: 2,
          result: { content: [{ type: 'text', text: 'x' }], isError: true },
        },
      ],
      ['>', call('2', 'a')],
      ['>', { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: '2' } }],
      ['>', call(3, 'b')],
    ]),
    session([
      ['<', { jsonrpc: '2.0', id: 1, method: 'sampling/createMessage', params: { messages: [] } }],
      ['>', { jsonrpc: '2.0', id: 1, error: { code: -32000, message: 'no' } }],
      ['<', { jsonrpc: '2.0', method: 'notifications/tools/list_changed' }],
      ['>', [call(5, 'x'), call(6, 'y')]],
      ['>', { jsonrpc: '2.0', id: 9, method: 'resources/read', params: { uri: 'file:///a' } }],
      ['<', { jsonrpc: '2.0', id: 9, result: { contents: [], resultType: 'input_required' } }],
    ]),
  ],
  dictionary: [
    ...[
      '\n>',
      '\n<',
      '"id":1',
      '"id":"1"',
      '"id":1e0',
      '"id":null',
      '"method":"tools/call"',
      '"params"',
    ],
    ...[
      '"result"',
      '"error"',
      '"tools/list"',
      '"_meta"',
      '"cursor"',
      '"isError"',
      '"prompts/get"',
      '\r\n',
    ],
    ...['"elicitation/create"', '"notifications/cancelled"', '"requestId"', '"server/discover"'],
  ],
  check(input) {
    const observer = new McpObserver(identity, sha256)
    const events: SourceEvent[] = []
    const callsAsked = new Set<string>()
    let nowMs = 1_800_000_000_000
    for (const line of linesOf(input)) {
      const direction = line[0] === 0x3e ? 'client_to_server' : 'server_to_client'
      const message = line.subarray(1)
      if (direction === 'client_to_server') for (const id of callIds(message)) callsAsked.add(id)
      // In two chunks: where a chunk ends says nothing about lines.
      const cut = message.length >> 1
      events.push(...observer.feed(direction, message.subarray(0, cut), nowMs))
      events.push(
        ...observer.feed(
          direction,
          Buffer.concat([message.subarray(cut), Buffer.from('\n')]),
          nowMs,
        ),
      )
      nowMs += 10
    }
    events.push(...observer.end(nowMs))
    const kinds = new Set<string>()
    for (const event of events.map(cutToFit)) {
      const valid = SourceEvent.safeParse(event)
      ensure(valid.success, `a field is not valid: ${valid.error?.issues[0]?.path.join('/')}`)
      canonicalJson(JSON.parse(JSON.stringify(event)))
      kinds.add([event['event.class'], event['outcome.status'], event['error.type']].join())
    }
    const told = new Set(
      events
        .filter((event) => event['event.class'] === 'tool_call')
        .map((event) => `${event['jsonrpc.request.id_type']} ${event['jsonrpc.request.id'] ?? ''}`),
    )
    for (const id of callsAsked)
      ensure(told.has(id), 'each call that was asked is told, answered or not')
    return [...kinds].sort().join(';')
  },
}

function linesOf(input: Uint8Array): Buffer[] {
  const lines: Buffer[] = []
  const bytes = Buffer.from(input)
  for (let from = 0; from < bytes.length; ) {
    const newline = bytes.indexOf(0x0a, from)
    const until = newline < 0 ? bytes.length : newline
    if (until > from) lines.push(bytes.subarray(from, until))
    from = until + 1
  }
  return lines
}

/** Ids of the tool calls in a message, found without the observer: type and value as they stand on the record. */
function callIds(message: Uint8Array): string[] {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(message))
  } catch {
    return []
  }
  return (Array.isArray(value) ? value : [value]).flatMap((each: unknown) => {
    if (typeof each !== 'object' || each === null || !('id' in each) || !('method' in each))
      return []
    const { id, method } = each
    if (method !== 'tools/call' || (typeof id !== 'string' && typeof id !== 'number')) return []
    return [`${typeof id} ${String(id).toWellFormed().slice(0, 256).toWellFormed()}`]
  })
}
