import { agentOutcome, agentTool, readDecision, readSuccess } from './agent-fields.ts'
import { AttributeReader } from './attribute-reader.ts'
import type { FieldDraft, MappedEvent, Mapping } from './mapping.ts'
import type { OtlpRecord } from './otlp-decode.ts'
import { leftoverAttributes, otlpBaseFields } from './otlp-fields.ts'
import { readCount, readDurationMs, readIdentity, readJsonText, readText } from './read-value.ts'

/** OTLP log records of Codex. Numbers come as text and attributes may have no value. */
export const codex: Mapping = {
  id: 'codex@1',
  recognise: ({ otlp }) =>
    otlp?.signal === 'log' &&
    (otlp.name?.startsWith('codex.') === true || otlp.scopeName?.startsWith('codex_otel') === true),
  map({ otlp }) {
    if (otlp === undefined) return []
    const event = mapRecord(otlp)
    return event === undefined ? [] : [event]
  },
}

function mapRecord(record: OtlpRecord): MappedEvent | undefined {
  const notes: string[] = []
  const attribute = new AttributeReader(record.attributes)
  const specific = readSpecific(record.name ?? '', attribute)
  if (specific === undefined) return undefined
  const eventTime = readText(attribute.get('event.timestamp'))
  const base = otlpBaseFields(record)
  const fields: FieldDraft = {
    ...base,
    'time.occurred': base['time.occurred'] ?? eventTime,
    'source.vantage': 'client',
    'mcp.client.name': 'codex',
    'mcp.client.version':
      readText(attribute.get('app.version')) ?? readText(record.resource['service.version']),
    'gen_ai.conversation.id': readText(attribute.get('conversation.id')),
    'gen_ai.tool.call.id': readText(attribute.get('call_id')),
    'user.id': readIdentity('user.id', attribute.get('user.account_id'), notes),
    'user.email': readIdentity('user.email', attribute.get('user.email'), notes),
    'user.auth_method': readText(attribute.get('auth_mode')),
    'gen_ai.request.model': readText(attribute.get('model', 'slug')),
    'host.name': readText(attribute.get('host.name')) ?? readText(record.resource['host.name']),
    ...agentTool(
      readText(attribute.get('tool_name')),
      readText(attribute.get('mcp_server')),
      undefined,
    ),
    'mcp.server.url': readText(attribute.get('mcp_server_origin')),
    ...specific,
  }
  attribute.get('event.name')
  fields.attributes = leftoverAttributes(record, attribute.read)
  return { fields, notes }
}

function readSpecific(name: string, attribute: AttributeReader): FieldDraft | undefined {
  if (name === 'codex.tool_decision') {
    return {
      'event.class': 'client_decision',
      'outcome.decision': readDecision(readText(attribute.get('decision'))),
      'outcome.decision_by': readText(attribute.get('source')),
    }
  }
  if (name === 'codex.sandbox_outcome') {
    return {
      'event.class': 'policy_decision',
      'outcome.reason': readText(attribute.get('outcome', 'sandbox_outcome')),
      duration_ms: readDurationMs(attribute.get('duration_ms')),
    }
  }
  if (name !== 'codex.tool_result') return undefined
  const call = readJsonText(attribute.get('arguments'))
  const output = readJsonText(attribute.get('output'))
  return {
    'event.class': 'tool_call',
    'gen_ai.tool.call.arguments': call,
    'gen_ai.tool.call.result': output,
    'result.size_bytes': readCount(attribute.get('output_length')),
    'outcome.status': agentOutcome(readSuccess(attribute), undefined),
    duration_ms: readDurationMs(attribute.get('duration_ms')),
    'error.message': readText(attribute.get('error', 'error.message')),
  }
}
