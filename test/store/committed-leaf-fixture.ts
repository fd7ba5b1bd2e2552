import { createHash } from 'node:crypto'
import type { CommittedLeaf, CommittedSegment, LedgerReader } from '../../ledger/committed.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'

const epochMs = Date.parse('2026-11-01T00:00:00Z')
const tools = ['read_file', 'search_issues', 'run_query', 'send_mail', 'create_branch']
const outcomes = ['success', 'success', 'success', 'tool_error', 'denied'] as const

/** Event of a tool call, of about 1 KB as JSON; the same for the same index. */
export function syntheticEvent(index: number, extra: Partial<RecordedEvent> = {}): RecordedEvent {
  const at = timestampFromMs(epochMs + index * 40)
  const trace = createHash('sha256').update(`trace ${index}`).digest('hex')
  return {
    'event.id': `019c0000-0000-7000-8000-${index.toString(16).padStart(12, '0')}`,
    'event.class': 'tool_call',
    'event.schema_version': 1,
    'log.id': 'acme',
    'record.disposition': 'mapped',
    'mapping.id': 'otlp-genai@1',
    'time.occurred': at,
    'time.observed': at,
    'time.recorded': at,
    'time.source': 'source',
    'source.id': `gateway-${index % 3}`,
    'source.vantage': 'gateway',
    'source.trust': 'asserted',
    'source.epoch': 'e1',
    'source.seq': index,
    'mcp.method.name': 'tools/call',
    'mcp.server.name': `server-${index % 7}`,
    'gen_ai.tool.name': tools[index % tools.length] ?? 'read_file',
    trace_id: trace.slice(0, 32),
    span_id: trace.slice(32, 48),
    'gen_ai.conversation.id': `conversation-${index % 50}`,
    'user.id': `user-${index % 97}`,
    'user.email': `user-${index % 97}@example.com`,
    'mcp.client.name': 'claude-code',
    'auth.scopes.granted': ['repo:read', 'issues:read'],
    'auth.scopes.required': index % 11 === 0 ? [] : ['repo:read'],
    'gen_ai.tool.call.arguments': {
      path: `/srv/projects/project-${index % 40}/src/module-${index}.ts`,
      options: { encoding: 'utf8', limit: index % 500, flags: ['a', 'b'] },
    },
    'arguments.hash': createHash('sha256').update(`arguments ${index}`).digest('hex'),
    'arguments.size_bytes': 96,
    'outcome.status': outcomes[index % outcomes.length] ?? 'success',
    duration_ms: (index % 1000) + 0.125,
    'gen_ai.tool.call.result': { text: `line one of file ${index}\nline two`, truncated: false },
    'result.size_bytes': 64,
    ...extra,
  }
}

export function syntheticLeaf(
  index: number,
  extra: Partial<RecordedEvent> = {},
  logId = 'acme',
): CommittedLeaf {
  const event: RecordedEvent = { ...syntheticEvent(index, extra), 'log.id': logId }
  const leaf = Buffer.from(JSON.stringify(event))
  const leafHash = createHash('sha256').update('\0').update(leaf).digest()
  return { logId, index, leaf, leafHash, event, opened: 'full' }
}

/** A ledger in memory that can be appended to, and whose leaves can be replaced as an erasure does. */
export class SyntheticLedger implements LedgerReader {
  private readonly logs = new Map<string, CommittedLeaf[]>()
  private readonly segmentLeaves: number

  constructor(segmentLeaves = 250) {
    this.segmentLeaves = segmentLeaves
  }

  append(leaves: readonly CommittedLeaf[]): CommittedSegment {
    const logId = leaves[0]?.logId ?? 'acme'
    const log = this.logs.get(logId) ?? []
    this.logs.set(logId, log)
    const fromIndex = log.length
    log.push(...leaves)
    return { logId, fromIndex, leaves, treeSize: log.length, root: new Uint8Array(32) }
  }

  /** Appends `count` synthetic tool calls as one segment. */
  grow(count: number, logId = 'acme'): CommittedSegment {
    const from = this.logs.get(logId)?.length ?? 0
    return this.append(
      Array.from({ length: count }, (_, at) => syntheticLeaf(from + at, {}, logId)),
    )
  }

  replace(leaf: CommittedLeaf): void {
    const log = this.logs.get(leaf.logId)
    if (log !== undefined) log[leaf.index] = leaf
  }

  async size(logId: string): Promise<number> {
    return this.logs.get(logId)?.length ?? 0
  }

  async logIds(): Promise<string[]> {
    return [...this.logs.keys()]
  }

  async *read(logId: string, from: number, until: number): AsyncIterable<readonly CommittedLeaf[]> {
    const log = this.logs.get(logId) ?? []
    const end = Math.min(until, log.length)
    for (let at = from; at < end; ) {
      const next = Math.min(end, (Math.floor(at / this.segmentLeaves) + 1) * this.segmentLeaves)
      yield log.slice(at, next)
      at = next
    }
  }

  async readOne(logId: string, index: number): Promise<CommittedLeaf | undefined> {
    return this.logs.get(logId)?.[index]
  }
}
