'use client'

import { ArrowRight, Minus, Plus } from 'lucide-react'
import Link from 'next/link'
import type { EventDetail } from '../../schemas/api/event-detail.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { type EventField, eventFieldNames, eventFields } from '../../schemas/event/fields.ts'
import { formatDuration } from '../format/instant.ts'
import { termOf } from '../state/query-terms.ts'
import type { WrongCell } from '../verify/compare-cells.ts'
import { CopyButton } from './copy-button.tsx'
import { HostileText } from './hostile-text.tsx'
import { OutcomeLabel } from './outcome-label.tsx'

/** Shown under their own tabs. */
const elsewhere: ReadonlySet<EventField> = new Set<EventField>([
  'gen_ai.tool.call.arguments',
  'gen_ai.tool.call.result',
  'raw.record',
  'attributes',
  'tool.list',
  'redactions',
  'finding.explanation',
  'provenance',
  'tool.annotations',
])

const sections: readonly { title: string; holds: (field: EventField) => boolean }[] = [
  {
    title: 'Who',
    holds: (field) =>
      /^(?:user|mcp\.client|gen_ai\.agent|client|delegation|host|os|process|admin)\b/.test(field),
  },
  {
    title: 'What',
    holds: (field) =>
      /^(?:mcp\.server|gen_ai\.tool|tool|mcp\.resource|gen_ai\.prompt|mcp\.method|arguments|finding)\b/.test(
        field,
      ),
  },
  { title: 'Rights', holds: (field) => /^(?:auth|elevation|approval)\b/.test(field) },
  { title: 'Outcome', holds: (field) => /^(?:outcome|error|result|duration_ms|rpc)/.test(field) },
  { title: 'Time', holds: (field) => field.startsWith('time.') },
  { title: 'Everything else', holds: () => true },
]

/** Who, through which agent, did what, how it ended; then every field, as the ledger has it. */
export function EventOverview(props: {
  event: EventFields
  detail: EventDetail
  wrongCells: readonly WrongCell[]
  onFilter: ((term: string) => void) | undefined
  onContext: ((occurredAt: string) => void) | undefined
}) {
  const { event, detail, wrongCells, onFilter, onContext } = props
  const fields = eventFieldNames.filter(
    (field) => event[field] !== undefined && !elsewhere.has(field),
  )
  const wrong = new Map(wrongCells.map((cell) => [cell.field, cell]))
  const placed = new Set<EventField>()
  const occurred = event['time.occurred']
  return (
    <div className="space-y-5">
      <Sentence
        event={event}
        isErased={detail.evidence.withheld.some(({ reason }) => reason === 'erased')}
      />
      {detail.row.findings.length > 0 && (
        <div className="rounded-md border border-warn bg-warn-soft px-3 py-2">
          <p className="font-medium">
            {detail.row.findings.length === 1
              ? 'Evidence of a finding'
              : `Evidence of ${detail.row.findings.length} findings`}
          </p>
          {detail.row.findings.map((id, at) => (
            <Link key={id} href={`/findings/${id}`} className="block min-h-6 text-accent underline">
              See why it stands out
              {detail.row.findings.length > 1 && ` (${at + 1} of ${detail.row.findings.length})`}
            </Link>
          ))}
        </div>
      )}
      {onContext !== undefined && occurred !== undefined && (
        <button type="button" className="button" onClick={() => onContext(occurred)}>
          What happened around it, ± 1 minute
        </button>
      )}
      {sections.map(({ title, holds }) => {
        const own = fields.filter((field) => !placed.has(field) && holds(field))
        for (const field of own) placed.add(field)
        if (own.length === 0) return null
        return (
          <section key={title} aria-label={title}>
            <h3 className="label mb-1">{title}</h3>
            <dl className="divide-y divide-line/70 border-y border-line/70">
              {own.map((field) => (
                <Field
                  key={field}
                  field={field}
                  value={event[field]}
                  wrong={wrong.get(field)}
                  onFilter={onFilter}
                />
              ))}
            </dl>
          </section>
        )
      })}
    </div>
  )
}

