import { hex } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'

/**
 * Keeps of the raw bytes of unmapped and rejected records what a quota allows; of the others their hash and size. The
 * record itself stays, so that ordinals and numbers are those of a repeat.
 *
 * @param take whether so many more bytes are within the quota.
 */
export function withholdRaw(
  events: readonly ObservedEvent[],
  take: (bytes: number) => boolean,
  digest: Digest,
): readonly ObservedEvent[] {
  if (events.every(({ 'record.disposition': disposition }) => disposition === 'mapped'))
    return events
  return events.map((event) => {
    const raw = event['raw.record']
    if (event['record.disposition'] === 'mapped' || raw === undefined) return event
    const bytes = Buffer.from(raw)
    if (take(bytes.length)) return event
    const { 'raw.record': _raw, 'raw.encoding': _encoding, attributes: _rest, ...kept } = event
    const notes = ['raw.record:over_quota', `raw.record:sha256:${hex(digest(bytes))}`]
    return { ...kept, 'record.notes': [...(event['record.notes'] ?? []), ...notes].slice(-32) }
  })
}
