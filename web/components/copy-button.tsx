'use client'

import { Check, Copy, X } from 'lucide-react'
import { useCopy } from './use-copy.ts'

/** Copies a text as it is, hidden characters and all. */
export function CopyButton({
  text,
  label = 'Copy',
  className = 'icon-button',
}: {
  text: string
  label?: string
  className?: string
}) {
  const { outcome, copy } = useCopy()
  const shown =
    outcome === undefined
      ? label
      : outcome === 'copied'
        ? 'Copied'
        : 'The browser refused to copy: select it instead'
  const Icon = outcome === undefined ? Copy : outcome === 'copied' ? Check : X
  return (
    <button
      type="button"
      className={className}
      aria-label={shown}
      title={shown}
      onClick={(event) => {
        event.stopPropagation()
        void copy(text)
      }}
    >
      <Icon
        className={`size-3.5 ${outcome === undefined ? '' : outcome === 'copied' ? 'text-ok' : 'text-bad'}`}
        aria-hidden
      />
    </button>
  )
}
