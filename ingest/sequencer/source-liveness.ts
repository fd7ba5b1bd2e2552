import type { EventFields } from '../../schemas/event/event.ts'
import { timestampToMs } from '../../schemas/event/timestamp.ts'
import { silentAfterMs } from '../../schemas/source-liveness.ts'
import { FairMap } from './fair-map.ts'

/** A stream of a collector that began, did not end, and is not heard any more. */
export interface SilentStream {
  readonly sourceId: string
  readonly epoch: string
  readonly lastHeardMs: number
}

/** Streams that are remembered of all sources together; about 200 bytes each. */
const maxStreams = 20_000

/**
 * Which streams of numbered sources are open: by their own signals on the record, and by nothing else, so that the
 * same leaves give the same state after a restart. Cutting the tail of a source is seen, because its `close` is cut too.
 */
export class SourceLiveness {
  private readonly open = new FairMap<SilentStream>(maxStreams)

  /** Takes over one committed event. Time is the recorded one: that of the source proves nothing. */
  apply(event: EventFields): void {
    const { 'source.id': sourceId, 'source.epoch': epoch, 'source.signal': signal } = event
    const recorded = event['time.recorded']
    if (event['event.class'] !== 'source' || recorded === undefined) return
    if (sourceId === undefined || epoch === undefined) return
    if (signal === 'open' || signal === 'heartbeat') {
      this.open.set(sourceId, epoch, { sourceId, epoch, lastHeardMs: timestampToMs(recorded) })
    } else if (signal === 'close' || signal === 'silence') this.open.delete(sourceId, epoch)
  }

  /** Every open stream. */
  streams(): SilentStream[] {
    return [...this.open.all()]
  }

  /** Takes over what {@link streams} gave. */
  restore(streams: readonly SilentStream[]): void {
    for (const stream of streams) this.open.set(stream.sourceId, stream.epoch, stream)
  }

  /** Streams that are overdue at a time, in the order in which they were last heard within each source. */
  silentAt(nowMs: number): SilentStream[] {
    return [...this.open.all()].filter(({ lastHeardMs }) => nowMs - lastHeardMs > silentAfterMs)
  }
}
