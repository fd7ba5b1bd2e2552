'use client'

import { useQuery } from '@tanstack/react-query'
import { ArrowLeft, ShieldCheck } from 'lucide-react'
import Link from 'next/link'
import { useParams } from 'next/navigation'
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs'
import { Suspense, useMemo } from 'react'
import { FindingDetail } from '../../../../../schemas/api/findings.ts'
import type { EventRow } from '../../../../../schemas/api/search.ts'
import { request } from '../../../../api/request.ts'
import { drawerTabs, EventDrawer } from '../../../../components/event-drawer.tsx'
import { FindingExplanation } from '../../../../components/finding-explanation.tsx'
import { HostileText } from '../../../../components/hostile-text.tsx'
import { OutcomeLabel } from '../../../../components/outcome-label.tsx'
import { SeverityChip } from '../../../../components/severity-chip.tsx'
import { Failure, Loading } from '../../../../components/states.tsx'
import { formatInstant } from '../../../../format/instant.ts'

const viewState = {
  ev: parseAsString,
  tab: parseAsStringLiteral(drawerTabs).withDefault('overview'),
}

export default function FindingPage() {
  return (
    <Suspense fallback={<Loading />}>
      <title>Finding · Sealtrail</title>
      <Finding />
    </Suspense>
  )
}

function Finding() {
  const { id } = useParams<{ id: string }>()
  const [{ ev, tab }, setState] = useQueryStates(viewState, { history: 'push' })
  const query = useQuery({
    queryKey: ['finding', id],
    queryFn: ({ signal }) =>
      request(FindingDetail, `/api/v1/findings/${encodeURIComponent(id)}`, { signal }),
    // Opening a finding is put on the record: once is enough.
    staleTime: Number.POSITIVE_INFINITY,
  })
  const listed = useMemo(() => {
    const row = query.data?.evidence.find(({ eventId }) => eventId === ev)
    return row === undefined ? undefined : ({ row, of: 'leaf' } as const)
  }, [query.data, ev])
  const onOpen = (eventId: string, next: 'overview' | 'proof') =>
    void setState({ ev: eventId, tab: next })
  return (
    <div className="relative flex h-full">
      <div className="min-w-0 flex-1 overflow-auto p-6">
        <div className="mx-auto max-w-5xl">
          <Link
            href="/findings"
            className="mb-4 inline-flex min-h-6 items-center gap-1.5 text-muted hover:text-text"
          >
            <ArrowLeft className="size-4" aria-hidden /> All findings
          </Link>
          {query.isPending && <Loading />}
          {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
          {query.data !== undefined && <Report detail={query.data} selected={ev} onOpen={onOpen} />}
        </div>
      </div>
      {ev !== null && (
        <EventDrawer
          eventId={ev}
          listed={listed}
          tab={tab}
          onTab={(next) => void setState({ tab: next }, { history: 'replace' })}
          onClose={() => void setState({ ev: null })}
        />
      )}
    </div>
  )
}

type Open = (eventId: string, tab: 'overview' | 'proof') => void

/** First the sentence, then why, then the evidence in place. */
function Report({
  detail,
  selected,
  onOpen,
}: {
  detail: FindingDetail
  selected: string | null
  onOpen: Open
}) {
  const { finding, evidence } = detail
  return (
    <article className="space-y-4">
      <header>
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <SeverityChip severity={finding.severity} />
          <span className="text-muted">
            {finding.detector} ·{' '}
            <span className="font-mono text-xs">{formatInstant(finding.occurredAt)}</span> UTC
          </span>
          <button
            type="button"
            className="button ml-auto"
            onClick={() => onOpen(finding.eventId, 'proof')}
          >
            <ShieldCheck className="size-4 text-accent" aria-hidden /> Proof of this finding
          </button>
        </div>
        <h1 className="mt-3 text-xl font-semibold leading-snug tracking-tight [overflow-wrap:anywhere]">
          <HostileText text={finding.sentence} limit={2000} />
        </h1>
      </header>
      <FindingExplanation detail={detail} />
      <section className="panel overflow-hidden" aria-labelledby="evidence">
        <h2 id="evidence" className="px-5 pb-3 pt-5 font-semibold">
          Evidence{' '}
          <span className="font-normal text-muted">
            · {evidence.length === 1 ? '1 event' : `${evidence.length} events`}, the first one fired
          </span>
        </h2>
        <ul className="divide-y divide-line border-t border-line">
          {evidence.map((row) => (
            <li key={row.eventId}>
              <EvidenceRow row={row} selected={row.eventId === selected} onOpen={onOpen} />
            </li>
          ))}
        </ul>
      </section>
    </article>
  )
}

function EvidenceRow({
  row,
  selected,
  onOpen,
}: {
  row: EventRow
  selected: boolean
  onOpen: Open
}) {
  const { event } = row
  const what = [event['mcp.server.name'], event['gen_ai.tool.name'] ?? event['event.class']]
    .filter((part) => part !== undefined)
    .join(' / ')
  return (
    <button
      type="button"
      onClick={() => onOpen(row.eventId, 'overview')}
      className={`grid min-h-8 w-full grid-cols-[10.5rem_minmax(8rem,12rem)_6.5rem_1fr] items-center gap-3 px-5 py-1.5 text-left hover:bg-raised ${selected ? 'bg-accent-soft' : ''}`}
    >
      <span className="font-mono text-xs tabular-nums">
        {formatInstant(event['time.occurred']).slice(5)}
      </span>
      <span className="truncate font-medium">
        <HostileText text={what} limit={80} />
      </span>
      <span>
        <OutcomeLabel outcome={event['outcome.status'] ?? ''} />
      </span>
      <span className="truncate font-mono text-xs text-muted">
        <HostileText text={JSON.stringify(event['gen_ai.tool.call.arguments'] ?? '')} limit={300} />
      </span>
    </button>
  )
}
