import type { SourceEvent } from '../../schemas/event/event.ts'

/** Arguments, result and raw record are sent to this many UTF-16 units each. */
const maxValueChars = 131_072
/** Texts that whoever is observed may write as long as he likes, and how long a field holds them. */
const maxChars = {
  'mcp.resource.uri': 4096,
  'mcp.server.url': 4096,
  'error.message': 8192,
  'raw.record': maxValueChars,
} as const

/**
 * Cuts what an event cannot hold. After redaction: a secret that a cut goes through is no longer one that a rule finds,
 * and its beginning would stay.
 */
export function cutToFit(event: SourceEvent): SourceEvent {
  const fitted: SourceEvent = { ...event }
  for (const field of [
    'mcp.resource.uri',
    'mcp.server.url',
    'error.message',
    'raw.record',
  ] as const) {
    const text = fitted[field]
    const max = maxChars[field]
    // A cut may fall between the halves of a surrogate pair.
    if (text !== undefined && text.length > max) fitted[field] = text.slice(0, max).toWellFormed()
  }
  for (const [field, capture] of [
    ['gen_ai.tool.call.arguments', 'arguments.capture'],
    ['gen_ai.tool.call.result', 'result.capture'],
  ] as const) {
    const value = fitted[field]
    if (value === undefined) continue
    const json = JSON.stringify(value)
    if (json.length <= maxValueChars) continue
    // Cut JSON is no JSON: its beginning is kept as a string.
    fitted[field] = json.slice(0, maxValueChars).toWellFormed()
    fitted[capture] = 'truncated'
  }
  return fitted
}
