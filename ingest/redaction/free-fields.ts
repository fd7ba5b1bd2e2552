/**
 * Fields that hold what a source says freely: content, not the identity of who acted. Named here, because collectors
 * run without the schema of the event; a test keeps the list in step with it.
 */
export const freeFields: ReadonlySet<string> = new Set([
  'attributes',
  'error.message',
  'gen_ai.tool.call.arguments',
  'gen_ai.tool.call.result',
  'mcp.resource.uri',
  'outcome.reason',
  'raw.record',
  'tool.list',
])
