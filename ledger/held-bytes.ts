import type { RecordedEvent } from '../schemas/event/event.ts'

const keptTextBytes = 131_072

/**
 * What an event costs while it waits in memory, roughly, in bytes: its object and fields, and what was opened from its
 * payload. Queues are bounded by this: a bound on their number would be a thousand times as much when senders like.
 */
export function heldBytes(event: RecordedEvent): number {
  const texts =
    Math.min(event['arguments.size_bytes'] ?? 0, keptTextBytes) +
    Math.min(event['result.size_bytes'] ?? 0, keptTextBytes) +
    Math.min(event['raw.size_bytes'] ?? 0, keptTextBytes)
  return 4096 + 2 * texts
}
