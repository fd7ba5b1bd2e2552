'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { CreateSourceKeyReply, type SourceKeyRow } from '../../schemas/api/sources.ts'
import { request } from '../api/request.ts'
import { formatInstant } from '../format/instant.ts'
import { CommandLine } from './command-line.tsx'
import { FormError } from './form-error.tsx'
import { HostileText } from './hostile-text.tsx'

const overlaps = [
  [0, 'ends at once'],
  [3600, 'works for an hour'],
  [86_400, 'works for a day'],
  [604_800, 'works for a week'],
  [2_592_000, 'works for 30 days'],
] as const

/** The keys of one source, and their rotation. */
export function SourceKeysPanel({
  source,
  mayChange,
}: {
  source: SourceKeyRow
  mayChange: boolean
}) {
  const client = useQueryClient()
  const [made, setMade] = useState<CreateSourceKeyReply>()
  const [asking, setAsking] = useState(false)
  const [error, setError] = useState<Error>()
  const rotate = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const overlapSeconds = Number(new FormData(event.currentTarget).get('overlap'))
    const path = `/api/v1/source-keys/${encodeURIComponent(source.id)}/rotate`
    const body = { overlapSeconds, expectedVersion: source.version }
    setError(undefined)
    try {
      setMade(await request(CreateSourceKeyReply, path, { method: 'POST', body }))
      setAsking(false)
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
    await client.invalidateQueries({ queryKey: ['source-keys'] })
  }
  return (
    <section className="panel p-5" aria-label={`Keys of ${source.name}`}>
      <div className="flex flex-wrap items-center justify-between gap-3">
        <h2 className="font-semibold">
          <HostileText text={source.name} limit={120} />{' '}
          <span className="font-mono text-xs font-normal text-muted">{source.id}</span>
        </h2>
        {mayChange && source.revokedAt === null && !asking && made === undefined && (
          <button type="button" className="button" onClick={() => setAsking(true)}>
            Rotate
          </button>
        )}
      </div>
      <table className="mt-3 w-full text-sm">
        <thead>
          <tr className="border-b border-line text-left">
            {['Fingerprint', 'State', 'Made (UTC)', 'Works until (UTC)', 'Last used (UTC)'].map(
              (title) => (
                <th key={title} className="label py-1.5 pr-4">
                  {title}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody className="divide-y divide-line">
          {source.keys.map((key) => (
            <tr key={key.fingerprint} className={key.state === 'current' ? '' : 'text-muted'}>
              <td className="py-1.5 pr-4 font-mono text-xs">{key.fingerprint}</td>
              <td className="py-1.5 pr-4">{key.state}</td>
              <td className="py-1.5 pr-4 font-mono text-xs">{minute(key.createdAt)}</td>
              <td className="py-1.5 pr-4 font-mono text-xs">
                {key.expiresAt === null ? 'it is rotated or revoked' : minute(key.expiresAt)}
              </td>
              <td className="py-1.5 font-mono text-xs">
                {key.lastUsedAt === null ? 'not since the start' : minute(key.lastUsedAt)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {asking && (
        <form onSubmit={rotate} className="mt-4 space-y-3">
          <p className="text-muted">
            Makes a new secret and key. What is sent with the new ones is numbered anew.
          </p>
          <label className="flex flex-wrap items-center gap-2">
            The former key
            <select name="overlap" className="field w-auto" defaultValue={86_400}>
              {overlaps.map(([seconds, label]) => (
                <option key={seconds} value={seconds}>
                  {label}
                </option>
              ))}
            </select>
          </label>
          <div className="flex gap-2">
            <button type="submit" className="button button-primary">
              Make a new key
            </button>
            <button type="button" className="button" onClick={() => setAsking(false)}>
              Cancel
            </button>
          </div>
        </form>
      )}
      {error !== undefined && (
        <div className="mt-3">
          <FormError error={error} />
        </div>
      )}
      {made !== undefined && (
        <div className="mt-4 rounded-md border border-accent p-4" role="status">
          <p className="font-semibold">Shown once: copy it now</p>
          <p className="label mt-3">Key: the Bearer token of gateways, servers and scripts</p>
          <CommandLine command={made.key} />
          <p className="label mt-3">Secret: for the Sealtrail tap, which derives the key</p>
          <CommandLine command={made.secret} />
          <button type="button" className="button mt-4" onClick={() => setMade(undefined)}>
            I have copied it
          </button>
        </div>
      )}
    </section>
  )
}

function minute(timestamp: string): string {
  return formatInstant(timestamp).slice(0, 16)
}
