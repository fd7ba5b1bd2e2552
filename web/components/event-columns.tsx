import { CircleCheck, CircleX, TriangleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import type { EventRow } from '../../schemas/api/search.ts'
import { type EventField, isEventField } from '../../schemas/event/fields.ts'
import { cellFields } from '../format/cell-fields.ts'
import { formatDuration } from '../format/instant.ts'
import type { Verification } from '../verify/verify-evidence.ts'
import { HostileText } from './hostile-text.tsx'
import { OutcomeLabel } from './outcome-label.tsx'

export type Verdicts = ReadonlyMap<string, Verification['state']>

export interface EventColumn {
  readonly id: string
  readonly title: string
  /** Pixels below which the column is left out, and its share of what is left over. */
  readonly minPx: number
  readonly share: number
  /** The lower, the earlier it goes when room is short; undefined stays. */
  readonly goesAt?: number
  readonly align?: 'right'
  /** Fields that the cell shows, best first: the first that a row has is what + and - filter by. */
  readonly fields: readonly EventField[]
  readonly render: (row: EventRow, value: string, verdicts: Verdicts) => ReactNode
}

const text = (limit: number) => (_row: EventRow, value: string) => (
  <HostileText text={value} limit={limit} />
)
const mono = (limit: number) => (_row: EventRow, value: string) => (
  <span className="font-mono text-xs">
    <HostileText text={value.replaceAll(/\s+/g, ' ')} limit={limit} />
  </span>
)

const time: EventColumn = {
  id: 'time',
  title: 'Time (UTC)',
  minPx: 152,
  share: 0,
  fields: cellFields.time,
  render: (_row, value) => (
    <span className="font-mono text-xs tabular-nums" title={value}>
      <span className="text-muted">{value.slice(5, 10)}</span> {value.slice(11, 23)}
    </span>
  ),
}

const leaf: EventColumn = {
  id: 'leaf',
  title: 'Leaf',
  minPx: 84,
  share: 0,
  fields: [],
  render: (row, _value, verdicts) => <LeafBadge row={row} verdict={verdicts.get(row.eventId)} />,
}

const shared: readonly EventColumn[] = [
  {
    id: 'user',
    title: 'User',
    minPx: 92,
    share: 1,
    goesAt: 6,
    fields: cellFields.user,
    render: text(60),
  },
  {
    id: 'agent',
    title: 'Agent',
    minPx: 122,
    share: 1,
    goesAt: 3,
    fields: cellFields.agent,
    render: text(60),
  },
  {
    id: 'server',
    title: 'Server',
    minPx: 84,
    share: 0.6,
    goesAt: 5,
    fields: cellFields.server,
    render: text(40),
  },
  {
    id: 'tool',
    title: 'Tool',
    minPx: 132,
    share: 1.2,
    fields: cellFields.tool,
    render: (_row, value) => (
      <span className="font-medium">
        <HostileText text={value} limit={60} />
      </span>
    ),
  },
  {
    id: 'outcome',
    title: 'Outcome',
    minPx: 104,
    share: 0,
    fields: cellFields.outcome,
    render: (_row, value) => <OutcomeLabel outcome={value} />,
  },
  {
    id: 'latency',
    title: 'Latency',
    minPx: 78,
    share: 0,
    goesAt: 2,
    align: 'right',
    fields: cellFields.latency,
    render: (row) => (
      <span className="tabular-nums text-muted">{formatDuration(row.event.duration_ms)}</span>
    ),
  },
  {
    id: 'scopes',
    title: 'Scopes',
    minPx: 108,
    share: 0.7,
    goesAt: 1,
    fields: cellFields.scopes,
    render: text(60),
  },
  {
    id: 'arguments',
    title: 'Arguments',
    minPx: 170,
    share: 2.6,
    goesAt: 4,
    fields: cellFields.arguments,
    render: mono(240),
  },
]

const eventClass: EventColumn = {
  id: 'class',
  title: 'Class',
  minPx: 92,
  share: 0.3,
  fields: cellFields.class,
  render: (_row, value) => value.replaceAll('_', ' '),
}

/** The columns that fit: what says least goes first. */
export function columnsFor(view: 'calls' | 'events', widthPx: number): readonly EventColumn[] {
  let columns = [time, leaf, ...(view === 'events' ? [eventClass] : []), ...shared]
  while (columns.reduce((sum, { minPx }) => sum + minPx, 24) > widthPx) {
    const droppable = columns.filter(({ goesAt }) => goesAt !== undefined)
    const first = droppable.sort((a, b) => (a.goesAt ?? 0) - (b.goesAt ?? 0))[0]
    if (first === undefined) break
    columns = columns.filter((column) => column !== first)
  }
  return columns
}

export function gridTemplate(columns: readonly EventColumn[]): string {
  return columns
    .map(({ minPx, share }) => (share === 0 ? `${minPx}px` : `minmax(${minPx}px, ${share}fr)`))
    .join(' ')
}

/** What a cell shows and filters by. */
export function cellOf(
  column: EventColumn,
  row: EventRow,
): { field: EventField | undefined; value: string } {
  for (const field of column.fields) {
    const value = row.event[field]
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue
    if (typeof value === 'string') return { field, value }
    if (Array.isArray(value) && isEventField(field) && field.startsWith('auth.'))
      return { field, value: value.map(String).join(' ') }
    return { field, value: JSON.stringify(value) }
  }
  return { field: undefined, value: '' }
}

const verdictTexts = {
  verified: 'verified in this browser',
  partial: 'verified in this browser, parts withheld',
  pending: 'durable, not published yet',
  failed: 'verification FAILED',
} as const

/** Place in the ledger, what this browser found when it checked it, and whether a finding names it. */
function LeafBadge({
  row,
  verdict,
}: {
  row: EventRow
  verdict: Verification['state'] | undefined
}) {
  const tone =
    verdict === 'failed'
      ? 'font-semibold text-bad'
      : verdict === 'verified'
        ? 'text-ok'
        : 'text-muted'
  return (
    <span className="flex items-center gap-1">
      <span
        className={`inline-flex items-center gap-1 font-mono text-xs tabular-nums ${tone}`}
        title={
          verdict === undefined ? 'Open it to verify it in this browser' : verdictTexts[verdict]
        }
      >
        {verdict === 'verified' && <CircleCheck className="size-3.5" aria-label="verified" />}
        {verdict === 'failed' && <CircleX className="size-3.5" aria-label="verification failed" />}
        {row.leafIndex}
      </span>
      {row.findings.length > 0 && (
        <TriangleAlert
          className="size-3.5 shrink-0 text-bad"
          aria-label={
            row.findings.length === 1
              ? 'evidence of a finding'
              : `evidence of ${row.findings.length} findings`
          }
        />
      )}
    </span>
  )
}
