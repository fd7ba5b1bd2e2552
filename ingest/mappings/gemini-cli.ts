import { agentOutcome, agentTool, readDecision, readSuccess } from './agent-fields.ts'
import { AttributeReader } from './attribute-reader.ts'
import type { FieldDraft, MappedEvent, Mapping } from './mapping.ts'
import type { OtlpRecord } from './otlp-decode.ts'
import { leftoverAttributes, otlpBaseFields } from './otlp-fields.ts'
import { readCount, readDurationMs, readIdentity, readJsonText, readText } from './read-value.ts'

/** OTLP log records of Gemini CLI. There is no call id, and `service.version` is the version of Node. */
export const geminiCli: Mapping = {
  id: 'gemini-cli@1',
  recognise: ({ otlp }) => otlp?.signal === 'log' && otlp.name?.startsWith('gemini_cli.') === true,
  map({ otlp }) {
    if (otlp === undefined || otlp.name !== 'gemini_cli.tool_call') return []
    return [mapToolCall(otlp)]
  },
}

function mapToolCall(record: OtlpRecord): MappedEvent {
  const notes: string[] = []
  const attribute = new AttributeReader(record.attributes)
  const decision = readDecision(readText(attribute.get('decision')))
  const call = readJsonText(attribute.get('function_args'))
  const fields: FieldDraft = {
    ...otlpBaseFields(record),
    'event.class': 'tool_call',
    'source.vantage': 'client',
    'mcp.client.name': 'gemini-cli',
    'gen_ai.conversation.id':
      readText(attribute.get('session.id')) ?? readText(record.resource['session.id']),
    'prompt.id': readText(attribute.get('prompt_id')),
    'user.email': readIdentity('user.email', attribute.get('user.email'), notes),
    'host.name': readText(record.resource['host.name']),
    'os.user.name': readIdentity('os.user.name', record.resource['process.owner'], notes),
    ...agentTool(
      readText(attribute.get('function_name')),
      readText(attribute.get('mcp_server_name')),
      undefined,
    ),
    'gen_ai.tool.call.arguments': call,
    'arguments.capture': call === undefined ? 'absent' : undefined,
    'result.size_bytes': readCount(attribute.get('content_length')),
    'result.capture': 'absent',
    'outcome.decision': decision,
    'outcome.status': agentOutcome(readSuccess(attribute), decision),
    duration_ms: readDurationMs(attribute.get('duration_ms')),
    'error.message': readText(attribute.get('error.message', 'error')),
    'error.type': readText(attribute.get('error.type', 'error_type')),
  }
  attribute.get('event.name', 'event.timestamp')
  fields.attributes = leftoverAttributes(record, attribute.read)
  return { fields, notes }
}
