import type { EventClass } from '../../schemas/event/class.ts'

const classes: Readonly<Record<string, EventClass>> = {
  'tools/call': 'tool_call',
  'tools/list': 'tool_list',
  'resources/read': 'resource_read',
  'prompts/get': 'prompt_get',
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  initialize: 'session',
  'notifications/initialized': 'session',
  'server/discover': 'session',
  'notifications/tools/list_changed': 'catalog_change',
  'notifications/resources/list_changed': 'catalog_change',
  'notifications/prompts/list_changed': 'catalog_change',
}

/** Class of what an MCP method does, in any revision from 2024-11-05 to 2026-07-28. */
export function classOfMethod(method: string): EventClass {
  return Object.hasOwn(classes, method) ? (classes[method] ?? 'other') : 'other'
}

const fromServer = new Set([
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'notifications/tools/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/prompts/list_changed',
  'notifications/message',
  'notifications/elicitation/complete',
  'notifications/subscriptions/acknowledged',
])
/** Either side may send these. */
const fromEither = new Set([
  'ping',
  'notifications/cancelled',
  'notifications/progress',
  'tasks/get',
  'tasks/result',
  'tasks/list',
  'tasks/cancel',
  'notifications/tasks/status',
])

/** Who sends a request of this method; undefined where both may. */
export function directionOfMethod(
  method: string,
): 'client_to_server' | 'server_to_client' | undefined {
  if (fromEither.has(method)) return undefined
  return fromServer.has(method) ? 'server_to_client' : 'client_to_server'
}

/**
 * Name of a tool as its server knows it. Split only where the source also names the server: tool names contain `_`,
 * so a prefix alone proves nothing.
 */
export function toolNameAt(exposed: string, server: string | undefined): string {
  if (server === undefined) return exposed
  for (const prefix of [
    `mcp__${server}__`,
    `mcp_${server}_`,
    `${server}__`,
    `${server}/`,
    `${server}.`,
    `${server}_`,
    `${server}-`,
  ]) {
    if (exposed.startsWith(prefix) && exposed.length > prefix.length) {
      return exposed.slice(prefix.length)
    }
  }
  return exposed
}
