'use client'

import { useQueryClient } from '@tanstack/react-query'
import Link from 'next/link'
import { useState } from 'react'
import { z } from 'zod'
import type { SourceRow } from '../../schemas/api/sources.ts'
import { request } from '../api/request.ts'
import { formatRate, quotaUse } from '../format/figures.ts'
import { formatDuration, formatInstant } from '../format/instant.ts'
import { HostileText } from './hostile-text.tsx'
import { SourceStateChip } from './source-state-chip.tsx'

const columns = [
  { title: 'Source', numeric: false },
  { title: 'State', numeric: false },
  { title: 'Last event (UTC)', numeric: false },
  { title: 'Rate', numeric: true },
  { title: 'Lag', numeric: true },
  { title: 'Mapped', numeric: true },
  { title: 'Unmapped', numeric: true },
  { title: 'Rejected', numeric: true },
  { title: 'Missing', numeric: true },
  { title: 'Quota', numeric: true },
  { title: 'Actions', numeric: false },
]

/** Every source in a line; its name leads to its page, its counts to the records that were counted. */
export function SourceTable({
  sources,
  mayChange,
}: {
  sources: readonly SourceRow[]
  mayChange: boolean
}) {
  const shown = columns.filter(({ title }) => mayChange || title !== 'Actions')
  return (
    <section className="panel relative overflow-x-auto" aria-label="Sources">
      <table className="w-full text-sm">
        <thead>
          <tr className="border-b border-line bg-raised text-left">
            {shown.map(({ title, numeric }) => (
              <th key={title} className={`label px-2.5 py-2 ${numeric ? 'text-right' : ''}`}>
                {title === 'Actions' ? <span className="sr-only">{title}</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {sources.map((source) => (
            <SourceLine key={source.id} source={source} mayChange={mayChange} />
          ))}
        </tbody>
      </table>
    </section>
  )
}

function SourceLine({ source, mayChange }: { source: SourceRow; mayChange: boolean }) {
  const use = quotaUse(source)
  const { usualEventsPerMinute: usual, lagMs } = source
  return (
    <tr className={source.state === 'revoked' ? 'text-muted' : ''}>
      <td className="min-w-44 px-2.5 py-2">
        <Link
          href={`/sources/${encodeURIComponent(source.id)}`}
          className="font-medium text-accent underline decoration-dotted"
        >
          <HostileText text={source.name} limit={80} />
        </Link>
        <div className="font-mono text-xs text-muted">{source.id}</div>
      </td>
      <td className="px-2.5 py-2">
        <SourceStateChip state={source.state} />
      </td>
      <td className="whitespace-nowrap px-2.5 py-2 font-mono text-xs">
        {source.lastEventAt === null ? 'never' : formatInstant(source.lastEventAt).slice(0, 19)}
      </td>
      <td
        className="whitespace-nowrap px-2.5 py-2 text-right tabular-nums"
        title={`the last five minutes; ${formatRate(usual)} over the last day`}
      >
        {formatRate(source.eventsPerMinute)}
        <div className="text-xs text-muted">usually {formatRate(usual)}</div>
      </td>
      <td className="whitespace-nowrap px-2.5 py-2 text-right tabular-nums">
        {lagMs === null ? '' : formatDuration(lagMs)}
      </td>
      <Count count={source.mapped} source={source} terms="disposition:mapped" />
      <Count count={source.unmapped} source={source} terms="disposition:unmapped" />
      <Count count={source.rejected} source={source} terms="disposition:rejected" bad />
      <Count count={source.missing} source={source} terms="source.signal:gap" bad />
      <td
        className={`px-2.5 py-2 text-right tabular-nums ${use !== undefined && use >= 0.8 ? 'font-semibold text-bad' : ''}`}
      >
        {use === undefined ? '' : `${Math.round(use * 100)} %`}
      </td>
      {mayChange && (
        <td className="px-2.5 py-2 text-right">
          <Revoke source={source} />
        </td>
      )}
    </tr>
  )
}

function Count({
  count,
  source,
  terms,
  bad = false,
}: {
  count: number
  source: SourceRow
  terms: string
  bad?: boolean
}) {
  return (
    <td className="px-2.5 py-2 text-right tabular-nums">
      {count === 0 ? (
        '0'
      ) : (
        <RecordsLink sourceId={source.id} terms={terms} bad={bad}>
          {count.toLocaleString('en')}
        </RecordsLink>
      )}
    </td>
  )
}

/** To the records of a source in Explore that a figure counted. */
export function RecordsLink({
  sourceId,
  terms,
  bad,
  children,
}: {
  sourceId: string
  terms: string
  bad: boolean
  children: string
}) {
  const query = new URLSearchParams({ view: 'events', t: '90d', q: `source:${sourceId} ${terms}` })
  return (
    <Link
      href={`/explore?${query}`}
      className={`underline decoration-dotted ${bad ? 'font-semibold text-bad' : ''}`}
    >
      {children}
    </Link>
  )
}

function Revoke({ source }: { source: SourceRow }) {
  const client = useQueryClient()
  const [asking, setAsking] = useState(false)
  const [error, setError] = useState<string>()
  const revoke = async () => {
    try {
      await request(z.object({}), `/api/v1/source-keys/${encodeURIComponent(source.id)}/revoke`, {
        method: 'POST',
        body: { expectedVersion: source.version },
      })
      await client.invalidateQueries({ queryKey: ['sources'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause))
    }
    setAsking(false)
  }
  if (source.state === 'revoked') return null
  return (
    <>
      {error !== undefined && <span className="mr-2 text-xs text-bad">{error}</span>}
      {asking ? (
        <span className="inline-flex gap-2">
          <button type="button" className="button border-bad text-bad" onClick={revoke}>
            Really revoke
          </button>
          <button type="button" className="button" onClick={() => setAsking(false)}>
            Keep
          </button>
        </span>
      ) : (
        <button
          type="button"
          className="button"
          aria-label={`Revoke ${source.name}`}
          onClick={() => setAsking(true)}
        >
          Revoke
        </button>
      )}
    </>
  )
}