function Sentence({ event, isErased }: { event: EventFields; isErased: boolean }) {
  if (event['finding.sentence'] !== undefined) {
    return (
      <p className="text-[15px] leading-relaxed">
        <HostileText text={event['finding.sentence']} />
      </p>
    )
  }
  if (event['event.class'] === 'finding' && isErased) {
    return <p className="text-[15px] text-muted">The text of this finding was erased.</p>
  }
  const who = event['user.name'] ?? event['user.email'] ?? event['user.id'] ?? event['admin.actor']
  const agent = event['gen_ai.agent.name'] ?? event['mcp.client.name']
  const server = event['mcp.server.name']
  const tool =
    event['gen_ai.tool.name'] ??
    event['mcp.method.name'] ??
    event['admin.action'] ??
    event['event.class'] ??
    'something'
  const steps = [
    {
      name: 'who',
      text: who ?? (isErased ? 'Somebody whose name was erased' : 'Somebody unnamed'),
    },
    ...(agent === undefined ? [] : [{ name: 'through', text: agent }]),
    { name: 'what', text: server === undefined ? tool : `${server} / ${tool}` },
  ]
  return (
    <p className="flex flex-wrap items-center gap-x-2 gap-y-1 text-[15px] leading-relaxed">
      {steps.map((step, at) => (
        <span key={step.name} className="inline-flex min-w-0 items-center gap-2">
          {at > 0 && <ArrowRight className="size-3.5 shrink-0 text-muted" aria-label="then" />}
          <span className="font-medium [overflow-wrap:anywhere]">
            <HostileText text={step.text} limit={160} />
          </span>
        </span>
      ))}
      {event['outcome.status'] !== undefined && (
        <span className="inline-flex items-center gap-2">
          <ArrowRight className="size-3.5 text-muted" aria-label="then" />
          <OutcomeLabel outcome={event['outcome.status']} />
          {event.duration_ms !== undefined && (
            <span className="text-[13px] text-muted">in {formatDuration(event.duration_ms)}</span>
          )}
        </span>
      )}
    </p>
  )
}

const action =
  'inline-flex size-6 items-center justify-center rounded text-muted hover:bg-raised hover:text-text'

function Field({
  field,
  value,
  wrong,
  onFilter,
}: {
  field: EventField
  value: unknown
  wrong: WrongCell | undefined
  onFilter: ((term: string) => void) | undefined
}) {
  const { type, doc } = eventFields[field]
  const text =
    typeof value === 'string'
      ? value
      : Array.isArray(value)
        ? value.map(String).join(', ')
        : JSON.stringify(value)
  const filterable = onFilter !== undefined && type === 'keyword' && text.length <= 256
  return (
    <div
      className={`group relative grid grid-cols-[11rem_1fr] items-baseline gap-3 py-1 ${wrong === undefined ? '' : 'bg-bad-soft'}`}
    >
      <dt className="truncate text-xs text-muted" title={doc}>
        {field}
      </dt>
      <dd className="min-w-0 font-mono text-xs leading-5 [overflow-wrap:anywhere]">
        {text === '' ? (
          <span className="text-muted">empty</span>
        ) : (
          <HostileText text={text} limit={2000} />
        )}
        {wrong !== undefined && (
          <span className="block font-sans font-semibold text-bad">
            {wrong.shown === undefined ? (
              'The list leaves it out'
            ) : (
              <>
                The list shows <HostileText text={wrong.shown} limit={200} />
              </>
            )}
          </span>
        )}
        <span className="absolute right-0 top-0 inline-flex rounded border border-line bg-panel opacity-0 focus-within:opacity-100 group-hover:opacity-100">
          {filterable && (
            <>
              <button
                type="button"
                className={action}
                title="Only this"
                aria-label={`Only this ${field}`}
                onClick={() => onFilter(termOf(field, text))}
              >
                <Plus className="size-3.5" aria-hidden />
              </button>
              <button
                type="button"
                className={action}
                title="Not this"
                aria-label={`Not this ${field}`}
                onClick={() => onFilter(`-${termOf(field, text)}`)}
              >
                <Minus className="size-3.5" aria-hidden />
              </button>
            </>
          )}
          <CopyButton text={text} label={`Copy ${field}`} className={action} />
        </span>
      </dd>
    </div>
  )
}
