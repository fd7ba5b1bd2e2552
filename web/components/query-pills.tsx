import { X } from 'lucide-react'
import { type QueryTerm, queryTerms, withoutTerm } from '../state/query-terms.ts'
import { HostileText } from './hostile-text.tsx'

/** The conditions of the query, each with its way out. */
export function QueryPills({
  query,
  onQuery,
}: {
  query: string
  onQuery: (query: string) => void
}) {
  const terms: readonly QueryTerm[] = queryTerms(query)
  if (terms.length === 0) return null
  return (
    <ul aria-label="Conditions" className="flex flex-wrap gap-1.5">
      {terms.map((term) => {
        const negative = /^(?:-|!|NOT\b)/i.test(term.text)
        return (
          <li
            key={term.from}
            className={`inline-flex max-w-full items-center gap-1 rounded border py-0 pl-2 font-mono text-xs ${negative ? 'border-bad/40 bg-bad-soft text-bad' : 'border-line bg-raised'}`}
          >
            <span className="truncate">
              <HostileText text={term.text} limit={120} />
            </span>
            <button
              type="button"
              className="inline-flex size-6 shrink-0 items-center justify-center rounded hover:bg-line"
              aria-label={`Remove ${term.text.slice(0, 120)}`}
              onClick={() => onQuery(withoutTerm(query, term))}
            >
              <X className="size-3" aria-hidden />
            </button>
          </li>
        )
      })}
    </ul>
  )
}
