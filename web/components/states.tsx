'use client'

import { CircleX, Lock, WifiOff } from 'lucide-react'
import type { ReactNode } from 'react'
import { ApiError } from '../api/request.ts'

/** Placeholder lines while something loads; screen readers hear one word. */
export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="space-y-2 p-4">
      {Array.from({ length: rows }, (_, i) => i).map((row) => (
        <div
          key={row}
          className="h-4 animate-pulse rounded bg-raised"
          style={{ width: `${92 - ((row * 17) % 40)}%` }}
        />
      ))}
    </div>
  )
}

/** Placeholder rows of a table. */
export function TableSkeleton() {
  return (
    <div role="status" aria-label="Loading" className="flex-1 overflow-hidden bg-panel">
      {Array.from({ length: 24 }, (_, i) => i).map((row) => (
        <div key={row} className="flex h-[30px] items-center gap-4 border-b border-line/60 px-3">
          {[18, 8, 14, 14, 20, 12].map((width) => (
            <div
              key={width}
              className="h-3 animate-pulse rounded bg-raised"
              style={{ width: `${width}%` }}
            />
          ))}
        </div>
      ))}
    </div>
  )
}

/** What went wrong, what to do, and a way to try again. */
export function Failure({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  const problem = error instanceof ApiError ? error.problem : undefined
  const offline = problem === undefined && error.name === 'TypeError'
  const refused = problem?.status === 403
  const Icon = offline ? WifiOff : refused ? Lock : CircleX
  return (
    <div
      role="alert"
      className="m-4 flex max-w-2xl gap-3 rounded-lg border border-bad bg-bad-soft p-4 text-text"
    >
      <Icon className="mt-0.5 size-4 shrink-0 text-bad" aria-hidden />
      <div className="min-w-0">
        <p className="font-semibold">
          {offline ? 'The server does not answer' : (problem?.title ?? 'Something went wrong')}
        </p>
        <p className="mt-1 [overflow-wrap:anywhere]">
          {offline
            ? 'Sealtrail is stopped or unreachable. What is on the record is safe.'
            : (problem?.detail ?? error.message)}
        </p>
        {problem?.hint !== undefined && <p className="mt-1">{problem.hint}</p>}
        {refused && (
          <p className="mt-1">An administrator can give you a role that has this permission.</p>
        )}
        {problem?.instance !== undefined && (
          <p className="mt-1 font-mono text-xs">{problem.instance}</p>
        )}
        {onRetry !== undefined && (
          <button type="button" className="button mt-3" onClick={onRetry}>
            Try again
          </button>
        )}
      </div>
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-1 flex-col items-center justify-center gap-2 px-6 py-14 text-center">
      <p className="text-[15px] font-semibold">{title}</p>
      <div className="max-w-2xl text-muted">{children}</div>
    </div>
  )
}
