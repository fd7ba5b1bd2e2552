'use client'

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { BarChart3, Link2, ListFilter, RefreshCw, Table2, TriangleAlert } from 'lucide-react'
import dynamic from 'next/dynamic'
import Link from 'next/link'
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs'
import { Suspense, useCallback, useMemo, useState } from 'react'
import { FindingsReply } from '../../../../schemas/api/findings.ts'
import { HistogramReply, SearchReply } from '../../../../schemas/api/search.ts'
import { request } from '../../../api/request.ts'
import { HistogramTable } from '../../../charts/histogram-table.tsx'
import type { Verdicts } from '../../../components/event-columns.tsx'
import { drawerTabs, EventDrawer } from '../../../components/event-drawer.tsx'
import { EventsTable } from '../../../components/events-table.tsx'
import { ExportDialog } from '../../../components/export-dialog.tsx'
import { FacetList } from '../../../components/facet-list.tsx'
import { FirstRun } from '../../../components/first-run.tsx'
import { NoMatch } from '../../../components/no-match.tsx'
import { QueryBar } from '../../../components/query-bar.tsx'
import { QueryPills } from '../../../components/query-pills.tsx'
import { Failure, Loading, TableSkeleton } from '../../../components/states.tsx'
import { TimeRangePicker } from '../../../components/time-range-picker.tsx'
import { useCopy } from '../../../components/use-copy.ts'
import { formatDuration } from '../../../format/instant.ts'
import { namesClass, withTerm } from '../../../state/query-terms.ts'
import { readQuery } from '../../../state/read-query.ts'
import {
  aroundInstant,
  formatTimeRange,
  parseTimeRange,
  type TimeRange,
} from '../../../state/time-range.ts'
import type { Verification } from '../../../verify/verify-evidence.ts'

const OutcomeHistogram = dynamic(
  () => import('../../../charts/outcome-histogram.tsx').then((module) => module.OutcomeHistogram),
  {
    ssr: false,
    loading: () => <div className="h-32" />,
  },
)

/** The whole view is in the address: what you see is what a colleague sees who opens it. */
const viewState = {
  q: parseAsString.withDefault(''),
  t: parseAsString.withDefault('24h'),
  view: parseAsStringLiteral(['calls', 'events'] as const).withDefault('calls'),
  counts: parseAsStringLiteral(['chart', 'table'] as const).withDefault('chart'),
  ev: parseAsString,
  tab: parseAsStringLiteral(drawerTabs).withDefault('overview'),
}

export default function ExplorePage() {
  return (
    <Suspense fallback={<Loading />}>
      <title>Explore · Sealtrail</title>
      <Explore />
    </Suspense>
  )
}

