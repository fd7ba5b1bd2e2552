import { type ErasureAction, ErasureDetails, erasureActions } from '../schemas/erasure.ts'
import type { ObservedEvent, RecordedEvent } from '../schemas/event/event.ts'

/** An erasure as a leaf of the log whose data went. */
export interface ErasureLeaf extends ErasureDetails {
  /** The same as in the `_system` log. */
  readonly id: string
  readonly action: ErasureAction
}

/** The event that puts an erasure on the record of a log. */
export function toErasureEvent(
  { id, action, ...details }: ErasureLeaf,
  actor: string,
  now: string,
): ObservedEvent {
  return {
    'event.class': 'admin',
    'record.disposition': 'mapped',
    'source.id': 'sealtrail',
    'time.occurred': now,
    'time.observed': now,
    'admin.action': action,
    'admin.target': id,
    'admin.actor': actor,
    'admin.details': { ...details },
  }
}

/** The erasure that an event records; undefined for any other event. */
export function fromErasureEvent(event: RecordedEvent): ErasureLeaf | undefined {
  const action = erasureActions.find((each) => each === event['admin.action'])
  const id = event['admin.target']
  if (
    event['event.class'] !== 'admin' ||
    event['source.id'] !== 'sealtrail' ||
    action === undefined ||
    id === undefined
  )
    return undefined
  const details = ErasureDetails.safeParse(event['admin.details'])
  return details.success ? { id, action, ...details.data } : undefined
}
