import type { CommittedLeaf } from '../../ledger/committed.ts'
import type { CallChange } from '../../schemas/call.ts'
import type { EventClass } from '../../schemas/event/class.ts'

const callClasses: ReadonlySet<EventClass> = new Set(['tool_call', 'resource_read', 'prompt_get'])

/**
 * Joins observations into calls. One observation is one call for now; joins by trace, session and request id,
 * tool-call id, and window with argument hash change calls by a -1/+1 pair of the next version.
 */
export class Assembler {
  observe(leaf: CommittedLeaf): CallChange[] {
    if (!callClasses.has(leaf.event['event.class'])) return []
    return [
      {
        sign: 1,
        call: {
          logId: leaf.logId,
          callId: leaf.event['event.id'],
          version: 1,
          observations: [leaf.index],
          event: leaf.event,
        },
      },
    ]
  }
}
