'use client'

import { useQuery } from '@tanstack/react-query'
import { ArrowLeft, ShieldCheck } from 'lucide-react'
import Link from 'next/link'
import { useParams, useRouter } from 'next/navigation'
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs'
import { Suspense, useMemo } from 'react'
import { FindingDetail, type FindingRow } from '../../../../../schemas/api/findings.ts'
import type { EventRow } from '../../../../../schemas/api/search.ts'
import type { EventFields } from '../../../../../schemas/event/event.ts'
import { queryAliases } from '../../../../../schemas/query/query.ts'
import { ApiError, request } from '../../../../api/request.ts'
import { drawerTabs, EventDrawer } from '../../../../components/event-drawer.tsx'
import { FailureNotice } from '../../../../components/failure-notice.tsx'
import { FindingExplanation } from '../../../../components/finding-explanation.tsx'
import { HostileText } from '../../../../components/hostile-text.tsx'
import { OutcomeLabel } from '../../../../components/outcome-label.tsx'
import { ProofBadge } from '../../../../components/proof-panel.tsx'
import { SeverityChip } from '../../../../components/severity-chip.tsx'
import { Empty, Failure, Loading } from '../../../../components/states.tsx'
import { formatInstant } from '../../../../format/instant.ts'
import { termOf } from '../../../../state/query-terms.ts'
import { aroundInstant, formatTimeRange } from '../../../../state/time-range.ts'
import { textOf } from '../../../../verify/compare-cells.ts'
import { compareFinding } from '../../../../verify/compare-finding.ts'
import { useVerifiedEvent } from '../../../../verify/use-verified-event.ts'
import type { CompareMore, Verification } from '../../../../verify/verify-evidence.ts'

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
  const router = useRouter()
  const [{ ev, tab }, setState] = useQueryStates(viewState, { history: 'push' })
  const query = useQuery({
    queryKey: ['finding', id],
    queryFn: ({ signal }) =>
      request(FindingDetail, `/api/v1/findings/${encodeURIComponent(id)}`, { signal }),
    // Opening a finding is put on the record: once is enough.
    staleTime: Number.POSITIVE_INFINITY,
  })
  const detail = query.data
  const compareMore = useMemo<CompareMore | undefined>(
    () =>
      detail === undefined
        ? undefined
        : (event, leafIndex) => compareFinding(detail, event, leafIndex),
    [detail],
  )
  const own = useVerifiedEvent(detail?.finding.eventId, undefined, compareMore)
  const explore = (params: Readonly<Record<string, string>>) => router.push(exploreLink(params))
  const listed = useMemo(() => {
    const row = detail?.evidence.find(({ eventId }) => eventId === ev)
    return row === undefined ? undefined : ({ row, of: 'leaf' } as const)
  }, [detail, ev])
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
          {isErased(query.error) ? (
            <div className="panel">
              <Empty title="The text of this finding was erased">
                <p>
                  That it was found, when, by which detector and with which evidence stays in its
                  leaf, which says by which erasure its text went.
                </p>
                <Link
                  className="button mt-3"
                  href={exploreLink({ view: 'events', q: termOf('finding.id', id), t: '90d' })}
                >
                  The leaf of this finding
                </Link>
              </Empty>
            </div>
          ) : (
            query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />
          )}
          {detail !== undefined && (
            <Report
              detail={detail}
              verification={own.verification}
              failure={own.query.error}
              selected={ev}
              onOpen={onOpen}
            />
          )}
        </div>
      </div>
      {ev !== null && (
        <EventDrawer
          eventId={ev}
          listed={listed}
          compareMore={ev === detail?.finding.eventId ? compareMore : undefined}
          tab={tab}
          onTab={(next) => void setState({ tab: next }, { history: 'replace' })}
          onClose={() => void setState({ ev: null })}
          onFilter={(term) => explore({ q: term, t: '7d' })}
          onContext={(occurredAt) =>
            explore({ view: 'events', t: formatTimeRange(aroundInstant(occurredAt)) })
          }
        />
      )}
    </div>
  )
}

function isErased(error: Error | null): boolean {
  return error instanceof ApiError && error.problem.code === 'KEY_DESTROYED'
}

type Open = (eventId: string, tab: 'overview' | 'proof') => void

