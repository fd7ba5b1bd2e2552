import type { OutcomeStatus } from '../../schemas/event/class.ts'
import { AttributeReader } from './attribute-reader.ts'
import type { FieldDraft, Mapping } from './mapping.ts'
import { classOfMethod, toolNameAt } from './mcp-method.ts'
import type { OtlpRecord } from './otlp-decode.ts'
import { leftoverAttributes, otlpBaseFields } from './otlp-fields.ts'
import {
  readCount,
  readDurationMs,
  readIdentity,
  readJsonText,
  readScopes,
  readText,
} from './read-value.ts'

/**
 * Spans and log records that follow the OpenTelemetry GenAI and MCP conventions: SDKs, FastMCP, ToolHive,
 * agentgateway, Envoy AI Gateway. Only what reports an MCP method or the execution of a tool becomes an event.
 */
export const otelMcp: Mapping = {
  id: 'otel-mcp@1',
  recognise: ({ otlp }) => otlp !== undefined && methodOf(otlp) !== undefined,
  map({ otlp }) {
    const method = otlp === undefined ? undefined : methodOf(otlp)
    return otlp === undefined || method === undefined ? [] : [mapRecord(otlp, method)]
  },
}

function methodOf(record: OtlpRecord): string | undefined {
  const named =
    readText(record.attributes['mcp.method.name']) ?? readText(record.attributes['mcp.method'])
  if (named !== undefined) return named
  if (record.attributes['gen_ai.operation.name'] === 'execute_tool') return 'tools/call'
  return readText(record.attributes['mcp.tool.name']) === undefined ? undefined : 'tools/call'
}

function mapRecord(record: OtlpRecord, method: string) {
  const notes: string[] = []
  const attribute = new AttributeReader(record.attributes)
  attribute.get('mcp.method.name', 'mcp.method')
  const exposed = readText(attribute.get('gen_ai.tool.name', 'mcp.tool.name'))
  const namedServer = readText(attribute.get('mcp.server.name'))
  // A server span is emitted by the server itself, so its service is the server.
  const ownServer = record.kind === 2 ? readText(record.resource['service.name']) : undefined
  const tool = exposed === undefined ? undefined : toolNameAt(exposed, namedServer)
  const requestId = attribute.get('jsonrpc.request.id', 'mcp.request.id')
  const fields: FieldDraft = {
    ...otlpBaseFields(record),
    'event.class': classOfMethod(method),
    // Traces are sampled more often than not, and a span does not say so.
    'source.completeness': record.signal === 'span' ? 'sampled' : undefined,
    'source.vantage': record.kind === 2 ? 'server' : record.kind === 3 ? 'client' : undefined,
    'mcp.method.name': method,
    'mcp.protocol.version': readText(attribute.get('mcp.protocol.version')),
    'mcp.session.id': readText(attribute.get('mcp.session.id')),
    'jsonrpc.request.id': readText(requestId),
    'jsonrpc.request.id_type': typeof requestId === 'number' ? 'number' : undefined,
    'network.transport': readText(attribute.get('network.transport')),
    'request.id': readText(attribute.get('request.id', 'request_id', 'x-request-id')),
    'gen_ai.conversation.id': readText(attribute.get('gen_ai.conversation.id')),
    'gen_ai.tool.call.id': readText(attribute.get('gen_ai.tool.call.id')),
    // FastMCP and the conventions put the OAuth client here, not the person.
    'mcp.client.id': readText(attribute.get('mcp.client.id', 'mcp.auth.client.id', 'enduser.id')),
    'mcp.client.name': readText(attribute.get('mcp.client.name')),
    'mcp.client.version': readText(attribute.get('mcp.client.version')),
    'mcp.client.user_agent': readText(attribute.get('user_agent.original')),
    'client.address': readText(attribute.get('client.address')),
    'user.id': readIdentity('user.id', attribute.get('user.id', 'jwt.sub'), notes),
    'user.name': readIdentity('user.name', attribute.get('user.name'), notes),
    'user.email': readIdentity('user.email', attribute.get('user.email'), notes),
    'gen_ai.agent.id': readText(attribute.get('gen_ai.agent.id')),
    'gen_ai.agent.name': readText(attribute.get('gen_ai.agent.name')),
    'auth.scopes.granted': readScopes(attribute.get('enduser.scope')),
    'mcp.server.name': namedServer ?? ownServer,
    'mcp.server.version': readText(attribute.get('mcp.server.version')),
    'gen_ai.tool.name': tool,
    'tool.exposed_name': tool === exposed ? undefined : exposed,
    'mcp.resource.uri': readText(attribute.get('mcp.resource.uri')),
    'gen_ai.prompt.name': readText(attribute.get('gen_ai.prompt.name', 'mcp.prompt.name')),
    'gen_ai.tool.call.arguments': readJsonText(
      attribute.get('gen_ai.tool.call.arguments', 'mcp.tool.arguments'),
    ),
    'gen_ai.tool.call.result': readJsonText(attribute.get('gen_ai.tool.call.result')),
    'gen_ai.request.model': readText(attribute.get('gen_ai.request.model')),
    'gen_ai.usage.input_tokens': readCount(attribute.get('gen_ai.usage.input_tokens')),
    'gen_ai.usage.output_tokens': readCount(attribute.get('gen_ai.usage.output_tokens')),
    ...outcomeOf(record, attribute),
    duration_ms: durationOf(record, attribute),
    ...(namedServer === undefined && ownServer !== undefined
      ? { provenance: { 'mcp.server.name': 'derived' } }
      : {}),
  }
  attribute.get('event.name')
  fields.attributes = leftoverAttributes(record, attribute.read)
  return { fields, notes }
}

