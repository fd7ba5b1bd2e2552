'use client'

import { useQuery } from '@tanstack/react-query'
import { FacetReply } from '../../schemas/api/search.ts'
import { request } from '../api/request.ts'
import type { TimeRange } from '../state/time-range.ts'
import { termOf } from './event-drawer.tsx'
import { HostileText } from './hostile-text.tsx'

const callFacets = ['outcome.status', 'mcp.server.name', 'gen_ai.tool.name', 'gen_ai.agent.name', 'user.name', 'mcp.client.name', 'auth.scopes.granted', 'workflow.id', 'source.id'] as const
const eventFacets = ['event.class', 'record.disposition', ...callFacets] as const

const titles: Readonly<Record<string, string>> = {
  'outcome.status': 'Outcome',
  'mcp.server.name': 'Server',
  'gen_ai.tool.name': 'Tool',
  'gen_ai.agent.name': 'Agent',
  'user.name': 'User',
  'mcp.client.name': 'Client',
  'auth.scopes.granted': 'Scopes granted',
  'workflow.id': 'Workflow',
  'source.id': 'Source',
  'event.class': 'Class',
  'record.disposition': 'Disposition',
}

/** What the values are within the query, and one click to keep or drop them. */
export function FacetList(props: { query: string; range: TimeRange; view: 'calls' | 'events'; onFilter: (term: string) => void }) {
  const fields = props.view === 'calls' ? callFacets : eventFacets
  return (
    <div className="space-y-4 p-3">
      {fields.map((field) => (
        <Facet key={field} field={field} {...props} />
      ))}
    </div>
  )
}

function Facet({ field, query, range, view, onFilter }: { field: string; query: string; range: TimeRange; view: string; onFilter: (term: string) => void }) {
  const facet = useQuery({
    queryKey: ['facet', field, query, range.from, range.until, view],
    queryFn: ({ signal }) => request(FacetReply, '/api/v1/facets', { params: { field, q: query, ...range, view }, signal }),
    placeholderData: (previous) => previous,
  })
  const values = facet.data?.values ?? []
  if (values.length === 0) return null
  const most = Math.max(...values.map(({ count }) => count))
  return (
    <section aria-label={titles[field] ?? field}>
      <h3 className="label mb-1">{titles[field] ?? field}</h3>
      <ul>
        {values.slice(0, 7).map(({ value, count }) => (
          <li key={value} className="group relative flex items-center rounded text-xs hover:bg-raised">
            <span aria-hidden className="absolute inset-y-0.5 left-0 rounded bg-accent-soft" style={{ width: `${(count / most) * 100}%` }} />
            <button
              type="button"
              title={`Only ${value.slice(0, 200)}`}
              onClick={() => onFilter(termOf(field, value))}
              className="relative flex min-w-0 flex-1 justify-between gap-2 px-1.5 py-1 text-left"
            >
              <span className="truncate">
                <HostileText text={value} limit={80} />
              </span>
              <span className="tabular-nums text-muted">{count.toLocaleString('en')}</span>
            </button>
            <button
              type="button"
              aria-label={`Not ${value.slice(0, 200)}`}
              title="Exclude"
              onClick={() => onFilter(`-${termOf(field, value)}`)}
              className="relative min-h-6 min-w-6 rounded px-1 text-muted hover:text-bad"
            >
              −
            </button>
          </li>
        ))}
        {values.length > 7 && <li className="px-1.5 text-xs text-muted">{values.length === 50 ? '43 or more' : values.length - 7} others</li>}
      </ul>
    </section>
  )
}
