'use client'

import { useState } from 'react'
import { HostileText } from './hostile-text.tsx'

/** A JSON value as a tree; long lists and objects open on demand. */
export function JsonView({ value }: { value: unknown }) {
  return (
    <div className="overflow-auto rounded-md border border-line bg-bg p-3 font-mono text-xs leading-5">
      <JsonNode value={value} depth={0} />
    </div>
  )
}

const shownAtOnce = 100

function JsonNode({ value, depth }: { value: unknown; depth: number }) {
  const [open, setOpen] = useState(depth < 3)
  if (typeof value === 'string') {
    return (
      <span className="whitespace-pre-wrap break-words text-ok">
        <HostileText text={value} limit={65_536} />
      </span>
    )
  }
  if (value === null || typeof value !== 'object')
    return <span className="text-accent">{String(value)}</span>
  const list = Array.isArray(value)
  const entries = Object.entries(value)
  if (entries.length === 0) return <span className="text-muted">{list ? '[]' : '{}'}</span>
  if (!open) {
    return (
      <button
        type="button"
        className="text-muted underline decoration-dotted"
        onClick={() => setOpen(true)}
      >
        {list ? `${entries.length} items` : `${entries.length} fields`}
      </button>
    )
  }
  return (
    <ul className={depth === 0 ? '' : 'border-l border-line pl-3'}>
      {entries.slice(0, shownAtOnce).map(([key, each]) => (
        <li key={key}>
          <span className="text-muted">
            <HostileText text={key} limit={256} />:{' '}
          </span>
          <JsonNode value={each} depth={depth + 1} />
        </li>
      ))}
      {entries.length > shownAtOnce && (
        <li className="text-muted">… {entries.length - shownAtOnce} more</li>
      )}
    </ul>
  )
}