function durationOf(record: OtlpRecord, attribute: AttributeReader): number | undefined {
  const given = readDurationMs(attribute.get('duration_ms', 'duration'))
  const { timeUnixNano: start, endTimeUnixNano: end } = record
  if (record.signal !== 'span' || start === undefined || end === undefined) return given
  const nanos = BigInt(end) - BigInt(start)
  return nanos < 0n ? given : Number(nanos) / 1e6
}

/** Three layers, from the outside in: HTTP refused, JSON-RPC failed, the tool itself said `isError`. */
function outcomeOf(record: OtlpRecord, attribute: AttributeReader): FieldDraft {
  const httpStatus = readCount(attribute.get('http.response.status_code', 'http.status_code'))
  const rpcCode = readText(
    attribute.get('rpc.response.status_code', 'rpc.jsonrpc.error_code', 'mcp.error.code'),
  )
  const errorType = readText(attribute.get('error.type'))
  const message = readText(
    attribute.get(
      'error.message',
      'exception.message',
      'rpc.jsonrpc.error_message',
      'mcp.error.message',
    ),
  )
  return {
    'outcome.status': statusOf(record, httpStatus, rpcCode, errorType),
    'outcome.http_status': httpStatus,
    'rpc.response.status_code': rpcCode,
    'error.type': errorType,
    'error.message': message ?? (record.statusIsError ? record.statusMessage : undefined),
  }
}

function statusOf(
  record: OtlpRecord,
  httpStatus: number | undefined,
  rpcCode: string | undefined,
  errorType: string | undefined,
): OutcomeStatus {
  if (httpStatus === 401 || httpStatus === 403 || errorType === '401' || errorType === '403') {
    return 'denied'
  }
  if (errorType === 'tool_error') return 'tool_error'
  if (errorType !== undefined && /timeout/i.test(errorType)) return 'timeout'
  if (errorType !== undefined && /cancel/i.test(errorType)) return 'cancelled'
  if (rpcCode !== undefined && rpcCode !== '0') return 'protocol_error'
  if (errorType !== undefined) return /^-?\d+$/.test(errorType) ? 'protocol_error' : 'tool_error'
  if (record.statusIsError) return 'tool_error'
  if (httpStatus !== undefined && httpStatus >= 400) return 'protocol_error'
  return record.signal === 'span' ? 'success' : 'unknown'
}
