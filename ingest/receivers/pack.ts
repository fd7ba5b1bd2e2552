import type { ObservedEvent } from '../../schemas/event/event.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { maxBatchBytes, maxBatchEvents, type PackedBatch } from '../bus/event-bus.ts'
import { jsonBytes } from './json-bytes.ts'
import type { ReceivedRequest } from './receive.ts'

export interface PackTarget {
  readonly logId: string
  readonly sourceId: string
  readonly chainKeyId?: string
  readonly requestDigest: string
}

/** Cuts the events of a request into batches of at most 256 events and 512 KiB of JSON; a larger event travels alone. */
export function packEvents(request: ReceivedRequest, target: PackTarget): PackedBatch[] {
  const batches: PackedBatch[] = []
  let from = 0
  let bytes = 0
  for (const [i, event] of request.events.entries()) {
    const size = jsonBytes(asJson(event)) + 1
    if (i > from && (i - from >= maxBatchEvents || bytes + size > maxBatchBytes)) {
      batches.push(batchOf(request, target, from, i))
      from = i
      bytes = 0
    }
    bytes += size
  }
  if (from < request.events.length) {
    batches.push(batchOf(request, target, from, request.events.length))
  }
  return batches
}

function batchOf(
  request: ReceivedRequest,
  target: PackTarget,
  from: number,
  until: number,
): PackedBatch {
  return {
    version: 1,
    ...target,
    firstOrdinal: from,
    requestCount: request.events.length,
    events: request.events.slice(from, until),
    ...(request.sentDigests === undefined
      ? {}
      : { sentDigests: request.sentDigests.slice(from, until) }),
  }
}

/** The cast is safe: every field of an event is JSON or absent. */
function asJson(event: ObservedEvent): JsonValue {
  return event as unknown as JsonValue
}
