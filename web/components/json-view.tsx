'use client'

import { Minus, Plus } from 'lucide-react'
import { useState } from 'react'
import { termOf } from '../state/query-terms.ts'
import { CopyButton } from './copy-button.tsx'
import { HostileText } from './hostile-text.tsx'

interface JsonContext {
  /** Makes values searchable: `args` or `result`. */
  readonly root?: string | undefined
  readonly onFilter?: ((term: string) => void) | undefined
}

/** A JSON value as a tree; long lists, objects and texts open on demand. */
export function JsonView({ value, ...context }: { value: unknown } & JsonContext) {
  const [asText, setAsText] = useState(false)
  const text = JSON.stringify(value, null, 2)
  const structured = typeof value === 'object' && value !== null
  return (
    <div className="rounded-md border border-line bg-bg">
      <div className="flex items-center justify-end gap-1 border-b border-line px-2 py-0.5">
        {structured && (
          <button
            type="button"
            aria-pressed={asText}
            className="min-h-6 rounded px-1.5 text-xs text-muted hover:bg-raised hover:text-text"
            onClick={() => setAsText(!asText)}
          >
            {asText ? 'Tree' : 'As text'}
          </button>
        )}
        <CopyButton text={typeof value === 'string' ? value : text} />
      </div>
      <div className="overflow-x-auto p-3 font-mono text-xs leading-5">
        {asText ? (
          <LongText text={text} />
        ) : (
          <JsonNode value={value} depth={0} path={[]} {...context} />
        )}
      </div>
    </div>
  )
}

const shownAtOnce = 100
const shownChars = 600

function JsonNode({
  value,
  depth,
  path,
  ...context
}: { value: unknown; depth: number; path: readonly string[] } & JsonContext) {
  const [open, setOpen] = useState(depth < 4)
  const [limit, setLimit] = useState(shownAtOnce)
  if (typeof value === 'string') {
    return (
      <span className="group">
        <LongText text={value} />
        <LeafActions value={value} path={path} {...context} />
      </span>
    )
  }
  if (value === null || typeof value !== 'object') {
    return (
      <span className="group">
        <span className="text-accent">{String(value)}</span>
        {value !== null && <LeafActions value={String(value)} path={path} {...context} />}
      </span>
    )
  }
  const list = Array.isArray(value)
  const entries = Object.entries(value)
  if (entries.length === 0) return <span className="text-muted">{list ? '[ ]' : '{ }'}</span>
  const size = `${entries.length.toLocaleString('en')} ${list ? 'item' : 'field'}${entries.length === 1 ? '' : 's'}`
  return (
    <>
      {depth > 0 && (
        <button
          type="button"
          aria-expanded={open}
          className="min-h-6 text-muted underline decoration-dotted"
          onClick={() => setOpen(!open)}
        >
          {size}
        </button>
      )}
      {open && (
        <ul className={depth === 0 ? '' : 'ml-1 border-l border-line pl-3'}>
          {entries.slice(0, limit).map(([key, each]) => (
            <li key={key}>
              <span className="text-muted">
                <HostileText text={key} limit={256} />:{' '}
              </span>
              <JsonNode
                value={each}
                depth={depth + 1}
                path={list ? path : [...path, key]}
                {...context}
              />
            </li>
          ))}
          {entries.length > limit && (
            <li>
              <button
                type="button"
                className="min-h-6 text-accent underline"
                onClick={() => setLimit(limit * 4)}
              >
                {(entries.length - limit).toLocaleString('en')} more
              </button>
            </li>
          )}
        </ul>
      )}
    </>
  )
}

/** A text, cut until somebody asks for all of it. */
export function LongText({ text }: { text: string }) {
  const [whole, setWhole] = useState(false)
  return (
    <span className="whitespace-pre-wrap break-words [overflow-wrap:anywhere]">
      <HostileText
        text={whole || text.length <= shownChars ? text : text.slice(0, shownChars)}
        limit={131_072}
      />
      {text.length > shownChars && (
        <button
          type="button"
          className="ml-1 min-h-6 font-sans text-accent underline"
          onClick={() => setWhole(!whole)}
        >
          {whole ? 'Less' : `All ${text.length.toLocaleString('en')} characters`}
        </button>
      )}
    </span>
  )
}

/** Adds the value to the query, where its path can be written there. */
function LeafActions({
  value,
  path,
  root,
  onFilter,
}: { value: string; path: readonly string[] } & JsonContext) {
  const name = [root, ...path].join('.')
  const searchable =
    onFilter !== undefined &&
    root !== undefined &&
    value.length <= 256 &&
    path.length > 0 &&
    path.every((key) => /^[\w$@-]+$/.test(key))
  if (!searchable) return null
  const button =
    'inline-flex size-6 items-center justify-center rounded border border-line bg-panel text-muted hover:text-text'
  return (
    <span className="ml-1.5 inline-flex gap-0.5 align-middle opacity-0 focus-within:opacity-100 group-hover:opacity-100">
      <button
        type="button"
        className={button}
        title="Only this"
        aria-label={`Only this ${name}`}
        onClick={() => onFilter(termOf(name, value))}
      >
        <Plus className="size-3" aria-hidden />
      </button>
      <button
        type="button"
        className={button}
        title="Not this"
        aria-label={`Not this ${name}`}
        onClick={() => onFilter(`-${termOf(name, value)}`)}
      >
        <Minus className="size-3" aria-hidden />
      </button>
    </span>
  )
}
