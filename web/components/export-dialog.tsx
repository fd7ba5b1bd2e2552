'use client'

import { CircleCheck, Download, X } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { ExportProgress } from '../../schemas/api/exports.ts'
import { requestLines } from '../api/request.ts'
import { formatInstant } from '../format/instant.ts'
import type { TimeRange } from '../state/time-range.ts'
import { CommandLine } from './command-line.tsx'
import { Failure } from './states.tsx'

type Exported = Extract<ExportProgress, { kind: 'result' }>
interface View {
  readonly query: string
  readonly range: TimeRange
  readonly view: 'calls' | 'events'
}

/** How this view becomes evidence that an auditor checks without us: one archive, or a command for scripts. */
export function ExportDialog(view: View) {
  const dialog = useRef<HTMLDialogElement>(null)
  // What is exported is what the view showed when it was asked for: the range of "last hour" moves on.
  const [asked, setAsked] = useState<View>()
  return (
    <>
      <button
        type="button"
        className="button h-9 px-2.5"
        aria-label="Export this view as evidence"
        title="Export this view as evidence"
        onClick={() => {
          setAsked(view)
          dialog.current?.showModal()
        }}
      >
        <Download className="size-4" aria-hidden />
      </button>
      <dialog
        ref={dialog}
        aria-labelledby="export-title"
        className="panel m-auto w-full max-w-2xl p-5 text-text shadow-xl"
        onClose={() => setAsked(undefined)}
      >
        <div className="mb-3 flex items-center justify-between">
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
        {asked !== undefined && <ExportSteps {...asked} />}
      </dialog>
    </>
  )
}

function ExportSteps(view: View) {
  const [exported, setExported] = useState<Exported>()
  const q = exportQuery(view)
  const folder = exported?.archive.replace(/\.zip$/, '') ?? 'evidence'
  return (
    <div className="space-y-4 text-[13px]">
      <dl className="grid grid-cols-[5rem_minmax(0,1fr)] gap-x-3 gap-y-1">
        <dt className="text-muted">Query</dt>
        <dd className="[overflow-wrap:anywhere]">
          {q === '' ? 'everything' : <code className="font-mono text-xs">{q}</code>}
        </dd>
        <dt className="text-muted">Time</dt>
        <dd className="tabular-nums">
          {formatInstant(view.range.from)} to {formatInstant(view.range.until)} UTC
        </dd>
        <dt className="text-muted">Holds</dt>
        <dd>
          Rows as NDJSON and CSV, their leaves, one proof for the whole range, and a verifier
          without dependencies. That you exported goes on the record.
        </dd>
      </dl>
      <ArchiveMaker view={view} onExported={setExported} />
      <section aria-labelledby="export-check">
        <h3 id="export-check" className="mb-1.5 font-semibold">
          Whoever receives it checks it offline
        </h3>
        <p className="mb-1.5 text-muted">
          With Node.js and nothing of ours. The key must come from somewhere else than the archive:
          the Integrity page shows it, <code className="font-mono text-xs">sealtrail vkey</code>{' '}
          prints it.
        </p>
        <CommandLine command={`node ${folder}/verify.mjs 'VERIFIER KEY' ${folder}`} />
      </section>
      <details>
        <summary className="cursor-pointer text-accent">
          As a command, on the machine where Sealtrail runs
        </summary>
        <div className="mt-2">
          <CommandLine command={exportCommand(view)} />
        </div>
      </details>
    </div>
  )
}

