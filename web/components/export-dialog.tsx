'use client'

import { Download, X } from 'lucide-react'
import { useRef } from 'react'
import type { TimeRange } from '../state/time-range.ts'
import { CommandLine } from './command-line.tsx'

/** How this view becomes evidence that an auditor checks without us: the commands, filled in. */
export function ExportDialog(props: { query: string; range: TimeRange; view: 'calls' | 'events' }) {
  const dialog = useRef<HTMLDialogElement>(null)
  return (
    <>
      <button
        type="button"
        className="button h-9 px-2.5"
        aria-label="Export this view as evidence"
        title="Export this view as evidence"
        onClick={() => dialog.current?.showModal()}
      >
        <Download className="size-4" aria-hidden />
      </button>
      <dialog
        ref={dialog}
        aria-labelledby="export-title"
        className="panel m-auto w-full max-w-2xl p-5 text-text shadow-xl"
      >
        <div className="mb-2 flex items-center justify-between">
          <h2 id="export-title" className="text-base font-semibold">
            Export this view as evidence
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
        <ol className="list-decimal space-y-3 pl-5">
          <li>
            On the machine where Sealtrail runs. It writes rows as NDJSON and CSV, their leaves, one
            proof for the whole range, and a verifier without dependencies; that you exported goes
            on the record.
            <CommandLine command={exportCommand(props)} />
          </li>
          <li>
            Whoever receives the folder checks it offline. The key must come from somewhere else
            than the folder: <code className="font-mono text-xs">sealtrail vkey</code> prints it.
            <CommandLine command="node evidence/verify.mjs 'VERIFIER KEY' evidence" />
          </li>
        </ol>
      </dialog>
    </>
  )
}

/** The command for a view, with the time fixed. Bundles hold events, so calls are asked for by their class. */
export function exportCommand({
  query,
  range,
  view,
}: {
  query: string
  range: TimeRange
  view: 'calls' | 'events'
}): string {
  const trimmed = query.trim()
  const q =
    view === 'events'
      ? trimmed
      : trimmed === ''
        ? 'class:tool_call'
        : `(${trimmed}) class:tool_call`
  const parts = ['sealtrail export', `--from ${range.from}`, `--to ${range.until}`]
  return [...parts, ...(q === '' ? [] : [`--query ${shellQuoted(q)}`]), '--out evidence'].join(' ')
}

/** One word of a POSIX shell, whatever stands in it. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
