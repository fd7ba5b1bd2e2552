'use client'

import { useVirtualizer } from '@tanstack/react-virtual'
import { Minus, Plus } from 'lucide-react'
import { memo, useEffect, useMemo, useRef, useState } from 'react'
import type { EventRow } from '../../schemas/api/search.ts'
import { copyText } from '../format/copy-text.ts'
import { termOf } from '../state/query-terms.ts'
import { CopyButton } from './copy-button.tsx'
import { useElementWidth } from './element-width.ts'
import {
  cellOf,
  columnsFor,
  type EventColumn,
  gridTemplate,
  type Verdicts,
} from './event-columns.tsx'
import { isShortcut } from './typing-target.ts'

const rowHeightPx = 30

/** A value longer than this is searched for by its words, not by a condition. */
const maxTermChars = 256

/**
 * Rows of a result, newest first; only those in sight are drawn. j and k or the arrows move, Enter opens, + and - keep
 * or drop the value of a cell.
 */
export function EventsTable(props: {
  rows: readonly EventRow[]
  total: number
  /** The rows are of the query before; the new ones are on their way. */
  stale: boolean
  view: 'calls' | 'events'
  selected: string | null
  verdicts: Verdicts
  onSelect: (eventId: string) => void
  onFilter: (term: string) => void
  onEnd: () => void
}) {
  const { rows, view, selected, verdicts, onSelect, onFilter, onEnd } = props
  const scroller = useRef<HTMLDivElement>(null)
  const widthPx = useElementWidth(scroller) ?? 1000
  const columns = useMemo(() => columnsFor(view, widthPx), [view, widthPx])
  const [cursor, setCursor] = useState({ row: -1, column: -1 })
  const [hovered, setHovered] = useState<{ row: number; column: number }>()
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
  useEffect(() => {
    const at = rows.findIndex(({ eventId }) => eventId === selected)
    if (at >= 0) setCursor((known) => ({ ...known, row: at }))
  }, [selected, rows])

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const inGrid =
        event.target instanceof Node && scroller.current?.contains(event.target) === true
      if (!isShortcut(event) || (!inGrid && event.target !== document.body)) return
      const move = (row: number, column: number) => {
        event.preventDefault()
        const next = {
          row: Math.max(0, Math.min(rows.length - 1, row)),
          column: Math.max(0, Math.min(columns.length - 1, column)),
        }
        setCursor(next)
        virtual.scrollToIndex(next.row)
        scroller.current?.focus({ preventScroll: true })
        // With an event open the reader walks from event to event.
        const under = rows[next.row]
        if (selected !== null && next.row !== cursor.row && under !== undefined)
          onSelect(under.eventId)
      }
      const row = rows[cursor.row]
      const column = columns[cursor.column]
      switch (event.key) {
        case 'j':
        case 'ArrowDown':
          return move(cursor.row + 1, cursor.column)
        case 'k':
        case 'ArrowUp':
          return move(cursor.row - 1, cursor.column)
        case 'ArrowRight':
          return move(cursor.row, cursor.column + 1)
        case 'ArrowLeft':
          return move(cursor.row, cursor.column - 1)
        case 'Home':
          return move(0, cursor.column)
        case 'End':
          return move(rows.length - 1, cursor.column)
        case 'Enter':
          if (row !== undefined) onSelect(row.eventId)
          return
        case '+':
        case '-':
        case 'c': {
          if (row === undefined || column === undefined) return
          const { field, value } = cellOf(column, row)
          if (event.key === 'c') void copyText(value)
          else if (field !== undefined && value.length <= maxTermChars) {
            onFilter(`${event.key === '-' ? '-' : ''}${termOf(field, value)}`)
          }
        }
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [rows, columns, cursor, selected, onSelect, onFilter, virtual])

  const template = gridTemplate(columns)
  const active = rows[cursor.row]
  return (
    // biome-ignore lint/a11y/useSemanticElements: a virtual grid cannot be a table element
    <div
      ref={scroller}
      role="grid"
      aria-label="Results"
      aria-busy={props.stale}
      aria-rowcount={props.total + 1}
      aria-activedescendant={active === undefined ? undefined : `row-${active.eventId}`}
      tabIndex={0}
      className={`min-h-0 flex-1 overflow-auto bg-panel outline-none focus-visible:ring-2 focus-visible:ring-accent focus-visible:ring-inset ${props.stale ? 'opacity-60' : ''}`}
      onPointerLeave={() => setHovered(undefined)}
    >
      {/* biome-ignore lint/a11y/useSemanticElements: part of the virtual grid */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: the header row is not a stop */}
      <div
        role="row"
        aria-rowindex={1}
        className="sticky top-0 z-10 grid border-b border-line bg-raised px-3"
        style={{ gridTemplateColumns: template }}
      >
        {columns.map(({ id, title, align }) => (
          // biome-ignore lint/a11y/useSemanticElements: part of the virtual grid
          // biome-ignore lint/a11y/useFocusableInteractive: the header row is not a stop
          <span
            key={id}
            role="columnheader"
            className={`label truncate py-1.5 pr-3 ${align === 'right' ? 'text-right' : ''}`}
          >
            {title}
          </span>
        ))}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: part of a virtual grid, which cannot be a table element */}
      <div className="relative" role="rowgroup" style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const row = rows[item.index]
          if (row === undefined) return null
          return (
            <Row
              key={row.eventId}
              row={row}
              index={item.index}
              topPx={item.start}
              columns={columns}
              template={template}
              verdicts={verdicts}
              selected={row.eventId === selected}
              active={item.index === cursor.row}
              activeColumn={
                hovered?.row === item.index
                  ? hovered.column
                  : item.index === cursor.row
                    ? cursor.column
                    : -1
              }
              onSelect={onSelect}
              onFilter={onFilter}
              onHover={setHovered}
            />
          )
        })}
      </div>
    </div>
  )
}

