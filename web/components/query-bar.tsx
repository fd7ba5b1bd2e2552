'use client'

import { useQuery } from '@tanstack/react-query'
import { Search } from 'lucide-react'
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react'
import { FacetReply } from '../../schemas/api/search.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import { type EventField, eventFieldNames, eventFields, isEventField } from '../../schemas/event/fields.ts'
import { explainQuery } from '../../schemas/query/explain-query.ts'
import { parseQuery } from '../../schemas/query/parse-query.ts'
import { queryAliases } from '../../schemas/query/query.ts'
import { request } from '../api/request.ts'
import type { TimeRange } from '../state/time-range.ts'

interface Suggestion {
  readonly text: string
  readonly doc: string
}

/** The query: what it means in plain English below, what is wrong with it underlined, names and values completed. */
export function QueryBar(props: { query: string; onRun: (query: string) => void; range: TimeRange; view: string }) {
  const [text, setText] = useState(props.query)
  const [active, setActive] = useState(-1)
  const [open, setOpen] = useState(false)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => setText(props.query), [props.query])
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      const target = event.target
      const typing = target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)
      if (event.key === '/' && !typing) {
        event.preventDefault()
        input.current?.focus()
      }
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  const reading = useMemo(() => read(text), [text])
  const suggestions = useSuggestions(text, open, props.range, props.view)
  const accept = (suggestion: Suggestion) => {
    setText(text.replace(/\S*$/, suggestion.text))
    setActive(-1)
    input.current?.focus()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const chosen = suggestions[active]
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault()
      setOpen(true)
      const step = event.key === 'ArrowDown' ? 1 : -1
      setActive((at) => Math.max(-1, Math.min(suggestions.length - 1, at + step)))
    } else if ((event.key === 'Tab' || event.key === 'Enter') && open && chosen !== undefined) {
      event.preventDefault()
      accept(chosen)
    } else if (event.key === 'Enter') {
      setOpen(false)
      if (reading.error === undefined) props.onRun(text.trim())
    } else if (event.key === 'Escape') {
      setOpen(false)
      setActive(-1)
    }
  }
  return (
    <div className="relative min-w-0 flex-1">
      <Search className="pointer-events-none absolute left-3 top-2.5 size-4 text-muted" aria-hidden />
      <input
        ref={input}
        className="field pl-9 font-mono text-sm"
        role="combobox"
        aria-label="Query"
        aria-expanded={open && suggestions.length > 0}
        aria-controls="query-suggestions"
        aria-activedescendant={active >= 0 ? `suggestion-${active}` : undefined}
        aria-invalid={reading.error !== undefined}
        aria-describedby="query-explained"
        placeholder='tool:send_mail outcome:denied "free text"   press / to search'
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(event) => {
          setText(event.target.value)
          setOpen(true)
          setActive(-1)
        }}
        onBlur={() => setTimeout(() => setOpen(false), 150)}
        onKeyDown={onKeyDown}
      />
      <p id="query-explained" className="mt-1 h-5 truncate text-xs text-muted">
        {reading.error === undefined ? (
          text.trim() === '' ? 'Everything in this time range.' : `Shows where ${reading.explained}.`
        ) : (
          <span className="text-bad">
            {reading.error.message}
            {reading.error.marked !== '' && (
              <>
                : <span className="font-mono underline decoration-wavy">{reading.error.marked}</span>
              </>
            )}
          </span>
        )}
      </p>
      {open && suggestions.length > 0 && (
        <div id="query-suggestions" role="listbox" className="panel absolute left-0 top-11 z-20 max-h-72 w-full max-w-xl overflow-auto py-1 shadow-lg">
          {suggestions.map((suggestion, i) => (
            <div
              key={suggestion.text}
              id={`suggestion-${i}`}
              role="option"
              aria-selected={i === active}
              tabIndex={-1}
              onMouseDown={(event) => {
                event.preventDefault()
                accept(suggestion)
              }}
              className={`flex cursor-pointer gap-3 px-3 py-1 ${i === active ? 'bg-accent-soft' : 'hover:bg-raised'}`}
            >
              <span className="shrink-0 font-mono text-sm">{suggestion.text}</span>
              <span className="truncate text-xs leading-6 text-muted">{suggestion.doc}</span>
            </div>
          ))}
        </div>
      )}
    </div>
  )
}

function read(text: string): { explained: string; error?: { message: string; marked: string } } {
  try {
    return { explained: explainQuery(parseQuery(text)) }
  } catch (error) {
    const span = isSealtrailError(error) ? error.details?.span : undefined
    const marked = isSpan(span) ? text.slice(span.from, span.until) : ''
    return { explained: '', error: { message: error instanceof Error ? error.message : String(error), marked } }
  }
}

function isSpan(value: unknown): value is { from: number; until: number } {
  return typeof value === 'object' && value !== null && 'from' in value && 'until' in value
}

/** Field names for the word at the end; values of the field once a colon stands there. */
function useSuggestions(text: string, enabled: boolean, range: TimeRange, view: string): readonly Suggestion[] {
  const word = /\S*$/.exec(text)?.[0] ?? ''
  const colon = word.indexOf(':')
  const name = word.slice(0, colon).replace(/^[-!(]+/, '')
  const typed = word.slice(colon + 1).replace(/^"/, '')
  const field = fieldOf(name)
  const facet = useQuery({
    queryKey: ['values', field, typed, range.from.slice(0, 16), range.until.slice(0, 16), view],
    enabled: enabled && colon > 0 && field !== undefined,
    queryFn: ({ signal }) => request(FacetReply, '/api/v1/facets', { params: { field, ...range, view, contains: typed }, signal }),
  })
  if (!enabled || word === '') return []
  if (colon > 0) {
    return (facet.data?.values ?? []).slice(0, 10).map(({ value, count }) => ({
      text: `${word.slice(0, colon + 1)}${/^[\w./@-]+$/.test(value) ? value : JSON.stringify(value)} `,
      doc: `${count.toLocaleString('en')} in this range`,
    }))
  }
  const prefix = /^[-!(]*/.exec(word)?.[0] ?? ''
  const wanted = word.slice(prefix.length).toLowerCase()
  const names = [...Object.keys(queryAliases), ...eventFieldNames]
  return names
    .filter((each) => each.toLowerCase().includes(wanted))
    .sort((a, b) => Number(b.startsWith(wanted)) - Number(a.startsWith(wanted)))
    .slice(0, 10)
    .map((each) => ({ text: `${prefix}${each}:`, doc: docOf(each) }))
}

function fieldOf(name: string): EventField | undefined {
  const field = Object.hasOwn(queryAliases, name) ? queryAliases[name]?.[0] : name
  if (field === undefined || !isEventField(field)) return undefined
  const { type } = eventFields[field]
  return type === 'keyword' || type === 'list' ? field : undefined
}

function docOf(name: string): string {
  if (isEventField(name)) return eventFields[name].doc
  return (queryAliases[name] ?? []).join(', ')
}
