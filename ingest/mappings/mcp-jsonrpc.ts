import { hex, utf8 } from '../../schemas/bytes.ts'
import type { OutcomeStatus } from '../../schemas/event/class.ts'
import { normaliseTimestamp } from '../../schemas/event/timestamp.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'
import {
  type FieldDraft,
  isJsonObject,
  type JsonObject,
  type MappedEvent,
  type Mapping,
} from './mapping.ts'
import { classOfMethod, directionOfMethod } from './mcp-method.ts'
import { parseJson, readText } from './read-value.ts'

type Direction = 'client_to_server' | 'server_to_client'

/** A JSON-RPC message and what the record around it says. */
interface Carried {
  readonly message: JsonObject
  /** Who sent the message (not: the request that it answers). */
  readonly sentBy: Direction | undefined
  readonly occurred: string | undefined
}

const maxBatch = 256

/**
 * Raw MCP messages, one or one batch (2025-03-26) a record: plain, as `{ts, direction, line}` of a wire capture, or
 * as `{example, message}`. Requests and answers are not paired here, which needs state: a lone request is a call of
 * unknown outcome, a lone answer says how some call ended and not which.
 */
export function createMcpJsonRpc(digest: Digest): Mapping {
  return {
    id: 'mcp-jsonrpc@1',
    recognise: ({ value, otlp }) => otlp === undefined && unwrap(value).length > 0,
    map: ({ value }) => unwrap(value).map((carried) => mapMessage(carried, digest)),
  }
}

function unwrap(value: JsonValue): readonly Carried[] {
  if (Array.isArray(value)) {
    const messages = value.slice(0, maxBatch).filter(isJsonObject).filter(isMessage)
    return messages.length > 0 && messages.length === value.length
      ? messages.map((message) => ({ message, sentBy: undefined, occurred: undefined }))
      : []
  }
  if (!isJsonObject(value)) return []
  if (isMessage(value)) return [{ message: value, sentBy: undefined, occurred: undefined }]
  const inner = typeof value.line === 'string' ? parseJson(value.line) : value.message
  if (!isJsonObject(inner) || !(isMessage(inner) || isFragment(inner, value))) return []
  const occurred = typeof value.ts === 'string' ? normaliseTimestamp(value.ts) : undefined
  return [{ message: inner, sentBy: readDirection(value.direction), occurred }]
}

function isMessage(value: JsonObject): boolean {
  return (
    value.jsonrpc === '2.0' &&
    (typeof value.method === 'string' || 'result' in value || 'error' in value)
  )
}

/** The specification's examples carry requests, results and errors without their envelope. */
function isFragment(inner: JsonObject, wrapper: JsonObject): boolean {
  return (
    typeof wrapper.example === 'string' &&
    (typeof inner.method === 'string' ||
      typeof inner.resultType === 'string' ||
      isErrorObject(inner))
  )
}

/** JSON-RPC 2.0 section 5.1. */
function isErrorObject(value: JsonObject): boolean {
  return Number.isInteger(value.code) && typeof value.message === 'string'
}

function readDirection(value: JsonValue | undefined): Direction | undefined {
  return value === 'client_to_server' || value === 'server_to_client' ? value : undefined
}

function mapMessage({ message, sentBy, occurred }: Carried, digest: Digest): MappedEvent {
  const { id } = message
  const envelope: FieldDraft = {
    'time.occurred': occurred,
    'source.format': 'mcp_jsonrpc',
    'jsonrpc.request.id': typeof id === 'string' || typeof id === 'number' ? String(id) : undefined,
    'jsonrpc.request.id_type': typeof id === 'number' ? 'number' : id ? 'string' : undefined,
  }
  const specific =
    typeof message.method === 'string'
      ? requestFields(message.method, message.params, sentBy)
      : answerFields(message, sentBy, digest)
  return { fields: { ...envelope, ...specific }, notes: [] }
}

function requestFields(
  method: string,
  value: JsonValue | undefined,
  sentBy: Direction | undefined,
): FieldDraft {
  const params = isJsonObject(value) ? value : {}
  const meta = isJsonObject(params._meta) ? params._meta : {}
  const eventClass = classOfMethod(method)
  const isRequest = eventClass !== 'catalog_change' && !method.startsWith('notifications/')
  return {
    'event.class': eventClass,
    'mcp.method.name': method,
    'mcp.direction': sentBy ?? directionOfMethod(method),
    // The answer is another record.
    'outcome.status': isRequest ? 'unknown' : undefined,
    'mcp.protocol.version':
      readText(params.protocolVersion) ?? readText(meta['io.modelcontextprotocol/protocolVersion']),
    ...clientFields(params.clientInfo ?? meta['io.modelcontextprotocol/clientInfo']),
    ...traceFields(meta.traceparent),
    ...subjectFields(method, params),
  }
}

