'use client'

import { useQuery } from '@tanstack/react-query'
import { Search, X } from 'lucide-react'
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react'
import { FacetReply } from '../../schemas/api/search.ts'
import {
  type EventField,
  eventFieldNames,
  eventFields,
  isEventField,
} from '../../schemas/event/fields.ts'
import { queryAliases } from '../../schemas/query/query.ts'
import { request } from '../api/request.ts'
import { termOf } from '../state/query-terms.ts'
import { readQuery } from '../state/read-query.ts'
import type { TimeRange } from '../state/time-range.ts'
import { isShortcut } from './typing-target.ts'

interface Suggestion {
  readonly text: string
  readonly doc: string
}

/** The query: what it means in plain English below, what is wrong with it underlined, names and values completed. */
export function QueryBar(props: {
  query: string
  onRun: (query: string) => void
  range: TimeRange
  view: string
}) {
  const [text, setText] = useState(props.query)
  const [caret, setCaret] = useState(props.query.length)
  const [active, setActive] = useState(-1)
  const [open, setOpen] = useState(false)
  const [scrollPx, setScrollPx] = useState(0)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => setText(props.query), [props.query])
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key !== '/' || !isShortcut(event)) return
      event.preventDefault()
      input.current?.focus()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  const reading = useMemo(() => readQuery(text), [text])
  const word = /\S*$/.exec(text.slice(0, caret))?.[0] ?? ''
  const suggestions = useSuggestions(word, open, props.range, props.view)
  const accept = (suggestion: Suggestion) => {
    const before = text.slice(0, caret - word.length) + suggestion.text
    setText(before + text.slice(caret))
    setCaret(before.length)
    setActive(-1)
    requestAnimationFrame(() => input.current?.setSelectionRange(before.length, before.length))
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
      if (reading.problem === undefined) props.onRun(text.trim())
    } else if (event.key === 'Escape') {
      if (open) event.stopPropagation()
      else input.current?.blur()
      setOpen(false)
      setActive(-1)
    }
  }
  const { problem } = reading
  return (
    <div className="relative min-w-0 flex-1 max-md:basis-full">
      <div className="relative">
        <Search
          className="pointer-events-none absolute left-3 top-2.5 size-4 text-muted"
          aria-hidden
        />
        <input
          ref={input}
          className={`field h-9 pl-9 pr-9 font-mono text-[13px] ${problem === undefined ? '' : 'border-bad'}`}
          role="combobox"
          aria-label="Query"
          aria-expanded={open && suggestions.length > 0}
          aria-controls="query-suggestions"
          aria-activedescendant={active >= 0 ? `suggestion-${active}` : undefined}
          aria-autocomplete="list"
          aria-invalid={problem !== undefined}
          aria-describedby="query-explained"
          placeholder={'tool:send_mail outcome:denied "free text"'}
          spellCheck={false}
          autoComplete="off"
          value={text}
          onScroll={(event) => setScrollPx(event.currentTarget.scrollLeft)}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart ?? 0)}
          onChange={(event) => {
            setText(event.target.value)
            setCaret(event.target.selectionStart ?? event.target.value.length)
            setOpen(true)
            setActive(-1)
          }}
          onBlur={() => setTimeout(() => setOpen(false), 150)}
          onKeyDown={onKeyDown}
        />
        {problem?.span !== undefined && (
          <div
            aria-hidden
            className="pointer-events-none absolute inset-y-0 left-9 right-9 overflow-hidden"
          >
            <div
              className="whitespace-pre border border-transparent font-mono text-[13px] leading-9 text-transparent"
              style={{ transform: `translateX(${1 - scrollPx}px)` }}
            >
              {text.slice(0, problem.span.from)}
              <span className="underline decoration-bad decoration-wavy decoration-2 underline-offset-4">
                {text.slice(problem.span.from, problem.span.until) || ' '}
              </span>
            </div>
          </div>
        )}
        {text !== '' && (
          <button
            type="button"
            aria-label="Clear the query"
            className="icon-button absolute right-1.5 top-1"
            onClick={() => {
              setText('')
              props.onRun('')
              input.current?.focus()
            }}
          >
            <X className="size-4" aria-hidden />
          </button>
        )}
        {open && suggestions.length > 0 && (
          <div
            id="query-suggestions"
            role="listbox"
            aria-label="Completions"
            className="panel absolute left-0 top-10 z-30 max-h-80 w-full max-w-2xl overflow-auto py-1 shadow-lg"
          >
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
                className={`flex cursor-pointer gap-4 px-3 py-1 ${i === active ? 'bg-accent-soft' : 'hover:bg-raised'}`}
              >
                <span className="max-w-[60%] shrink-0 truncate font-mono text-[13px]">
                  {suggestion.text}
                </span>
                <span className="truncate text-xs leading-5 text-muted">{suggestion.doc}</span>
              </div>
            ))}
          </div>
        )}
      </div>
      <p
        id="query-explained"
        className="h-5 truncate pt-0.5 text-xs text-muted"
        title={reading.explained}
      >
        {problem !== undefined ? (
          <span className="text-bad">{problem.message}</span>
        ) : text.trim() === '' ? (
          'Everything in this time range. Press / to search.'
        ) : (
          `Shows where ${reading.explained}${text.trim() === props.query.trim() ? '' : '. Enter runs it'}.`
        )}
      </p>
    </div>
  )
}