/** First the sentence, then why, then the evidence in place; all of it compared with the leaf of the finding. */
function Report({
  detail,
  verification,
  failure,
  selected,
  onOpen,
}: {
  detail: FindingDetail
  verification: Verification | undefined
  /** Why the leaf of the finding could not be fetched. */
  failure: Error | null
  selected: string | null
  onOpen: Open
}) {
  const { finding, evidence } = detail
  const entityTerm = termOfEntity(finding.entity)
  return (
    <article className="space-y-4">
      <header>
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <SeverityChip severity={finding.severity} />
          <span className="text-muted">
            {finding.detector} ·{' '}
            <span className="font-mono text-xs">{formatInstant(finding.occurredAt)}</span> UTC
          </span>
          <span aria-live="polite" className="ml-auto">
            {failure === null && <ProofBadge state={verification?.state} />}
          </span>
          <button type="button" className="button" onClick={() => onOpen(finding.eventId, 'proof')}>
            <ShieldCheck className="size-4 text-accent" aria-hidden /> Proof of this finding
          </button>
        </div>
        <h1 className="mt-3 text-xl font-semibold leading-snug tracking-tight [overflow-wrap:anywhere]">
          <HostileText text={finding.sentence} limit={2000} />
        </h1>
        <nav aria-label="Look further" className="mt-3 flex flex-wrap gap-2">
          {entityTerm !== undefined && (
            <Link
              className="button min-w-0 max-w-full"
              href={exploreLink({ q: entityTerm, t: '7d' })}
            >
              <span className="truncate">
                All calls of {finding.entity.kind}{' '}
                <HostileText text={finding.entity.value} limit={60} />, 7 days
              </span>
            </Link>
          )}
          <Link
            className="button"
            href={exploreLink({
              view: 'events',
              t: formatTimeRange(aroundInstant(finding.occurredAt)),
            })}
          >
            What happened around it, ± 1 minute
          </Link>
        </nav>
      </header>
      {failure !== null && <Failure error={failure} />}
      {verification?.state === 'failed' && (
        <div className="overflow-hidden rounded-md border border-bad">
          <FailureNotice
            verification={verification}
            onProof={() => onOpen(finding.eventId, 'proof')}
          />
        </div>
      )}
      <FindingExplanation detail={detail} />
      <section className="panel overflow-hidden" aria-labelledby="evidence">
        <h2 id="evidence" className="px-5 pb-3 pt-5 font-semibold">
          Evidence{' '}
          <span className="font-normal text-muted">
            ·{' '}
            {evidence.length === 1
              ? '1 event'
              : `${evidence.length} events, in the order of the log`}
          </span>
        </h2>
        <ul className="divide-y divide-line border-t border-line">
          {evidence.map((row) => (
            <li key={row.eventId}>
              <EvidenceRow
                row={row}
                fired={row.event['time.occurred'] === finding.occurredAt}
                selected={row.eventId === selected}
                onOpen={onOpen}
              />
            </li>
          ))}
        </ul>
      </section>
    </article>
  )
}

function EvidenceRow({
  row,
  fired,
  selected,
  onOpen,
}: {
  row: EventRow
  /** The finding is of this event; the others explain it. */
  fired: boolean
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
      className={`grid min-h-8 w-full grid-cols-[10.5rem_minmax(8rem,12rem)_6.5rem_minmax(0,1fr)] items-center gap-x-3 px-5 py-1.5 text-left hover:bg-raised max-md:grid-cols-[minmax(0,1fr)_auto] ${selected ? 'bg-accent-soft' : ''}`}
    >
      <span className="font-mono text-xs tabular-nums">
        {formatInstant(event['time.occurred']).slice(5)}
        {fired && <span className="ml-1.5 font-sans font-semibold text-bad">fired</span>}
      </span>
      <span className="truncate font-medium">
        <HostileText text={what} limit={80} />
      </span>
      <span>
        <OutcomeLabel outcome={event['outcome.status'] ?? ''} />
      </span>
      <span className="truncate font-mono text-xs text-muted max-md:col-span-2">
        <HostileText text={argumentsText(event)} limit={300} />
      </span>
    </button>
  )
}

function argumentsText(event: EventFields): string {
  const value = event['gen_ai.tool.call.arguments']
  return value === undefined ? '' : textOf(value)
}

/** The condition that finds all calls of an entity; undefined for what is no field of a call. */
function termOfEntity({ kind, value }: FindingRow['entity']): string | undefined {
  // The value of a tool is `server/tool`, which no single field holds.
  return kind !== 'tool' && Object.hasOwn(queryAliases, kind) ? termOf(kind, value) : undefined
}

function exploreLink(params: Readonly<Record<string, string>>): string {
  return `/explore?${new URLSearchParams(params)}`
}