/** Asks for the bundle, shows how far it is, and hands the archive to the browser. */
function ArchiveMaker({ view, onExported }: { view: View; onExported: (made: Exported) => void }) {
  const [progress, setProgress] = useState<{ done: number; total: number }>()
  const [outcome, setOutcome] = useState<Exported | Error>()
  const running = useRef<AbortController>(undefined)
  const link = useRef<HTMLAnchorElement>(null)
  // Whoever closes the dialog does not want it any more: the server stops, and nothing goes on the record.
  useEffect(() => () => running.current?.abort(), [])
  useEffect(() => {
    if (outcome !== undefined && !(outcome instanceof Error)) link.current?.click()
  }, [outcome])

  const run = async () => {
    const stop = new AbortController()
    running.current = stop
    setOutcome(undefined)
    setProgress({ done: 0, total: 0 })
    try {
      const made = await makeBundle(view, stop.signal, setProgress)
      setOutcome(made)
      onExported(made)
    } catch (error) {
      if (!stop.signal.aborted)
        setOutcome(error instanceof Error ? error : new Error(String(error)))
    }
    setProgress(undefined)
  }

  if (progress !== undefined) {
    const { done, total } = progress
    return (
      <div className="flex items-center gap-3">
        <progress
          className="w-full accent-[var(--accent)]"
          aria-label="Export"
          {...(total > 0 ? { max: total, value: done } : {})}
        />
        <span role="status" className="w-44 shrink-0 text-right text-muted tabular-nums">
          {total === 0
            ? 'finding the rows …'
            : `${done.toLocaleString('en')} of ${total.toLocaleString('en')} rows`}
        </span>
        <button type="button" className="button" onClick={() => running.current?.abort()}>
          Cancel
        </button>
      </div>
    )
  }
  if (outcome !== undefined && !(outcome instanceof Error)) {
    const { id, rows, exportLeaf, archive } = outcome
    return (
      <div role="status" className="rounded-md bg-raised px-3 py-2">
        <p className="flex items-center gap-2">
          <CircleCheck className="size-4 shrink-0 text-ok" aria-hidden />
          {rows === 0
            ? 'No row matched. That, too, is what the archive proves.'
            : `${rows.toLocaleString('en')} ${rows === 1 ? 'row' : 'rows'}, on the record as leaf ${exportLeaf.toLocaleString('en')}.`}
        </p>
        <p className="mt-1 text-muted">
          Your browser saves{' '}
          <span className="font-mono text-xs text-text [overflow-wrap:anywhere]">{archive}</span>.
          If that broke off,{' '}
          <a
            ref={link}
            href={`/api/v1/exports/${id}/archive.zip`}
            download={archive}
            className="text-accent underline"
          >
            fetch it again
          </a>{' '}
          within the hour; once it was sent whole, it is removed from the server.
        </p>
      </div>
    )
  }
  if (outcome !== undefined) {
    return (
      <div className="-mx-4">
        <Failure error={outcome} onRetry={run} />
      </div>
    )
  }
  return (
    <button type="button" className="button button-primary" onClick={run}>
      <Download className="size-4" aria-hidden /> Make the archive
    </button>
  )
}

/** @throws ApiError or Error with what the server says */
async function makeBundle(
  view: View,
  signal: AbortSignal,
  onProgress: (progress: { done: number; total: number }) => void,
): Promise<Exported> {
  const { from, until } = view.range
  const body = { q: exportQuery(view), from, until }
  const lines = requestLines(ExportProgress, '/api/v1/exports', { method: 'POST', body, signal })
  for await (const line of lines) {
    if (line.kind === 'result') return line
    if (line.kind === 'problem') throw new Error(line.detail)
    onProgress(line)
  }
  throw new Error('the export ended before it was whole; nothing was saved')
}

/** Bundles hold events, so calls are asked for by their class. */
function exportQuery({ query, view }: View): string {
  const trimmed = query.trim()
  if (view === 'events') return trimmed
  return trimmed === '' ? 'class:tool_call' : `(${trimmed}) class:tool_call`
}

/** The command for a view, with the time fixed. */
export function exportCommand(view: View): string {
  const q = exportQuery(view)
  const parts = ['sealtrail export', `--from ${view.range.from}`, `--to ${view.range.until}`]
  return [...parts, ...(q === '' ? [] : [`--query ${shellQuoted(q)}`]), '--out evidence'].join(' ')
}

/** One word of a POSIX shell, whatever stands in it. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
