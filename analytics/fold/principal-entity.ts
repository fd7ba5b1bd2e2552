import type { RecordedEvent } from '../../schemas/event/event.ts'
import type { Entity } from '../../schemas/finding.ts'

/**
 * Whose habit a call belongs to: the recurring job where the source names one, else the agent, else the client of a
 * user, else whichever of the two is known, else the source. A job has steadier habits than an agent, an agent than a
 * person.
 */
export function principalEntity(event: RecordedEvent): Entity {
  const workflow = event['workflow.id']
  if (workflow !== undefined) return entity('workflow', workflow)
  const agent = event['gen_ai.agent.name'] ?? event['gen_ai.agent.id']
  if (agent !== undefined) return entity('agent', agent)
  const user = event['user.name'] ?? event['user.email'] ?? event['user.id']
  const client = event['mcp.client.name'] ?? event['mcp.client.id']
  if (user !== undefined && client !== undefined) return entity('user', `${user} via ${client}`)
  if (user !== undefined) return entity('user', user)
  if (client !== undefined) return entity('client', client)
  return entity('source', event['source.id'] ?? 'unknown')
}

function entity(kind: Entity['kind'], value: string): Entity {
  return { kind, value: value.slice(0, 512) }
}