function Explore() {
  const [state, setState] = useQueryStates(viewState, { history: 'push' })
  const [refreshed, setRefreshed] = useState(() => Date.now())
  const [verdicts, setVerdicts] = useState<Verdicts>(() => new Map())
  const [showFacets, setShowFacets] = useState(false)
  const { q, t, view, ev, tab } = state
  const asTable = state.counts === 'table'
  const range = useMemo(() => parseTimeRange(t, refreshed), [t, refreshed])
  const problem = useMemo(() => readQuery(q).problem, [q])
  const params = { q, ...range, view }
  const key = [q, range.from, range.until, view]
  // A query that cannot be understood is said so below the bar and asked of nobody.
  const enabled = problem === undefined
  const rows = useInfiniteQuery({
    queryKey: ['rows', ...key],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) =>
      request(SearchReply, '/api/v1/events', { params: { ...params, cursor: pageParam }, signal }),
    getNextPageParam: (last) => last.next ?? undefined,
    // A condition more or less keeps the rows, and with them the place in them, until the new ones are there.
    placeholderData: (previous, previousQuery) =>
      previousQuery?.queryKey.at(-1) === view ? previous : undefined,
    enabled,
  })
  const histogram = useQuery({
    queryKey: ['histogram', ...key],
    queryFn: ({ signal }) => request(HistogramReply, '/api/v1/histogram', { params, signal }),
    enabled,
  })
  const all = useMemo(() => rows.data?.pages.flatMap((page) => page.rows) ?? [], [rows.data])
  const first = rows.data?.pages[0]
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = rows
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [fetchNextPage, hasNextPage, isFetchingNextPage])
  const onQuery = useCallback((next: string) => void setState({ q: next }), [setState])
  const onFilter = useCallback(
    (term: string) => void setState({ q: withTerm(q, term) }),
    [q, setState],
  )
  const onSelect = useCallback((eventId: string) => void setState({ ev: eventId }), [setState])
  const onVerdict = useCallback((eventId: string, verdict: Verification['state']) => {
    setVerdicts((known) =>
      known.get(eventId) === verdict ? known : new Map(known).set(eventId, verdict),
    )
  }, [])
  const onRange = (fromMs: number, untilMs: number) =>
    void setState({
      t: formatTimeRange({
        from: new Date(fromMs).toISOString(),
        until: new Date(untilMs).toISOString(),
      }),
    })
  // Once the list is there, the row that it shows is verified too.
  const listed = useMemo(() => {
    const row = all.find(({ eventId }) => eventId === ev)
    return row === undefined
      ? undefined
      : ({ row, of: view === 'calls' ? 'call' : 'leaf' } as const)
  }, [all, ev, view])
  return (
    <div className="flex h-full flex-col">
      <h1 className="sr-only">Explore</h1>
      <div className="border-b border-line bg-panel px-4 pb-1.5 pt-3">
        <div className="flex items-start gap-2 max-md:flex-wrap">
          <QueryBar query={q} onRun={onQuery} range={range} view={view} />
          <TimeRangePicker value={t} onChange={(next) => void setState({ t: next })} />
          <fieldset className="flex h-9 shrink-0 overflow-hidden rounded-md border border-line">
            <legend className="sr-only">What is listed</legend>
            {(['calls', 'events'] as const).map((each) => (
              <button
                key={each}
                type="button"
                aria-pressed={view === each}
                title={
                  each === 'calls'
                    ? 'MCP calls, joined from all their observations'
                    : 'Every record that sources sent; with class:* also what Sealtrail itself wrote'
                }
                onClick={() => void setState({ view: each })}
                className={`px-3 text-[13px] font-medium capitalize ${view === each ? 'bg-accent text-on-accent' : 'hover:bg-raised'}`}
              >
                {each}
              </button>
            ))}
          </fieldset>
          <button
            type="button"
            className="button h-9 px-2.5"
            onClick={() => setRefreshed(Date.now())}
            aria-label="Refresh"
            title="Refresh"
          >
            <RefreshCw className={`size-4 ${rows.isFetching ? 'animate-spin' : ''}`} aria-hidden />
          </button>
          <CopyLink range={range} />
          <ExportDialog query={q} range={range} view={view} />
          <button
            type="button"
            className="button h-9 px-2.5 md:hidden"
            aria-expanded={showFacets}
            aria-controls="facets"
            aria-label="Facets"
            title="Facets"
            onClick={() => setShowFacets(!showFacets)}
          >
            <ListFilter className="size-4" aria-hidden />
          </button>
        </div>
        <QueryPills query={q} onQuery={onQuery} />
      </div>
      <div className="relative flex min-h-0 flex-1">
        <section
          id="facets"
          aria-label="Facets"
          className={`w-48 shrink-0 overflow-auto border-r border-line bg-panel xl:w-52 ${showFacets ? '' : 'max-md:hidden'}`}
        >
          {enabled && (
            <FacetList query={q} range={range} view={view} onFilter={onFilter} onQuery={onQuery} />
          )}
        </section>
        <div className="flex min-w-0 flex-1 flex-col">
          <section
            aria-label="Counts over time"
            className="border-b border-line bg-panel px-2 pb-1 pt-2"
          >
            <div className="flex flex-wrap items-center gap-x-3 px-2 text-xs text-muted">
              <p aria-live="polite">
                <span className="text-[15px] font-semibold text-text tabular-nums">
                  {first === undefined ? '–' : first.total.toLocaleString('en')}
                </span>{' '}
                {view}
                {first !== undefined && (
                  <span className="max-xl:hidden"> · {formatDuration(first.elapsedMs)}</span>
                )}
              </p>
              {histogram.data !== undefined && (
                <Legend
                  data={histogram.data}
                  onFilter={(key) => onFilter(`${view === 'calls' ? 'outcome' : 'class'}:${key}`)}
                />
              )}
              {view === 'events' && !namesClass(q) && (
                <button
                  type="button"
                  className="min-h-6 rounded px-1.5 text-accent hover:underline"
                  title="Findings, reading, administration and ticks are left out until a class is named"
                  onClick={() => onFilter('class:*')}
                >
                  Sealtrail’s own records too
                </button>
              )}
              <div className="ml-auto flex items-center gap-3">
                <FindingsLink t={t} range={range} />
                <button
                  type="button"
                  className="icon-button"
                  aria-pressed={asTable}
                  onClick={() => void setState({ counts: asTable ? 'chart' : 'table' })}
                  aria-label={asTable ? 'Show as chart' : 'Show as table'}
                  title={asTable ? 'Show as chart' : 'Show as table'}
                >
                  {asTable ? (
                    <BarChart3 className="size-4" aria-hidden />
                  ) : (
                    <Table2 className="size-4" aria-hidden />
                  )}
                </button>
              </div>
            </div>
            {histogram.data === undefined ? (
              <div className="h-32" />
            ) : asTable ? (
              <HistogramTable data={histogram.data} />
            ) : (
              <OutcomeHistogram data={histogram.data} onRange={onRange} />
            )}
          </section>
          {problem !== undefined ? (
            <p role="status" className="p-6 text-muted">
              The query cannot be run as it is: {problem.message}.
            </p>
          ) : rows.isPending ? (
            <TableSkeleton />
          ) : rows.error !== null ? (
            <Failure error={rows.error} onRetry={() => rows.refetch()} />
          ) : all.length > 0 ? (
            <EventsTable
              rows={all}
              total={first?.total ?? all.length}
              stale={rows.isPlaceholderData}
              view={view}
              selected={ev}
              verdicts={verdicts}
              onSelect={onSelect}
              onFilter={onFilter}
              onEnd={onEnd}
            />
          ) : q === '' ? (
            <FirstRun
              range={t}
              onWiden={() => void setState({ t: '90d' })}
              onArrived={() => setRefreshed(Date.now())}
            />
          ) : (
            <NoMatch
              query={q}
              time={t}
              view={view}
              onQuery={onQuery}
              onTime={(next) => void setState({ t: next })}
            />
          )}
          {isFetchingNextPage && (
            <p role="status" className="border-t border-line bg-panel px-4 py-1 text-xs text-muted">
              Loading more…
            </p>
          )}
        </div>
        {ev !== null && (
          <EventDrawer
            eventId={ev}
            listed={listed}
            tab={tab}
            onTab={(next) => void setState({ tab: next }, { history: 'replace' })}
            onClose={() => void setState({ ev: null })}
            onFilter={onFilter}
            onContext={(occurredAt) =>
              void setState({
                q: '',
                view: 'events',
                t: formatTimeRange(aroundInstant(occurredAt)),
              })
            }
            onVerdict={onVerdict}
          />
        )}
      </div>
    </div>
  )
}

