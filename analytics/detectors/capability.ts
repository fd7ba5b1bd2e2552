import type { RecordedEvent } from '../../schemas/event/event.ts'

/** What a right or a tool can do, from harmless to dangerous. */
export type Capability = 'read' | 'write' | 'send' | 'admin'

const adminWords =
  /(?:^|[^a-z])(?:admin|owner|root|sudo|manage|grant|impersonate|superuser|all)(?:[^a-z]|$)|\*/i
const sendWords =
  /(?:^|[^a-z])(?:send|mail|email|post|publish|upload|share|invite|transfer|pay|forward|notify|webhook|push)(?:[^a-z]|$)/i
const writeWords =
  /(?:^|[^a-z])(?:write|create|update|delete|remove|edit|move|set|put|add|insert|drop|exec|execute|run|modify|patch|rename|install|kill)(?:[^a-z]|$)/i

/** By the words of a scope or tool name; camelCase and snake_case are split. */
export function capabilityOfName(name: string): Capability {
  const words = name.replace(/([a-z])([A-Z])/g, '$1 $2')
  if (adminWords.test(words)) return 'admin'
  if (sendWords.test(words)) return 'send'
  if (writeWords.test(words)) return 'write'
  return 'read'
}

/** By the annotations of the definition in force, else by name. Annotations are hints of the server, never proof. */
export function capabilityOfTool(event: RecordedEvent): Capability {
  const byName = capabilityOfName(event['gen_ai.tool.name'] ?? '')
  if (byName !== 'read') return byName
  const annotations = event['tool.annotations']
  if (typeof annotations !== 'object' || annotations === null || Array.isArray(annotations))
    return byName
  if ('destructiveHint' in annotations && annotations['destructiveHint'] === true) return 'write'
  return byName
}

/** Divides the tail probability: a new admin right is worth more of the budget than a new right to read. */
export function capabilityWeight(capability: Capability): number {
  return { read: 1, write: 3, send: 5, admin: 10 }[capability]
}