function subjectFields(method: string, params: JsonObject): FieldDraft {
  switch (method) {
    case 'tools/call':
      return {
        'gen_ai.tool.name': readText(params.name),
        'gen_ai.tool.call.arguments': params.arguments,
      }
    case 'resources/read':
      return { 'mcp.resource.uri': readText(params.uri) }
    case 'prompts/get':
      return {
        'gen_ai.prompt.name': readText(params.name),
        'gen_ai.tool.call.arguments': params.arguments,
      }
    case 'sampling/createMessage':
    case 'elicitation/create': {
      const { _meta, ...content } = params
      return { 'gen_ai.tool.call.arguments': content }
    }
    case 'notifications/cancelled':
      return {
        'jsonrpc.request.id': readText(params.requestId),
        'outcome.status': 'cancelled',
        'outcome.reason': readText(params.reason),
      }
    case 'tasks/get':
    case 'tasks/result':
    case 'tasks/cancel':
      return { 'task.id': readText(params.taskId) }
    default:
      return {}
  }
}

function answerFields(
  message: JsonObject,
  sentBy: Direction | undefined,
  digest: Digest,
): FieldDraft {
  const asked: FieldDraft = {
    'event.class': 'other',
    // The direction is that of the request, so that (session, direction, id) names one exchange.
    'mcp.direction':
      sentBy === undefined
        ? undefined
        : sentBy === 'client_to_server'
          ? 'server_to_client'
          : 'client_to_server',
  }
  if (isJsonObject(message.error)) return { ...asked, ...errorFields(message.error) }
  if (isErrorObject(message)) return { ...asked, ...errorFields(message) }
  const result = 'result' in message ? message.result : message
  return isJsonObject(result) ? { ...asked, ...resultFields(result, digest) } : asked
}

/** Codes of JSON-RPC 2.0 and of MCP; -32042 asks for a visit to a URL first (2025-11-25). */
function errorFields(error: JsonObject): FieldDraft {
  const code = readText(error.code)
  return {
    'outcome.status': code === '-32042' ? 'input_required' : 'protocol_error',
    'rpc.response.status_code': code,
    'error.type': code,
    'error.message': readText(error.message),
  }
}

function resultFields(result: JsonObject, digest: Digest): FieldDraft {
  const meta = isJsonObject(result._meta) ? result._meta : {}
  const outcome: FieldDraft = { 'outcome.status': statusOfResult(result) }
  if (outcome['outcome.status'] === 'tool_error') outcome['error.type'] = 'tool_error'
  const server = serverFields(result.serverInfo ?? meta['io.modelcontextprotocol/serverInfo'])
  if (Array.isArray(result.tools)) {
    return {
      ...outcome,
      ...server,
      'event.class': 'tool_list',
      'mcp.method.name': 'tools/list',
      'tool.list_count': result.tools.length,
      'tool.list': result.tools.flatMap((tool) => listedTool(tool, digest)),
    }
  }
  if (isJsonObject(result.serverInfo) || Array.isArray(result.supportedVersions)) {
    return {
      ...outcome,
      ...server,
      'event.class': 'session',
      'mcp.protocol.version': readText(result.protocolVersion),
    }
  }
  const content = Array.isArray(result.content) || Array.isArray(result.contents)
  return {
    ...outcome,
    ...server,
    'gen_ai.tool.call.result': content || 'inputRequests' in result ? result : undefined,
  }
}

function statusOfResult(result: JsonObject): OutcomeStatus {
  if (result.isError === true) return 'tool_error'
  return result.resultType === 'input_required' ? 'input_required' : 'success'
}

/** Name and SHA-256 over the RFC 8785 form of the definition without `_meta`. */
function listedTool(tool: JsonValue, digest: Digest): JsonObject[] {
  if (!isJsonObject(tool) || typeof tool.name !== 'string') return []
  const { _meta, ...definition } = tool
  return [{ name: tool.name, definition_hash: hex(digest(utf8(canonicalJson(definition)))) }]
}

function clientFields(info: JsonValue | undefined): FieldDraft {
  return isJsonObject(info)
    ? { 'mcp.client.name': readText(info.name), 'mcp.client.version': readText(info.version) }
    : {}
}

function serverFields(info: JsonValue | undefined): FieldDraft {
  return isJsonObject(info)
    ? { 'mcp.server.name': readText(info.name), 'mcp.server.version': readText(info.version) }
    : {}
}

/** W3C traceparent, which MCP reserves in `_meta`. */
function traceFields(traceparent: JsonValue | undefined): FieldDraft {
  if (typeof traceparent !== 'string') return {}
  const [, traceId, spanId] =
    /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/.exec(traceparent) ?? []
  return { trace_id: traceId, parent_span_id: spanId }
}
