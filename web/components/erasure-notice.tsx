import Link from 'next/link'
import type { ReactNode } from 'react'
import type { EventDetail } from '../../schemas/api/event-detail.ts'
import { groundText } from '../../schemas/erasure.ts'
import { formatInstant } from '../format/instant.ts'
import { aroundInstant, formatTimeRange } from '../state/time-range.ts'
import { HostileText } from './hostile-text.tsx'

/** Says of an event that was erased when, why and by which leaf; nothing for any other event. */
export function ErasureNotice({ detail: { evidence, erasure } }: { detail: EventDetail }) {
  if (!evidence.withheld.some(({ reason }) => reason === 'erased')) return null
  if (erasure === null) {
    return (
      <Notice title="What was sealed of this event is gone">
        No erasure on the record says why. Run{' '}
        <code className="font-mono text-xs">sealtrail verify</code>: it counts what is closed
        without one.
      </Notice>
    )
  }
  const { action, at, ground, reference, leafIndex } = erasure
  return (
    <Notice
      title={`${action === 'shred' ? 'Shredded' : 'Erased'} on ${formatInstant(at).slice(0, 16)} UTC`}
    >
      {ground !== null && (
        <span className="block first-letter:uppercase">
          {groundText[ground]}
          {reference !== null && (
            <>
              {' · reference '}
              <HostileText text={reference} limit={64} />
            </>
          )}
        </span>
      )}
      Nobody can open what was sealed; that it happened is proven as before.
      {leafIndex === null ? (
        ' The tables are still being cleaned.'
      ) : (
        <Link href={leafLink(at)} className="block w-fit min-h-6 text-accent underline">
          Recorded as leaf {leafIndex.toLocaleString('en')}
        </Link>
      )}
    </Notice>
  )
}

/** To the leaf of an erasure: it follows the order at once. */
export function leafLink(requestedAt: string): string {
  const query = new URLSearchParams({
    view: 'events',
    t: formatTimeRange(aroundInstant(requestedAt)),
    q: 'class:admin',
  })
  return `/explore?${query}`
}

function Notice({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section
      aria-label="Erasure"
      className="border-b border-line bg-warn-soft px-4 py-2 text-[13px]"
    >
      <p className="font-semibold text-warn">{title}</p>
      <div className="[overflow-wrap:anywhere]">{children}</div>
    </section>
  )
}