/** What the colours mean, with totals: the chart in words. Each keeps only its own calls. */
function Legend({ data, onFilter }: { data: HistogramReply; onFilter: (key: string) => void }) {
  return (
    <ul className="flex min-w-0 flex-wrap gap-x-1">
      {data.series.map((key) => {
        const sum = data.buckets.reduce((all, { counts }) => all + (counts[key] ?? 0), 0)
        return (
          <li key={key}>
            <button
              type="button"
              title={`Only ${key}`}
              className="flex min-h-6 items-center gap-1.5 rounded px-1.5 hover:bg-raised"
              onClick={() => onFilter(key)}
            >
              <span
                aria-hidden
                className="size-2.5 rounded-sm"
                style={{ background: `var(--series-${key}, var(--series-unknown))` }}
              />
              {key.replaceAll('_', ' ')}{' '}
              <span className="tabular-nums">{sum.toLocaleString('en')}</span>
            </button>
          </li>
        )
      })}
    </ul>
  )
}

/** How many findings the time range holds, whatever the query says: the way from the first screen to what is wrong. */
function FindingsLink({ t, range }: { t: string; range: TimeRange }) {
  const findings = useQuery({
    queryKey: ['findings', 'count', range.from, range.until],
    queryFn: ({ signal }) =>
      request(FindingsReply, '/api/v1/findings', { params: { ...range, limit: 1 }, signal }),
  })
  const count = findings.data?.total ?? 0
  if (count === 0) return null
  return (
    <Link
      href={`/findings?${new URLSearchParams({ t })}`}
      className="inline-flex min-h-6 items-center gap-1.5 rounded bg-bad-soft px-2 font-semibold text-bad hover:underline"
    >
      <TriangleAlert className="size-3.5" aria-hidden />
      {count.toLocaleString('en')} {count === 1 ? 'finding' : 'findings'}
      <span className="sr-only"> in this time range</span>
    </Link>
  )
}

/** A link to exactly this view: "last 24 hours" becomes the two instants it means now. */
function CopyLink({ range }: { range: TimeRange }) {
  const { outcome, copy } = useCopy()
  const copyUrl = () => {
    const url = new URL(window.location.href)
    url.searchParams.set('t', formatTimeRange(range))
    return copy(url.href)
  }
  const label =
    outcome === undefined
      ? 'Copy a link to this view, with the time fixed'
      : outcome === 'copied'
        ? 'Link copied'
        : 'The browser refused to copy: take the address bar'
  return (
    <button
      type="button"
      className="button h-9 px-2.5"
      onClick={copyUrl}
      aria-label={label}
      title={label}
    >
      <Link2
        className={`size-4 ${outcome === undefined ? '' : outcome === 'copied' ? 'text-ok' : 'text-bad'}`}
        aria-hidden
      />
    </button>
  )
}
