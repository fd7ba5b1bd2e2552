'use client'

import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { RefreshCw } from 'lucide-react'
import dynamic from 'next/dynamic'
import { parseAsString, parseAsStringLiteral, useQueryStates } from 'nuqs'
import { Suspense, useCallback, useMemo, useState } from 'react'
import { HistogramReply, SearchReply } from '../../../../schemas/api/search.ts'
import { request } from '../../../api/request.ts'
import { drawerTabs, EventDrawer } from '../../../components/event-drawer.tsx'
import { EventsTable } from '../../../components/events-table.tsx'
import { FacetList } from '../../../components/facet-list.tsx'
import { FirstRun } from '../../../components/first-run.tsx'
import { QueryBar } from '../../../components/query-bar.tsx'
import { Empty, Failure, Loading } from '../../../components/states.tsx'
import { TimeRangePicker } from '../../../components/time-range-picker.tsx'
import { formatTimeRange, parseTimeRange } from '../../../state/time-range.ts'

const OutcomeHistogram = dynamic(() => import('../../../charts/outcome-histogram.tsx').then((module) => module.OutcomeHistogram), {
  ssr: false,
  loading: () => <div className="h-36" />,
})

/** The whole view is in the address: what you see is what a colleague sees who opens it. */
const viewState = {
  q: parseAsString.withDefault(''),
  t: parseAsString.withDefault('24h'),
  view: parseAsStringLiteral(['calls', 'events'] as const).withDefault('calls'),
  ev: parseAsString,
  tab: parseAsStringLiteral(drawerTabs).withDefault('overview'),
}

export default function ExplorePage() {
  return (
    <Suspense fallback={<Loading />}>
      <Explore />
    </Suspense>
  )
}

function Explore() {
  const [state, setState] = useQueryStates(viewState, { history: 'push' })
  const [refreshed, setRefreshed] = useState(() => Date.now())
  const { q, t, view, ev, tab } = state
  const range = useMemo(() => parseTimeRange(t, refreshed), [t, refreshed])
  const params = { q, ...range, view }
  const key = [q, range.from, range.until, view]
  const rows = useInfiniteQuery({
    queryKey: ['rows', ...key],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam, signal }) => request(SearchReply, '/api/v1/events', { params: { ...params, cursor: pageParam }, signal }),
    getNextPageParam: (last) => last.next ?? undefined,
  })
  const histogram = useQuery({
    queryKey: ['histogram', ...key],
    queryFn: ({ signal }) => request(HistogramReply, '/api/v1/histogram', { params, signal }),
  })
  const all = useMemo(() => rows.data?.pages.flatMap((page) => page.rows) ?? [], [rows.data])
  const total = rows.data?.pages[0]?.total
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = rows
  const onEnd = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage()
  }, [fetchNextPage, hasNextPage, isFetchingNextPage])
  const onFilter = (term: string) => void setState({ q: q.trim() === '' ? term : `${q.trim()} ${term}` })
  return (
    <div className="flex h-full flex-col">
      <h1 className="sr-only">Explore</h1>
      <div className="flex items-start gap-3 border-b border-line bg-panel px-4 pb-1 pt-3">
        <QueryBar query={q} onRun={(next) => void setState({ q: next, ev: null })} range={range} view={view} />
        <TimeRangePicker value={t} onChange={(next) => void setState({ t: next })} />
        <fieldset className="flex shrink-0 overflow-hidden rounded-md border border-line">
          <legend className="sr-only">What is listed</legend>
          {(['calls', 'events'] as const).map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={view === each}
              onClick={() => void setState({ view: each, ev: null })}
              className={`px-3 py-2 text-sm font-medium capitalize ${view === each ? 'bg-accent text-on-accent' : 'hover:bg-raised'}`}
            >
              {each}
            </button>
          ))}
        </fieldset>
        <button type="button" className="button py-2" onClick={() => setRefreshed(Date.now())} aria-label="Refresh" title="Refresh">
          <RefreshCw className="size-4" />
        </button>
      </div>
      <div className="flex min-h-0 flex-1">
        <div className="w-56 shrink-0 overflow-auto border-r border-line bg-panel">
          <FacetList query={q} range={range} view={view} onFilter={onFilter} />
        </div>
        <div className="flex min-w-0 flex-1 flex-col">
          <section aria-label="Counts over time" className="border-b border-line bg-panel px-3 pb-1 pt-2">
            <div className="flex items-baseline justify-between px-1 text-xs text-muted">
              <p>
                <span className="text-base font-semibold text-text tabular-nums">{total === undefined ? '…' : total.toLocaleString('en')}</span> {view}
                {rows.data !== undefined && ` · ${rows.data.pages[0]?.elapsedMs ?? 0} ms`}
              </p>
              <p>Drag over the chart to zoom</p>
            </div>
            {histogram.data !== undefined && (
              <>
                <OutcomeHistogram
                  data={histogram.data}
                  onRange={(from, until) => void setState({ t: formatTimeRange({ from: new Date(from).toISOString(), until: new Date(until).toISOString() }) })}
                />
                <Legend data={histogram.data} />
              </>
            )}
            {histogram.isPending && <div className="h-36" />}
          </section>
          {rows.isPending ? (
            <Loading rows={12} />
          ) : rows.error !== null ? (
            <Failure error={rows.error} onRetry={() => rows.refetch()} />
          ) : all.length === 0 ? (
            q === '' ? (
              <FirstRun range={t} onWiden={() => void setState({ t: '30d' })} />
            ) : (
              <Empty title="Nothing matches">
                <p>No {view} in this time range fit the query.</p>
                <div className="mt-4 flex justify-center gap-2">
                  <button type="button" className="button" onClick={() => void setState({ q: '' })}>
                    Clear the query
                  </button>
                  <button type="button" className="button" onClick={() => void setState({ t: '30d' })}>
                    Look at 30 days
                  </button>
                </div>
              </Empty>
            )
          ) : (
            <EventsTable rows={all} selected={ev} onSelect={(id) => void setState({ ev: id })} onEnd={onEnd} />
          )}
        </div>
        {ev !== null && (
          <EventDrawer eventId={ev} tab={tab} onTab={(next) => void setState({ tab: next }, { history: 'replace' })} onClose={() => void setState({ ev: null })} onFilter={onFilter} />
        )}
      </div>
    </div>
  )
}

/** What the colours mean, with totals: the chart in words. */
function Legend({ data }: { data: HistogramReply }) {
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1 px-2 pb-1 text-xs">
      {data.series.map((key) => {
        const sum = data.buckets.reduce((all, { counts }) => all + (counts[key] ?? 0), 0)
        return (
          <li key={key} className="flex items-center gap-1.5">
            <span aria-hidden className="size-2.5 rounded-sm" style={{ background: `var(--series-${key}, var(--series-unknown))` }} />
            {key.replaceAll('_', ' ')} <span className="tabular-nums text-muted">{sum.toLocaleString('en')}</span>
          </li>
        )
      })}
    </ul>
  )
}
