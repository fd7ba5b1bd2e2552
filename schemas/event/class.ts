import { z } from 'zod'

/**
 * What kind of thing an event records. MCP and OAuth things first, then what Sealtrail itself puts on the record.
 * `other` is a record of which no class is claimed (unmapped, rejected, or an MCP method that is kept raw).
 */
export const EventClass = z.enum([
  'tool_call',
  'tool_list',
  'resource_read',
  'prompt_get',
  'sampling',
  'elicitation',
  'session',
  'auth_challenge',
  'scope_elevation',
  'token_issue',
  'policy_decision',
  'consent',
  'catalog_change',
  'client_decision',
  'other',
  'finding',
  'incident',
  'admin',
  'access',
  'source',
  'tick',
])
export type EventClass = z.infer<typeof EventClass>

/** Classes that only Sealtrail itself may write; a source that sends one is refused. */
export const internalClasses: ReadonlySet<string> = new Set<EventClass>([
  'finding',
  'incident',
  'admin',
  'access',
  'tick',
])

/** How a call ended. `denied` is a refusal by policy or scope and no error of the tool. */
export const OutcomeStatus = z.enum([
  'success',
  'tool_error',
  'protocol_error',
  'denied',
  'input_required',
  'cancelled',
  'timeout',
  'unknown',
])
export type OutcomeStatus = z.infer<typeof OutcomeStatus>

/** What became of a record on its way in. Every record is kept, whichever it is. */
export const Disposition = z.enum(['mapped', 'unmapped', 'rejected'])
export type Disposition = z.infer<typeof Disposition>
