'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { z } from 'zod'
import { ErasureException, exceptionText } from '../../schemas/erasure.ts'
import { request } from '../api/request.ts'
import { FormError } from './form-error.tsx'

/** Puts on the record that a request to erase was refused, and by which exception. */
export function RefusalForm() {
  const client = useQueryClient()
  const [sending, setSending] = useState(false)
  const [refused, setRefused] = useState<string>()
  const [error, setError] = useState<Error>()
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const fields = new FormData(form)
    const reference = String(fields.get('reference')).trim()
    setError(undefined)
    setRefused(undefined)
    setSending(true)
    try {
      const body = { exception: fields.get('exception'), reference }
      await request(z.object({ id: z.string() }), '/api/v1/erasures/refusals', {
        method: 'POST',
        body,
      })
      setRefused(reference)
      form.reset()
      await client.invalidateQueries({ queryKey: ['erasures'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
    setSending(false)
  }
  return (
    <section className="panel relative p-5" aria-labelledby="refuse-title">
      <h2 id="refuse-title" className="font-semibold">
        Refuse a request
      </h2>
      <p className="mt-1 text-muted">
        Nothing goes; that you refused, and why you may, is on the record.
      </p>
      <form onSubmit={submit} className="mt-4">
        <fieldset disabled={sending} className="flex flex-wrap items-end gap-3">
          <legend className="sr-only">The refusal</legend>
          <label className="block min-w-64 flex-1">
            <span className="label">Exception</span>
            <select name="exception" required defaultValue="" className="field mt-1">
              <option value="" disabled>
                Why it may be refused
              </option>
              {ErasureException.options.map((exception) => (
                <option key={exception} value={exception}>
                  {exceptionText[exception]}
                </option>
              ))}
            </select>
          </label>
          <label className="block min-w-48 flex-1">
            <span className="label">Reference</span>
            <input
              name="reference"
              required
              pattern=".*\S.*"
              title="Number of the request; never a name"
              maxLength={64}
              placeholder="Number of the request, never a name"
              autoComplete="off"
              className="field mt-1"
            />
          </label>
          <button type="submit" className="button">
            Record the refusal
          </button>
        </fieldset>
      </form>
      {error !== undefined && (
        <div className="mt-4">
          <FormError error={error} />
        </div>
      )}
      {refused !== undefined && (
        <p role="status" className="mt-4 rounded-md bg-ok-soft px-3 py-2 text-ok">
          The refusal of {refused} is on the record. Nothing was erased.
        </p>
      )}
    </section>
  )
}
