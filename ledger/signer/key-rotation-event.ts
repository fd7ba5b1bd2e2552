import type { ObservedEvent } from '../../schemas/event/event.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import { keyRotationAction } from '../../schemas/tlog/key-rotation.ts'

/** The leaf that makes `next` the key of its log. */
export function keyRotationEvent(next: string, nowMs: number): ObservedEvent {
  const now = timestampFromMs(nowMs)
  return {
    'event.class': 'admin',
    'record.disposition': 'mapped',
    'source.id': 'sealtrail',
    'time.occurred': now,
    'time.observed': now,
    'admin.action': keyRotationAction,
    'admin.target': next,
    'admin.actor': 'operator',
  }
}
