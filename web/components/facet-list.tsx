'use client'

import { useQuery } from '@tanstack/react-query'
import { Minus } from 'lucide-react'
import { useState } from 'react'
import { FacetReply } from '../../schemas/api/search.ts'
import { ApiError, request } from '../api/request.ts'
import { termIn, termOf, withoutTerm } from '../state/query-terms.ts'
import type { TimeRange } from '../state/time-range.ts'
import { HostileText } from './hostile-text.tsx'

const callFacets = [
  ['outcome.status', 'Outcome'],
  ['mcp.server.name', 'Server'],
  ['gen_ai.tool.name', 'Tool'],
  ['user.name', 'User'],
  ['gen_ai.agent.name', 'Agent'],
  ['mcp.client.name', 'Client'],
  ['auth.scopes.granted', 'Scopes granted'],
  ['workflow.id', 'Workflow'],
  ['source.id', 'Source'],
] as const
const eventFacets = [
  ['event.class', 'Class'],
  ['record.disposition', 'Disposition'],
  ...callFacets,
] as const

const shownAtFirst = 6

interface FacetContext {
  readonly query: string
  readonly range: TimeRange
  readonly view: 'calls' | 'events'
  readonly onFilter: (term: string) => void
  readonly onQuery: (query: string) => void
}

/** What the values are within the query, and one click to keep or drop them. */
export function FacetList(props: FacetContext) {
  const fields = props.view === 'calls' ? callFacets : eventFacets
  return (
    <div className="space-y-4 p-3">
      {fields.map(([field, title]) => (
        <Facet key={field} field={field} title={title} {...props} />
      ))}
    </div>
  )
}

function Facet({
  field,
  title,
  query,
  range,
  view,
  onFilter,
  onQuery,
}: FacetContext & { field: string; title: string }) {
  const [more, setMore] = useState(false)
  const facet = useQuery({
    queryKey: ['facet', field, query, range.from, range.until, view],
    queryFn: ({ signal }) =>
      request(FacetReply, '/api/v1/facets', {
        params: { field, q: query, ...range, view },
        signal,
      }),
    placeholderData: (previous) => previous,
  })
  // What a role may not see makes no facet; the table says so where it matters.
  if (facet.error instanceof ApiError) return null
  const values = facet.data?.values ?? []
  if (values.length === 0) return null
  const most = Math.max(...values.map(({ count }) => count))
  return (
    <section aria-label={title}>
      <h3 className="label mb-1 flex justify-between px-1.5">
        {title}
        {facet.data?.sampled === true && (
          <span className="font-normal normal-case">approximate</span>
        )}
      </h3>
      <ul>
        {values.slice(0, more ? 50 : shownAtFirst).map(({ value, count }) => {
          const term = termOf(field, value)
          const chosen = termIn(query, term)
          return (
            <li
              key={value}
              className={`group relative flex items-center rounded text-xs ${chosen === undefined ? 'hover:bg-raised' : 'bg-accent-soft'}`}
            >
              <span
                aria-hidden
                className="absolute bottom-0 left-1.5 h-[3px] rounded-full bg-accent/25"
                style={{ width: `calc((100% - 2.75rem) * ${count / most})` }}
              />
              <button
                type="button"
                aria-pressed={chosen !== undefined}
                onClick={() =>
                  chosen === undefined ? onFilter(term) : onQuery(withoutTerm(query, chosen))
                }
                className="flex min-h-6 min-w-0 flex-1 items-center justify-between gap-2 px-1.5 text-left"
              >
                <span
                  className={`truncate ${chosen === undefined ? '' : 'font-semibold text-accent'}`}
                >
                  <span className="sr-only">Only {title.toLowerCase()} </span>
                  <HostileText text={value} limit={80} />
                </span>{' '}
                <span className="tabular-nums text-muted">{count.toLocaleString('en')}</span>
              </button>
              <button
                type="button"
                aria-label={`Not ${title.toLowerCase()} ${value.slice(0, 200)}`}
                title="Exclude"
                onClick={() => onFilter(`-${term}`)}
                className="inline-flex size-6 items-center justify-center rounded text-muted opacity-50 hover:bg-bad-soft hover:text-bad focus-visible:opacity-100 group-hover:opacity-100"
              >
                <Minus className="size-3" aria-hidden />
              </button>
            </li>
          )
        })}
      </ul>
      {values.length > shownAtFirst && (
        <button
          type="button"
          className="min-h-6 px-1.5 text-xs text-accent hover:underline"
          onClick={() => setMore(!more)}
        >
          {more
            ? 'Fewer'
            : values.length >= 50
              ? 'The 50 most frequent'
              : `${values.length - shownAtFirst} more`}
        </button>
      )}
    </section>
  )
}
