import type { RecordedEvent } from '../../schemas/event/event.ts'

/** What a right or a tool can do, from harmless to dangerous. */
export type Capability = 'read' | 'write' | 'send' | 'admin'

const adminWords = new Set(
  'admin administrator owner root sudo manage grant impersonate superuser'.split(' '),
)
const sendWords = new Set(
  'send mail email post publish upload share invite transfer pay forward notify webhook push'.split(
    ' ',
  ),
)
const writeWords = new Set(
  'write create update delete remove edit move set put add insert drop exec execute run modify patch rename install kill'.split(
    ' ',
  ),
)
/** Words that say that what stands beside them is only looked at: `read_email`, `Mail.Read`, `get_all_posts`. */
const readWords = new Set(
  'get list read readonly search find fetch view show query describe count lookup check download'.split(
    ' ',
  ),
)
/** Of the sending words those that are names of things as well. */
const sendNouns = new Set('mail email post share transfer webhook'.split(' '))

/** By the words of a scope or tool name; camelCase, snake_case and punctuation are split. */
export function capabilityOfName(name: string): Capability {
  const words = name
    .slice(0, 512)
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9*]+/)
  const reads = words.some((word) => readWords.has(word))
  if (words.some((word) => adminWords.has(word) || word === '*')) return 'admin'
  // `all` is a right of its own (`repo:all`), not the object of a look (`get_all_users`).
  if (!reads && words.includes('all')) return 'admin'
  if (words.some((word) => sendWords.has(word) && !(reads && sendNouns.has(word)))) return 'send'
  if (words.some((word) => writeWords.has(word))) return 'write'
  return 'read'
}

/**
 * By name, raised by the annotations of the definition in force. Annotations are hints of the server, never proof:
 * they may say that a tool can do more than its name tells, never less.
 */
export function capabilityOfTool(event: RecordedEvent): Capability {
  const byName = capabilityOfName(event['gen_ai.tool.name'] ?? '')
  if (byName !== 'read') return byName
  const annotations = event['tool.annotations']
  if (typeof annotations !== 'object' || annotations === null || Array.isArray(annotations))
    return byName
  const hint = (name: string) => Object.entries(annotations).find(([key]) => key === name)?.[1]
  if (hint('destructiveHint') === true && hint('readOnlyHint') !== true) return 'write'
  return hint('readOnlyHint') === false ? 'write' : 'read'
}

/** Divides the tail probability: a new admin right is worth more of the budget than a new right to read. */
export function capabilityWeight(capability: Capability): number {
  return { read: 1, write: 3, send: 5, admin: 10 }[capability]
}
