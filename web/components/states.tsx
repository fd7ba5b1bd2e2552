'use client'

import type { ReactNode } from 'react'
import { ApiError } from '../api/request.ts'

/** Placeholder rows while something loads; screen readers hear one word. */
export function Loading({ rows = 6 }: { rows?: number }) {
  return (
    <div role="status" aria-label="Loading" className="space-y-2 p-4">
      {Array.from({ length: rows }, (_, i) => i).map((row) => (
        <div
          key={row}
          className="h-5 animate-pulse rounded bg-raised"
          style={{ width: `${92 - ((row * 17) % 40)}%` }}
        />
      ))}
    </div>
  )
}

/** What went wrong, what to do, and a way to try again. */
export function Failure({ error, onRetry }: { error: Error; onRetry?: () => void }) {
  const problem = error instanceof ApiError ? error.problem : undefined
  const offline = problem === undefined && error.name === 'TypeError'
  return (
    <div role="alert" className="m-4 rounded-lg border border-bad bg-bad-soft p-4 text-text">
      <p className="font-semibold text-bad">
        {offline ? 'The server does not answer' : (problem?.title ?? 'Something went wrong')}
      </p>
      <p className="mt-1">
        {offline
          ? 'Sealtrail is stopped or unreachable. What is on the record is safe.'
          : (problem?.detail ?? error.message)}
      </p>
      {problem?.hint !== undefined && <p className="mt-1 text-muted">{problem.hint}</p>}
      {onRetry !== undefined && (
        <button type="button" className="button mt-3" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center justify-center gap-2 px-6 py-14 text-center">
      <p className="text-base font-semibold">{title}</p>
      <div className="max-w-xl text-muted">{children}</div>
    </div>
  )
}
