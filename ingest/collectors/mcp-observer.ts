import { fromUtf8Strict, hex, utf8 } from '../../schemas/bytes.ts'
import type { OutcomeStatus } from '../../schemas/event/class.ts'
import type { SourceEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import {
  canonicalJson,
  findDuplicateKey,
  type JsonValue,
} from '../../schemas/leaf/canonical-json.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'
import { type Line, LineSplitter } from './line-splitter.ts'
import { wholeMicroseconds } from './microseconds.ts'

export type Direction = 'client_to_server' | 'server_to_client'

type JsonObject = { readonly [key: string]: JsonValue }

/** What the tap knows about where it runs; asserted on every event. */
export interface TapIdentity {
  readonly serverName: string
  readonly hostName: string
  readonly osUserName: string
  readonly parentProcessName: string | undefined
  readonly command: string
  readonly agentName: string | undefined
  readonly userName: string | undefined
  readonly workflowId: string | undefined
  readonly conversationId?: string | undefined
  /** Stdio has no session id: one a run of the tap. */
  readonly sessionId: string
}

interface OpenRequest {
  readonly method: string
  readonly params: JsonObject
  readonly startedMs: number
  readonly direction: Direction
  readonly id: string | number
  /** Of the line that it came in: what remembering it costs. */
  readonly sizeBytes: number
}

interface Definition {
  readonly hash: string
  readonly annotations: JsonValue | undefined
}

const maxOpenRequests = 10_000
const maxOpenBytes = 64 * 1024 * 1024
/** Tools whose definition is remembered, those listed last. */
const maxDefinitions = 10_000
/** Of a list on the record: below what a receiver keeps of one JSON field, 128 KiB of UTF-8. */
const maxListBytes = 96_000

/** Who may ask this, and what it is then on the record. From the other side it is `other`, kept raw. */
const classOfMethod: ReadonlyMap<string, readonly [Direction, SourceEvent['event.class']]> =
  new Map([
    ['initialize', ['client_to_server', 'session']],
    ['server/discover', ['client_to_server', 'session']],
    ['tools/list', ['client_to_server', 'tool_list']],
    ['tools/call', ['client_to_server', 'tool_call']],
    ['resources/read', ['client_to_server', 'resource_read']],
    ['prompts/get', ['client_to_server', 'prompt_get']],
    ['sampling/createMessage', ['server_to_client', 'sampling']],
    ['elicitation/create', ['server_to_client', 'elicitation']],
  ])

/** Counted, not recorded: they say nothing about what an agent did. */
const countedMethods: ReadonlySet<string> = new Set([
  'ping',
  'notifications/progress',
  'notifications/message',
  'notifications/initialized',
  'logging/setLevel',
])

/**
 * Watches one stdio session of MCP and tells what happened. Pure but for its own state: bytes and time are fed in.
 *
 * Both eras: 2025 (`initialize` handshake) and 2026-07-28 (`server/discover`, client information in each `_meta`).
 * Requests and answers are paired by (direction, id, JSON type of the id): server-initiated requests have their own.
 * Values stand whole in the events: they are cut when they were redacted, see cut-to-fit.ts.
 */
export class McpObserver {
  private readonly identity: TapIdentity
  private readonly digest: Digest
  private readonly splitters = {
    client_to_server: new LineSplitter(),
    server_to_client: new LineSplitter(),
  }
  private readonly open = new Map<string, OpenRequest>()
  private openBytes = 0
  private readonly definitions = new Map<string, Definition>()
  /** Tools of the list so far, over its pages. */
  private listed = 0
  private protocolVersion: string | undefined
  private client: { name?: string; version?: string } = {}
  private serverVersion: string | undefined

  constructor(identity: TapIdentity, digest: Digest) {
    this.identity = identity
    this.digest = digest
  }

  /** Events that these bytes complete. */
  feed(direction: Direction, chunk: Uint8Array, nowMs: number): SourceEvent[] {
    return this.splitters[direction]
      .push(chunk)
      .flatMap((line) => this.line(direction, line, nowMs))
  }

  /** The session ended: what was asked and not answered is closed as unknown. */
  end(nowMs: number): SourceEvent[] {
    const events = (['client_to_server', 'server_to_client'] as const).flatMap((direction) => {
      const line = this.splitters[direction].end()
      return line === undefined ? [] : this.line(direction, line, nowMs)
    })
    for (const request of this.open.values()) {
      if (!countedMethods.has(request.method)) events.push(this.unanswered(request, nowMs))
    }
    this.open.clear()
    this.openBytes = 0
    return events
  }

  private line(direction: Direction, line: Line, nowMs: number): SourceEvent[] {
    if (line.sizeBytes > line.bytes.length)
      return [this.unreadable(direction, line, nowMs, 'line too long')]
    let message: JsonValue
    let ambiguous: boolean
    try {
      const json = fromUtf8Strict(line.bytes)
      message = recordable(JSON.parse(json))
      ambiguous = findDuplicateKey(json) !== undefined
    } catch {
      return [this.unreadable(direction, line, nowMs, 'not JSON')]
    }
    const messages = isList(message) ? message : [message]
    // The two programs may each read the other one of the two values: the line itself goes on the record too.
    const doubt = ambiguous ? [this.unreadable(direction, line, nowMs, 'duplicate key')] : []
    const events = messages.flatMap((each) => {
      try {
        return this.message(direction, each, line, nowMs)
      } catch {
        // A message must not be able to hide itself, or the ones after it, by breaking the observer.
        return [this.unreadable(direction, line, nowMs, 'not understood')]
      }
    })
    return [...events, ...doubt]
  }

  private message(
    direction: Direction,
    message: unknown,
    line: Line,
    nowMs: number,
  ): SourceEvent[] {
    if (!isObject(message))
      return [this.unreadable(direction, line, nowMs, 'not a JSON-RPC message')]
    const { method, id } = message
    const params = isObject(message.params) ? message.params : {}
    const hasId = typeof id === 'string' || typeof id === 'number'
    if (typeof method === 'string') {
      // Each side speaks for itself only: a server must not be able to name another client.
      if (direction === 'client_to_server') this.learnClient(method, params)
      if (!hasId) return this.notification(direction, method, params, message, nowMs)
      const { sizeBytes } = line
      return this.request({ method, params, startedMs: nowMs, direction, id, sizeBytes })
    }
    if (!hasId) return [this.raw(direction, undefined, message, nowMs)]
    const asked = direction === 'server_to_client' ? 'client_to_server' : 'server_to_client'
    const request = this.close(openKey(asked, id))
    if (request === undefined) return [this.raw(direction, undefined, message, nowMs)]
    return this.response(request, message, nowMs)
  }

  /**
   * Remembers a request until its answer. One that is displaced, by the reuse of its id or by too many open ones, goes
   * on the record as unknown: nobody hides a call by asking much.
   */
  private request(request: OpenRequest): SourceEvent[] {
    const key = openKey(request.direction, request.id)
    const displaced = [this.close(key)]
    const isFull = () =>
      this.open.size >= maxOpenRequests || this.openBytes + request.sizeBytes > maxOpenBytes
    while (this.open.size > 0 && isFull()) displaced.push(this.close(this.open.keys().next().value))
    this.open.set(key, request)
    this.openBytes += request.sizeBytes
    return displaced.flatMap((earlier) =>
      earlier === undefined || countedMethods.has(earlier.method)
        ? []
        : [this.unanswered(earlier, request.startedMs)],
    )
  }

  /** Takes a request out of the open ones. */
  private close(key: string | undefined): OpenRequest | undefined {
    const request = key === undefined ? undefined : this.open.get(key)
    if (key === undefined || request === undefined) return undefined
    this.open.delete(key)
    this.openBytes -= request.sizeBytes
    return request
  }

  /** A request whose answer will not be seen. */
  private unanswered(request: OpenRequest, nowMs: number): SourceEvent {
    return this.answered(request, nowMs, { 'outcome.status': 'unknown' })
  }

  private notification(
    direction: Direction,
    method: string,
    params: JsonObject,
    message: JsonObject,
    nowMs: number,
  ): SourceEvent[] {
    if (method === 'notifications/cancelled') {
      const { requestId } = params
      if (typeof requestId !== 'string' && typeof requestId !== 'number') return []
      const request = this.close(openKey(direction, requestId))
      if (request === undefined) return []
      if (countedMethods.has(request.method)) return []
      return [this.answered(request, nowMs, { 'outcome.status': 'cancelled' })]
    }
    if (countedMethods.has(method)) return []
    if (method.endsWith('/list_changed')) {
      return [
        {
          ...this.common(direction, nowMs),
          'event.class': 'catalog_change',
          ...definedOnly({ 'mcp.method.name': name(method) }),
        },
      ]
    }
    return [this.raw(direction, method, message, nowMs)]
  }

  private response(request: OpenRequest, message: JsonObject, nowMs: number): SourceEvent[] {
    const { method } = request
    const result = isObject(message.result) ? message.result : undefined
    const error = isObject(message.error) ? message.error : undefined
    if (result !== undefined && request.direction === 'client_to_server')
      this.learnServer(method, result)
    if (classOf(request) === 'other') {
      return countedMethods.has(method) ? [] : [this.other(request, message, nowMs)]
    }
    const fields: Partial<SourceEvent> = { ...outcomeOf(result, error) }
    if (method === 'tools/list' && result !== undefined)
      Object.assign(fields, this.toolList(request, result))
    if (message.result !== undefined && method !== 'tools/list') {
      Object.assign(
        fields,
        captured('result', 'gen_ai.tool.call.result', resultValue(message.result)),
      )
    }
    return [this.answered(request, nowMs, fields)]
  }

  /** One event for a request and its end. */
  private answered(request: OpenRequest, nowMs: number, fields: Partial<SourceEvent>): SourceEvent {
    const { method, params } = request
    const eventClass = classOf(request)
    const meta = isObject(params._meta) ? params._meta : {}
    const event: Partial<SourceEvent> = {
      ...this.common(request.direction, request.startedMs),
      // An id may be the empty string, which no field can hold.
      ...definedOnly({
        'mcp.method.name': name(method),
        'jsonrpc.request.id': name(String(request.id)),
      }),
      'jsonrpc.request.id_type': typeof request.id === 'number' ? 'number' : 'string',
      duration_ms: Math.round((nowMs - request.startedMs) * 1000) / 1000,
      ...traceOf(meta),
      ...definedOnly({ 'workflow.id': name(meta['sealtrail/workflow']) }),
      ...fields,
    }
    if (eventClass === 'tool_call') {
      const tool = name(params.name) ?? 'unknown'
      const definition = this.definitions.get(tool)
      Object.assign(event, {
        'gen_ai.tool.name': tool,
        ...(params.arguments === undefined
          ? { 'arguments.capture': 'absent' }
          : captured('arguments', 'gen_ai.tool.call.arguments', params.arguments)),
        ...definedOnly({
          'tool.definition_hash': definition?.hash,
          'tool.annotations': definition?.annotations,
        }),
      })
    } else if (eventClass === 'resource_read') {
      Object.assign(event, definedOnly({ 'mcp.resource.uri': text(params.uri) }))
    } else if (eventClass === 'prompt_get') {
      Object.assign(event, definedOnly({ 'gen_ai.prompt.name': name(params.name) }))
      if (params.arguments !== undefined)
        Object.assign(event, captured('arguments', 'gen_ai.tool.call.arguments', params.arguments))
    } else if (eventClass === 'sampling' || eventClass === 'elicitation') {
      Object.assign(event, captured('arguments', 'gen_ai.tool.call.arguments', params))
    }
    return { ...event, 'event.class': eventClass }
  }

  /** Pages of a list are joined; definitions are hashed without `_meta`. */
  private toolList(request: OpenRequest, result: JsonObject): Partial<SourceEvent> {
    const tools = isList(result.tools) ? result.tools.filter(isObject) : []
    if (request.params.cursor === undefined) this.listed = 0
    this.listed += tools.length
    const list = tools.map((tool) => {
      const { _meta: _ignored, ...definition } = tool
      const hash = hex(this.digest(utf8(canonicalJson(definition))))
      const toolName = name(tool.name) ?? 'unknown'
      this.define(toolName, { hash, annotations: tool.annotations })
      return { name: toolName, definition_hash: hash }
    })
    return {
      'tool.list': asJson(fitting(list)),
      'tool.list_count': this.listed,
      attributes: definitionsOf(tools),
    }
  }

  private define(toolName: string, definition: Definition): void {
    this.definitions.delete(toolName)
    const oldest = this.definitions.keys().next().value
    if (this.definitions.size >= maxDefinitions && oldest !== undefined)
      this.definitions.delete(oldest)
    this.definitions.set(toolName, definition)
  }

  /** `serverInfo` of `initialize`, or in the `_meta` of a 2026-07-28 result. */
  private learnServer(method: string, result: JsonObject): void {
    const meta = isObject(result._meta) ? result._meta : {}
    const info =
      method === 'initialize' ? result.serverInfo : meta['io.modelcontextprotocol/serverInfo']
    if (isObject(info)) this.serverVersion = text(info.version) ?? this.serverVersion
    if (method === 'initialize') {
      this.protocolVersion = text(result.protocolVersion) ?? this.protocolVersion
    }
  }

  private learnClient(method: string, params: JsonObject): void {
    const meta = isObject(params._meta) ? params._meta : {}
    const info =
      method === 'initialize' ? params.clientInfo : meta['io.modelcontextprotocol/clientInfo']
    if (isObject(info)) {
      this.client = definedOnly({ name: name(info.name), version: name(info.version) })
    }
    const version = text(meta['io.modelcontextprotocol/protocolVersion'])
    if (version !== undefined) this.protocolVersion = version
  }

  /** A method without a class of its own, kept raw. */
  private other(request: OpenRequest, message: JsonObject, nowMs: number): SourceEvent {
    const raw = JSON.stringify({
      request: { method: request.method, params: request.params },
      response: message,
    })
    return {
      ...this.answered(
        request,
        nowMs,
        outcomeOf(undefined, isObject(message.error) ? message.error : undefined),
      ),
      ...rawFields(raw),
    }
  }

  private raw(
    direction: Direction,
    method: string | undefined,
    message: JsonObject,
    nowMs: number,
  ): SourceEvent {
    return {
      ...this.common(direction, nowMs),
      'event.class': 'other',
      ...definedOnly({ 'mcp.method.name': name(method) }),
      ...rawFields(JSON.stringify(message)),
    }
  }

  private unreadable(direction: Direction, line: Line, nowMs: number, why: string): SourceEvent {
    return {
      ...this.common(direction, nowMs),
      'event.class': 'other',
      'error.type': why,
      'raw.encoding': 'utf8',
      'raw.record': new TextDecoder().decode(line.bytes),
      'raw.size_bytes': line.sizeBytes,
    }
  }

  private common(
    direction: Direction,
    atMs: number,
  ): Omit<SourceEvent, 'event.class'> & { 'event.class': 'other' } {
    const { identity } = this
    const time = timestampFromMs(wholeMicroseconds(atMs))
    return {
      'event.class': 'other',
      'time.occurred': time,
      'time.observed': time,
      'time.source': 'collector',
      'source.product': 'sealtrail-tap',
      'source.vantage': 'client',
      'source.trust': 'asserted',
      'source.completeness': 'full',
      'mcp.direction': direction,
      'mcp.server.name': identity.serverName,
      'mcp.server.url': identity.command.toWellFormed(),
      'mcp.session.id': identity.sessionId,
      'network.transport': 'pipe',
      'host.name': identity.hostName,
      'os.user.name': identity.osUserName,
      ...definedOnly({
        'process.parent.name': identity.parentProcessName,
        'gen_ai.agent.name': identity.agentName,
        'user.name': identity.userName,
        'workflow.id': identity.workflowId,
        'gen_ai.conversation.id': identity.conversationId,
        'mcp.client.name': this.client.name,
        'mcp.client.version': this.client.version,
        'mcp.server.version': name(this.serverVersion),
        'mcp.protocol.version': name(this.protocolVersion),
      }),
    }
  }
}

function classOf({ method, direction }: OpenRequest): SourceEvent['event.class'] {
  const [asker, eventClass] = classOfMethod.get(method) ?? []
  return asker === direction && eventClass !== undefined ? eventClass : 'other'
}

function outcomeOf(
  result: JsonObject | undefined,
  error: JsonObject | undefined,
): Partial<SourceEvent> {
  if (error !== undefined) {
    const code =
      typeof error.code === 'number' || typeof error.code === 'string'
        ? String(error.code)
        : undefined
    return {
      'outcome.status': 'protocol_error',
      ...definedOnly({
        'rpc.response.status_code': name(code),
        'error.type': name(code),
        'error.message': text(error.message),
      }),
    }
  }
  if (result?.isError === true)
    return { 'outcome.status': 'tool_error', 'error.type': 'tool_error' }
  const status: OutcomeStatus =
    result?.resultType === 'input_required' ? 'input_required' : 'success'
  return { 'outcome.status': status }
}

/** The definitions themselves, as far as one record has room: hashes stand in `tool.list`. */
function definitionsOf(tools: readonly JsonObject[]): SourceEvent['attributes'] {
  const kept = fitting(tools.map(({ _meta: _ignored, ...definition }) => definition))
  return asJson({ definitions: kept, definitions_left_out: tools.length - kept.length })
}

/** Those that have room on one record. One that is huge does not displace the ones after it. */
function fitting(entries: readonly JsonObject[]): JsonObject[] {
  let room = maxListBytes
  return entries.filter((entry) => {
    const bytes = utf8(JSON.stringify(entry)).length + 1
    if (bytes > room) return false
    room -= bytes
    return true
  })
}

/** The cast is safe: the two types say the same, one of them read-only. */
function asJson(value: JsonValue): SourceEvent['attributes'] {
  return value as SourceEvent['attributes']
}

/** A value up to 128 KiB; of a longer one only its size, and its beginning as text. */
function captured(
  group: 'arguments' | 'result',
  field: 'gen_ai.tool.call.arguments' | 'gen_ai.tool.call.result',
  value: JsonValue,
): Partial<SourceEvent> {
  return {
    [field]: value,
    [`${group}.size_bytes`]: utf8(JSON.stringify(value)).length,
    [`${group}.capture`]: 'full',
  }
}

/** A result of text parts only is kept as that text: what people read and detectors trace. */
function resultValue(result: JsonValue): JsonValue {
  if (!isObject(result) || !isList(result.content)) return result
  const texts = result.content.map((part) =>
    isObject(part) && part.type === 'text' && typeof part.text === 'string' ? part.text : undefined,
  )
  const onlyText =
    texts.every((part) => part !== undefined) && result.structuredContent === undefined
  return onlyText ? texts.join('\n') : result
}

function rawFields(raw: string): Partial<SourceEvent> {
  return {
    'raw.record': raw.toWellFormed(),
    'raw.encoding': 'utf8',
    'raw.size_bytes': utf8(raw).length,
  }
}

/** W3C trace context out of `_meta.traceparent`. */
function traceOf(meta: JsonObject): Partial<SourceEvent> {
  const match = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/.exec(
    text(meta.traceparent) ?? '',
  )
  const [, traceId, spanId] = match ?? []
  return traceId === undefined || spanId === undefined
    ? {}
    : { trace_id: traceId, parent_span_id: spanId }
}

function openKey(direction: Direction, id: string | number): string {
  return `${direction}/${typeof id}/${id}`
}

function isList(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** Deeper than this, a value is kept as its text: canonical JSON refuses what is nested beyond 64. */
const maxDepth = 48

/**
 * The value as it can stand on the record: lone surrogates become U+FFFD, numbers beyond the range of JSON their name,
 * and what is nested too deep its own text. The same value when there is nothing to change.
 */
function recordable(value: JsonValue): JsonValue {
  return isRecordable(value, 0) ? value : made(value, 0)
}

function isRecordable(value: JsonValue, depth: number): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth >= maxDepth) return false
  if (isList(value)) return value.every((each) => isRecordable(each, depth + 1))
  for (const key in value) {
    if (!key.isWellFormed() || !isRecordable(value[key] ?? null, depth + 1)) return false
  }
  return true
}

function made(value: JsonValue, depth: number): JsonValue {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= maxDepth) return textOfDeep(value)
  if (isList(value)) return value.map((each) => made(each, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key.toWellFormed(), made(each, depth + 1)]),
  )
}

function textOfDeep(value: JsonValue): string {
  try {
    return JSON.stringify(value).toWellFormed()
  } catch {
    // The recursion of JSON.stringify has a limit of its own.
    return '[nested too deep]'
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value.toWellFormed() : undefined
}

function name(value: JsonValue | undefined): string | undefined {
  return cut(value, 256)
}

/** A cut may fall between the halves of a surrogate pair. */
function cut(value: JsonValue | undefined, length: number): string | undefined {
  return text(value)?.slice(0, length).toWellFormed()
}

/** Drops absent fields: an absent key and an undefined one are not the same on the wire. */
function definedOnly<T extends Record<string, unknown>>(
  fields: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}
