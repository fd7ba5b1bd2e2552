import { agentOutcome, agentTool, readDecision, readSuccess, transportOf } from './agent-fields.ts'
import { AttributeReader } from './attribute-reader.ts'
import { type FieldDraft, isJsonObject, type MappedEvent, type Mapping } from './mapping.ts'
import type { OtlpRecord } from './otlp-decode.ts'
import { leftoverAttributes, otlpBaseFields } from './otlp-fields.ts'
import {
  readBoolean,
  readCount,
  readDurationMs,
  readIdentity,
  readJsonText,
  readText,
} from './read-value.ts'

/** OTLP log records of Claude Code (scope `com.anthropic.claude_code.events`). */
export const claudeCode: Mapping = {
  id: 'claude-code@1',
  recognise: ({ otlp }) =>
    otlp?.signal === 'log' &&
    (otlp.scopeName === 'com.anthropic.claude_code.events' ||
      (typeof otlp.body === 'string' && otlp.body.startsWith('claude_code.'))),
  map({ otlp }) {
    if (otlp === undefined) return []
    const event = mapRecord(otlp)
    return event === undefined ? [] : [event]
  },
}

function mapRecord(record: OtlpRecord): MappedEvent | undefined {
  const notes: string[] = []
  const attribute = new AttributeReader(record.attributes)
  // The body says `claude_code.tool_result`, the attribute only `tool_result`.
  const name = (record.name ?? readText(record.body) ?? '').replace(/^claude_code\./, '')
  const specific = readSpecific(name, attribute, notes)
  if (specific === undefined) return undefined
  const fields: FieldDraft = {
    ...otlpBaseFields(record),
    'source.vantage': 'client',
    'mcp.client.name': 'claude-code',
    'mcp.client.version': readText(record.resource['service.version']),
    'gen_ai.conversation.id': readText(attribute.get('session.id')),
    'prompt.id': readText(attribute.get('prompt.id')),
    // `user.id` is an identifier of the installation; the account is the person.
    'user.id': readIdentity('user.id', attribute.get('user.account_uuid'), notes),
    'user.email': readIdentity('user.email', attribute.get('user.email'), notes),
    'host.name': readText(record.resource['host.name']),
    ...specific,
  }
  attribute.get('event.name', 'event.timestamp')
  fields.attributes = leftoverAttributes(record, attribute.read)
  return { fields, notes }
}

function readSpecific(
  name: string,
  attribute: AttributeReader,
  notes: string[],
): FieldDraft | undefined {
  switch (name) {
    case 'tool_result':
      return toolResult(attribute, notes)
    case 'tool_decision':
      return {
        'event.class': 'client_decision',
        ...tool(attribute, notes),
        'outcome.decision': readDecision(readText(attribute.get('decision'))),
        'outcome.decision_by': readText(attribute.get('source')),
      }
    case 'permission_mode_changed':
      return {
        'event.class': 'client_decision',
        'outcome.decision_by': readText(attribute.get('trigger')),
      }
    case 'mcp_server_connection':
      return serverConnection(attribute)
    case 'auth':
      return {
        'event.class': 'session',
        'user.auth_method': readText(attribute.get('auth_method')),
        'outcome.status': agentOutcome(readSuccess(attribute), undefined),
        ...errorFields(attribute),
      }
    default:
      return undefined
  }
}

function toolResult(attribute: AttributeReader, notes: string[]): FieldDraft {
  const made = readDecision(readText(attribute.get('decision_type')))
  const call = readJsonText(attribute.get('tool_input'))
  return {
    'event.class': 'tool_call',
    ...tool(attribute, notes),
    'outcome.decision': made,
    'outcome.decision_by': readText(attribute.get('decision_source')),
    'outcome.status': agentOutcome(readSuccess(attribute), made),
    duration_ms: readDurationMs(attribute.get('duration_ms')),
    'gen_ai.tool.call.arguments': call,
    'arguments.size_bytes': readCount(attribute.get('tool_input_size_bytes')),
    'arguments.capture': call === undefined ? 'absent' : undefined,
    'result.size_bytes': readCount(attribute.get('tool_result_size_bytes')),
    'result.capture': 'absent',
    ...errorFields(attribute),
  }
}

/** With OTEL_LOG_TOOL_DETAILS the parameters name server and tool; without it a call may be just `mcp_tool`. */
function tool(attribute: AttributeReader, notes: string[]): FieldDraft {
  const exposed = readText(attribute.get('tool_name'))
  const parameters = readJsonText(attribute.get('tool_parameters'))
  const details = isJsonObject(parameters) ? parameters : {}
  const server = readText(attribute.get('mcp_server_name')) ?? readText(details.mcp_server_name)
  const own = readText(attribute.get('mcp_tool_name')) ?? readText(details.mcp_tool_name)
  const callId = readText(attribute.get('tool_use_id'))
  if (exposed === 'mcp_tool' && own === undefined) {
    notes.push('gen_ai.tool.name:hidden_by_source')
    return {
      'tool.exposed_name': exposed,
      'mcp.server.name': server,
      'mcp.method.name': 'tools/call',
      'gen_ai.tool.call.id': callId,
    }
  }
  if (exposed?.startsWith('mcp__') && server === undefined) {
    notes.push('gen_ai.tool.name:exposed_name')
    return {
      'gen_ai.tool.name': exposed,
      'tool.exposed_name': exposed,
      'mcp.method.name': 'tools/call',
      'gen_ai.tool.call.id': callId,
    }
  }
  return { ...agentTool(exposed, server, own), 'gen_ai.tool.call.id': callId }
}

/** `mcp_server_scope` (user, project, local) is where the server is configured, no OAuth scope: it stays an attribute. */
function serverConnection(attribute: AttributeReader): FieldDraft {
  const status = readText(attribute.get('status'))
  const failed = status !== undefined && /fail|error/i.test(status)
  return {
    'event.class': 'session',
    'mcp.server.name': readText(attribute.get('server_name', 'mcp_server_name')),
    'network.transport': transportOf(readText(attribute.get('transport_type'))),
    'outcome.status': failed ? 'protocol_error' : status === undefined ? 'unknown' : 'success',
    duration_ms: readDurationMs(attribute.get('duration_ms')),
    ...errorFields(attribute),
  }
}

function errorFields(attribute: AttributeReader): FieldDraft {
  const error = attribute.get('error')
  return {
    'error.message': readBoolean(error) === undefined ? readText(error) : undefined,
    'error.type': readText(attribute.get('error_type', 'error.type', 'error_code')),
  }
}