interface RowProps {
  readonly row: EventRow
  readonly index: number
  readonly topPx: number
  readonly columns: readonly EventColumn[]
  readonly template: string
  readonly verdicts: Verdicts
  readonly selected: boolean
  readonly active: boolean
  readonly activeColumn: number
  readonly onSelect: (eventId: string) => void
  readonly onFilter: (term: string) => void
  readonly onHover: (place: { row: number; column: number }) => void
}

const Row = memo(function Row(props: RowProps) {
  const { row, index, columns, verdicts, selected, active, onSelect } = props
  const failed = verdicts.get(row.eventId) === 'failed'
  const background = failed ? 'bg-bad-soft' : selected ? 'bg-accent-soft' : 'hover:bg-raised'
  return (
    // biome-ignore lint/a11y/useSemanticElements: part of the virtual grid
    // biome-ignore lint/a11y/useFocusableInteractive: the grid holds the focus, rows are moved by keys
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid handles the keys
    <div
      role="row"
      id={`row-${row.eventId}`}
      aria-rowindex={index + 2}
      aria-selected={selected}
      data-event={row.eventId}
      onClick={() => onSelect(row.eventId)}
      className={`absolute inset-x-0 grid cursor-pointer items-center border-b border-line/60 px-3 ${background} ${active ? 'shadow-[inset_2px_0_0_var(--accent)]' : ''}`}
      style={{
        gridTemplateColumns: props.template,
        height: rowHeightPx,
        transform: `translateY(${props.topPx}px)`,
      }}
    >
      {columns.map((column, at) => {
        const { field, value } = cellOf(column, row)
        return (
          // biome-ignore lint/a11y/useSemanticElements: part of the virtual grid
          // biome-ignore lint/a11y/useFocusableInteractive: the grid holds the focus
          <span
            key={column.id}
            role="gridcell"
            className={`relative truncate pr-3 ${column.align === 'right' ? 'text-right' : ''}`}
            onPointerEnter={() => props.onHover({ row: index, column: at })}
          >
            {column.render(row, value, verdicts)}
            {at === props.activeColumn && field !== undefined && (
              <CellActions field={field} value={value} onFilter={props.onFilter} />
            )}
          </span>
        )
      })}
    </div>
  )
})

const cellButton =
  'inline-flex size-6 items-center justify-center rounded text-muted hover:bg-raised hover:text-text'

function CellActions({
  field,
  value,
  onFilter,
}: {
  field: string
  value: string
  onFilter: (term: string) => void
}) {
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: only keeps a click from opening the row
    // biome-ignore lint/a11y/noStaticElementInteractions: only keeps a click from opening the row
    <span
      className="absolute right-0 top-1/2 inline-flex -translate-y-1/2 rounded border border-line bg-panel shadow-sm"
      onClick={(event) => event.stopPropagation()}
    >
      {value.length <= maxTermChars && (
        <>
          <button
            type="button"
            tabIndex={-1}
            className={cellButton}
            title="Only this (+)"
            aria-label={`Only this ${field}`}
            onClick={() => onFilter(termOf(field, value))}
          >
            <Plus className="size-3.5" aria-hidden />
          </button>
          <button
            type="button"
            tabIndex={-1}
            className={cellButton}
            title="Not this (-)"
            aria-label={`Not this ${field}`}
            onClick={() => onFilter(`-${termOf(field, value)}`)}
          >
            <Minus className="size-3.5" aria-hidden />
          </button>
        </>
      )}
      <CopyButton text={value} label="Copy value (c)" className={cellButton} />
    </span>
  )
}
