'use client'

import { X } from 'lucide-react'
import { useEffect, useRef } from 'react'
import { isShortcut } from './typing-target.ts'

const keys = [
  ['/', 'Go to the query'],
  ['g then e, f, i, s, u, r, a', 'Explore, Findings, Integrity, Sources, Users, Erasures, Account'],
  ['j k or ↓ ↑', 'Move through the rows'],
  ['← →', 'Move through the cells of a row'],
  ['Enter', 'Open the row'],
  ['+ −', 'Only, or not, the value of the cell'],
  ['c', 'Copy the value of the cell'],
  ['[ ]', 'Part before, part after, in an open event'],
  ['Esc', 'Close what is open'],
  ['?', 'This list'],
] as const

/** The list of keys, behind `?`. */
export function KeyHelp() {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === '?' && isShortcut(event)) dialog.current?.showModal()
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [])
  return (
    <dialog
      ref={dialog}
      aria-labelledby="keys-title"
      className="panel m-auto w-full max-w-md p-5 text-text shadow-xl"
    >
      <div className="mb-3 flex items-center justify-between">
        <h2 id="keys-title" className="text-base font-semibold">
          Keys
        </h2>
        <button
          type="button"
          className="icon-button"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <X className="size-4" aria-hidden />
        </button>
      </div>
      <dl className="grid grid-cols-[9rem_1fr] gap-y-2">
        {keys.map(([key, meaning]) => (
          <div key={key} className="contents">
            <dt>
              <kbd className="rounded border border-line bg-raised px-1.5 py-0.5 font-mono text-xs">
                {key}
              </kbd>
            </dt>
            <dd className="text-muted">{meaning}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  )
}