/** Field names for the word before the caret; values of the field once a colon stands there. */
function useSuggestions(
  word: string,
  enabled: boolean,
  range: TimeRange,
  view: string,
): readonly Suggestion[] {
  const colon = word.indexOf(':')
  const name = word.slice(0, Math.max(0, colon)).replace(/^[-!(]+/, '')
  const typed = word.slice(colon + 1).replace(/^"/, '')
  const field = colon > 0 ? facetField(name) : undefined
  const wanted = useSettled(typed, 150)
  const facet = useQuery({
    queryKey: ['values', field, wanted, range.from.slice(0, 16), range.until.slice(0, 16), view],
    enabled: enabled && field !== undefined,
    queryFn: ({ signal }) =>
      request(FacetReply, '/api/v1/facets', {
        params: { field, ...range, view, contains: wanted },
        signal,
      }),
  })
  if (!enabled || word === '') return []
  const prefix = /^[-!(]*/.exec(word)?.[0] ?? ''
  if (colon > 0) {
    return (facet.data?.values ?? []).slice(0, 10).map(({ value, count }) => ({
      text: `${prefix}${name}:${termOf('', value).slice(1)} `,
      doc: `${count.toLocaleString('en')} in this range`,
    }))
  }
  const lower = word.slice(prefix.length).toLowerCase()
  const names = [...Object.keys(queryAliases), 'args.', 'result.', ...eventFieldNames]
  return names
    .filter((each) => each.toLowerCase().includes(lower))
    .sort((a, b) => Number(b.startsWith(lower)) - Number(a.startsWith(lower)))
    .slice(0, 12)
    .map((each) => ({ text: prefix + each + (each.endsWith('.') ? '' : ':'), doc: docOf(each) }))
}

/** The value once it has not changed for a while: people type faster than a server should be asked. */
function useSettled(value: string, delayMs: number): string {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), delayMs)
    return () => clearTimeout(timer)
  }, [value, delayMs])
  return settled
}

function facetField(name: string): EventField | undefined {
  const field = Object.hasOwn(queryAliases, name) ? queryAliases[name]?.[0] : name
  if (field === undefined || !isEventField(field)) return undefined
  const { type } = eventFields[field]
  return type === 'keyword' || type === 'list' ? field : undefined
}

function docOf(name: string): string {
  if (name === 'args.') return 'A path in the arguments, e.g. args.path:/etc/*'
  if (name === 'result.') return 'A path in the result'
  if (isEventField(name)) return eventFields[name].doc
  return (queryAliases[name] ?? []).join(', ')
}
