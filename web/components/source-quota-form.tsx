'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { z } from 'zod'
import type { SourceRow } from '../../schemas/api/sources.ts'
import { request } from '../api/request.ts'
import { formatBytes } from '../format/figures.ts'

const mebibyte = 1024 * 1024

/** What a source may send, how much of it it uses, and for admins the way to change it. */
export function SourceQuotaForm({ source, mayChange }: { source: SourceRow; mayChange: boolean }) {
  const client = useQueryClient()
  const [error, setError] = useState<string>()
  const { quota, sinceStart } = source
  const set = async (value: SourceRow['quota'] | null) => {
    try {
      await request(z.object({}), `/api/v1/sources/${encodeURIComponent(source.id)}/quota`, {
        method: 'POST',
        body: { quota: value, expectedVersion: source.quotaVersion },
      })
      setError(undefined)
      await client.invalidateQueries({ queryKey: ['sources'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause))
    }
  }
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const number = (name: string) => Number(form.get(name))
    void set({
      eventsPerSecond: number('events'),
      bytesPerSecond: Math.round(number('bytes') * mebibyte),
      rejectedBytesPerDay: Math.round(number('rejected') * mebibyte),
    })
  }
  const fields = [
    {
      name: 'events',
      title: 'Events a second',
      value: quota.eventsPerSecond,
      used: sinceStart === null ? 'none now' : `${sinceStart.eventsPerSecond.toFixed(1)} now`,
      step: 1,
    },
    {
      name: 'bytes',
      title: 'MiB a second',
      value: quota.bytesPerSecond / mebibyte,
      used: sinceStart === null ? 'none now' : `${formatBytes(sinceStart.bytesPerSecond)} now`,
      step: 'any',
    },
    {
      name: 'rejected',
      title: 'MiB of unmapped and rejected records a day',
      value: quota.rejectedBytesPerDay / mebibyte,
      used: `${formatBytes(sinceStart?.rejectedBytesToday ?? 0)} today`,
      step: 'any',
    },
  ] as const
  return (
    <form onSubmit={submit} className="space-y-3 p-4">
      <p className="max-w-3xl text-muted">
        Past events or bytes a sender is asked to wait, and nothing is lost. Past rejected bytes the
        hash and size of a record are kept instead of its bytes.
      </p>
      <div className="grid gap-3 sm:grid-cols-3">
        {fields.map(({ name, title, value, used, step }) => (
          <label key={name} className="block">
            <span className="label">{title}</span>
            <input
              name={name}
              type="number"
              min={0}
              step={step}
              required
              defaultValue={value}
              disabled={!mayChange}
              className="field mt-1"
            />
            <span className="text-xs text-muted">{used}</span>
          </label>
        ))}
      </div>
      {error !== undefined && (
        <p role="alert" className="text-bad">
          {error}
        </p>
      )}
      {mayChange ? (
        <div className="flex gap-2">
          <button type="submit" className="button button-primary">
            Set quota
          </button>
          <button type="button" className="button" onClick={() => void set(null)}>
            Use the built-in one
          </button>
        </div>
      ) : (
        <p className="text-xs text-muted">An admin can change it.</p>
      )}
    </form>
  )
}
