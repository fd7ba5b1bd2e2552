'use client'

import { useVirtualizer } from '@tanstack/react-virtual'
import { TriangleAlert } from 'lucide-react'
import { type KeyboardEvent, useEffect, useRef } from 'react'
import type { EventRow } from '../../schemas/api/search.ts'
import { formatDuration, formatInstant } from '../format/instant.ts'
import { HostileText } from './hostile-text.tsx'

const columns = [
  { title: 'Time (UTC)', width: '11.5rem' },
  { title: '', width: '1.5rem' },
  { title: 'Who', width: '10rem' },
  { title: 'Server', width: '7rem' },
  { title: 'Tool', width: '10rem' },
  { title: 'Outcome', width: '7rem' },
  { title: 'Took', width: '4.5rem' },
  { title: 'Scopes', width: '9rem' },
  { title: 'Arguments', width: 'minmax(12rem, 1fr)' },
] as const
const template = columns.map(({ width }) => width).join(' ')
const rowHeightPx = 30

/** Rows of a result, newest first; only those in sight are drawn. j and k or the arrows move, Enter opens. */
export function EventsTable(props: {
  rows: readonly EventRow[]
  selected: string | null
  onSelect: (eventId: string) => void
  onEnd: () => void
}) {
  const { rows, selected, onSelect, onEnd } = props
  const scroller = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeightPx,
    overscan: 12,
  })
  const items = virtual.getVirtualItems()
  const lastShown = items.at(-1)?.index ?? 0
  useEffect(() => {
    if (rows.length > 0 && lastShown >= rows.length - 20) onEnd()
  }, [lastShown, rows.length, onEnd])
  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === 'j' || event.key === 'ArrowDown' ? 1 : event.key === 'k' || event.key === 'ArrowUp' ? -1 : 0
    if (step === 0) return
    event.preventDefault()
    const at = rows.findIndex(({ eventId }) => eventId === selected)
    const next = Math.max(0, Math.min(rows.length - 1, at + step))
    const row = rows[next]
    if (row === undefined) return
    virtual.scrollToIndex(next)
    onSelect(row.eventId)
    requestAnimationFrame(() => scroller.current?.focus())
  }
  return (
    // biome-ignore lint/a11y/useSemanticElements: a virtual grid cannot be a table element
    <div
      ref={scroller}
      role="grid"
      aria-label="Results"
      aria-rowcount={rows.length}
      tabIndex={0}
      onKeyDown={onKeyDown}
      className="min-h-0 flex-1 overflow-auto outline-none focus-visible:ring-2 focus-visible:ring-accent focus-visible:ring-inset"
    >
      <div className="min-w-[64rem]">
        {/* biome-ignore lint/a11y/useSemanticElements: part of the virtual grid */}
        {/* biome-ignore lint/a11y/useFocusableInteractive: the header row is not a stop */}
        <div role="row" className="sticky top-0 z-10 grid border-b border-line bg-panel px-3" style={{ gridTemplateColumns: template }}>
          {columns.map(({ title }) => (
            // biome-ignore lint/a11y/useSemanticElements: part of the virtual grid
            // biome-ignore lint/a11y/useFocusableInteractive: the header row is not a stop
            <span key={title} role="columnheader" className="label truncate py-1.5 pr-3">
              {title === '' ? <span className="sr-only">Findings</span> : title}
            </span>
          ))}
        </div>
        <div className="relative" style={{ height: virtual.getTotalSize() }}>
          {items.map((item) => {
            const row = rows[item.index]
            if (row === undefined) return null
            return <Row key={row.eventId} row={row} index={item.index} top={item.start} selected={row.eventId === selected} onSelect={onSelect} />
          })}
        </div>
      </div>
    </div>
  )
}

function Row({ row, index, top, selected, onSelect }: { row: EventRow; index: number; top: number; selected: boolean; onSelect: (id: string) => void }) {
  const { event } = row
  const who = event['user.name'] ?? event['user.email'] ?? event['user.id']
  const agent = event['gen_ai.agent.name'] ?? event['mcp.client.name'] ?? event['admin.actor']
  const cells = [
    <span key="time" className="font-mono text-xs tabular-nums">
      {formatInstant(event['time.occurred'])}
    </span>,
    row.findings.length > 0 ? <TriangleAlert key="finding" className="size-4 text-bad" aria-label={`evidence of ${row.findings.length} findings`} /> : null,
    <HostileText key="who" text={[who, agent].filter((part) => part !== undefined).join(' · ')} limit={60} />,
    <HostileText key="server" text={event['mcp.server.name'] ?? ''} limit={40} />,
    <span key="tool" className="font-medium">
      <HostileText text={event['gen_ai.tool.name'] ?? event['mcp.method.name'] ?? event['admin.action'] ?? event['event.class'] ?? ''} limit={60} />
    </span>,
    <Outcome key="outcome" status={event['outcome.status'] ?? event['source.signal'] ?? event['record.disposition']} />,
    <span key="took" className="tabular-nums text-muted">
      {formatDuration(event.duration_ms)}
    </span>,
    <HostileText key="scopes" text={(event['auth.scopes.granted'] ?? event['auth.scopes.required'] ?? []).join(' ')} limit={60} />,
    <span key="arguments" className="font-mono text-xs">
      <HostileText text={oneLine(event['gen_ai.tool.call.arguments'] ?? event['mcp.resource.uri'] ?? event['record.reason'] ?? '')} limit={200} />
    </span>,
  ]
  return (
    // biome-ignore lint/a11y/useSemanticElements: part of the virtual grid
    // biome-ignore lint/a11y/useFocusableInteractive: the grid holds the focus, rows are moved by keys
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid handles the keys
    <div
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selected}
      data-event={row.eventId}
      onClick={() => onSelect(row.eventId)}
      className={`absolute inset-x-0 grid cursor-pointer items-center border-b border-line/60 px-3 ${selected ? 'bg-accent-soft' : index % 2 === 0 ? 'hover:bg-raised' : 'bg-panel hover:bg-raised'}`}
      style={{ gridTemplateColumns: template, height: rowHeightPx, transform: `translateY(${top}px)` }}
    >
      {cells.map((cell, i) => (
        // biome-ignore lint/a11y/useSemanticElements: part of the virtual grid
        // biome-ignore lint/a11y/useFocusableInteractive: the grid holds the focus
        <span key={columns[i]?.title} role="gridcell" className="truncate pr-3">
          {cell}
        </span>
      ))}
    </div>
  )
}

const outcomeStyles: Readonly<Record<string, string>> = {
  success: 'text-ok',
  denied: 'bg-bad-soft text-bad font-semibold',
  tool_error: 'bg-warn-soft text-warn',
  protocol_error: 'bg-warn-soft text-warn',
  rejected: 'bg-bad-soft text-bad',
  unmapped: 'bg-warn-soft text-warn',
  gap: 'bg-bad-soft text-bad font-semibold',
}

function Outcome({ status }: { status: string | undefined }) {
  if (status === undefined) return null
  return <span className={`rounded px-1.5 py-0.5 text-xs ${outcomeStyles[status] ?? 'text-muted'}`}>{status.replaceAll('_', ' ')}</span>
}

function oneLine(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return text.replaceAll(/\s+/g, ' ')
}
