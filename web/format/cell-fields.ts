import type { EventField } from '../../schemas/event/fields.ts'

/**
 * Fields that each column of the results shows, best first: the first that an event has is the cell. Verification
 * asks for every one of them, so that a cell can be neither altered nor left out unseen.
 */
export const cellFields = {
  time: ['time.occurred'],
  class: ['event.class'],
  user: ['user.name', 'user.email', 'user.id', 'admin.actor'],
  agent: ['gen_ai.agent.name', 'mcp.client.name', 'gen_ai.agent.id'],
  server: ['mcp.server.name'],
  tool: [
    'gen_ai.tool.name',
    'mcp.method.name',
    'admin.action',
    'finding.detector',
    'record.reason',
  ],
  outcome: ['outcome.status', 'source.signal', 'finding.severity', 'record.disposition'],
  latency: ['duration_ms'],
  scopes: ['auth.scopes.required', 'auth.scopes.granted', 'auth.scopes.requested'],
  arguments: [
    'gen_ai.tool.call.arguments',
    'mcp.resource.uri',
    'finding.sentence',
    'admin.target',
    'error.message',
  ],
} as const satisfies Readonly<Record<string, readonly EventField[]>>
