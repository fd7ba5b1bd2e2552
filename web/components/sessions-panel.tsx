'use client'

import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { z } from 'zod'
import type { SessionRow } from '../../schemas/api/account.ts'
import { request } from '../api/request.ts'
import { formatInstant } from '../format/instant.ts'
import { FormError } from './form-error.tsx'
import { HostileText } from './hostile-text.tsx'

/** Where one is signed in, and how to end that. */
export function SessionsPanel({ sessions }: { sessions: readonly SessionRow[] }) {
  const client = useQueryClient()
  const [error, setError] = useState<Error>()
  const end = async (path: string) => {
    setError(undefined)
    try {
      await request(z.object({}), path, { method: 'POST' })
      await client.invalidateQueries({ queryKey: ['account'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
  }
  return (
    <section className="panel" aria-labelledby="sessions-title">
      <div className="flex flex-wrap items-center justify-between gap-3 p-5 pb-3">
        <div>
          <h2 id="sessions-title" className="font-semibold">
            Sessions
          </h2>
          <p className="mt-1 text-muted">
            Browsers that are signed in. One ends after 12 hours without use, after a week, and when
            Sealtrail restarts.
          </p>
        </div>
        {sessions.length > 1 && (
          <button
            type="button"
            className="button"
            onClick={() => end('/api/v1/account/sessions/end-others')}
          >
            Sign out everywhere else
          </button>
        )}
      </div>
      {error !== undefined && (
        <div className="px-5">
          <FormError error={error} />
        </div>
      )}
      <ul className="divide-y divide-line border-t border-line">
        {sessions.map((session) => (
          <li key={session.id} className="flex items-center justify-between gap-4 px-5 py-2.5">
            <div className="min-w-0">
              <p className="truncate font-medium">
                <HostileText text={browserOf(session.userAgent)} limit={80} /> · {session.address}
                {session.current && (
                  <span className="chip ml-2 bg-accent-soft text-accent">This browser</span>
                )}
              </p>
              <p className="text-xs text-muted">
                Signed in {formatInstant(session.startedAt).slice(0, 16)} UTC, last seen{' '}
                {formatInstant(session.lastSeenAt).slice(0, 16)} UTC
              </p>
            </div>
            {!session.current && (
              <button
                type="button"
                className="button"
                aria-label={`Sign out the browser at ${session.address}, signed in ${session.startedAt}`}
                onClick={() =>
                  end(`/api/v1/account/sessions/${encodeURIComponent(session.id)}/end`)
                }
              >
                Sign out
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  )
}

/** What people call a browser; the header itself where it is none that we know. */
function browserOf(userAgent: string): string {
  const name = /\b(Edg|OPR|Firefox|Chrome|Safari)\//.exec(userAgent)?.[1]
  const system = /\b(Windows|Mac OS X|Android|iPhone|iPad|Linux)\b/.exec(userAgent)?.[1]
  if (name === undefined) return userAgent === '' ? 'Unknown browser' : userAgent
  const known = { Edg: 'Edge', OPR: 'Opera' }[name] ?? name
  return system === undefined ? known : `${known} on ${system.replace('Mac OS X', 'macOS')}`
}
