import { queryTerms, withoutTerm } from '../state/query-terms.ts'
import { describeTimeRange, presets } from '../state/time-range.ts'
import { HostileText } from './hostile-text.tsx'
import { Empty } from './states.tsx'

/** Nothing fits: which condition to drop, or how much further to look. */
export function NoMatch(props: {
  query: string
  time: string
  view: string
  onQuery: (query: string) => void
  onTime: (time: string) => void
}) {
  const { query, time, view, onQuery, onTime } = props
  const terms = queryTerms(query)
  const at = presets.findIndex((preset) => String(preset) === time)
  const wider = presets[at === -1 ? presets.length - 2 : at + 1]
  return (
    <Empty title={`No ${view} match`}>
      <p>Nothing in this time range fits every condition.</p>
      <div className="mt-4 flex flex-wrap justify-center gap-2">
        {terms.length > 1 &&
          terms.map((term) => (
            <button
              key={term.from}
              type="button"
              className="button max-w-full"
              onClick={() => onQuery(withoutTerm(query, term))}
            >
              Without{' '}
              <code className="truncate font-mono text-xs">
                <HostileText text={term.text} limit={60} />
              </code>
            </button>
          ))}
        <button type="button" className="button" onClick={() => onQuery('')}>
          Clear the query
        </button>
        {wider !== undefined && wider !== time && (
          <button type="button" className="button" onClick={() => onTime(wider)}>
            {describeTimeRange(wider)}
          </button>
        )}
      </div>
    </Empty>
  )
}
