'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { z } from 'zod'
import { request } from '../api/request.ts'
import { FormError } from './form-error.tsx'

/** Changes one's own password. */
export function PasswordPanel() {
  const client = useQueryClient()
  const [error, setError] = useState<Error>()
  const [mismatch, setMismatch] = useState(false)
  const [done, setDone] = useState(false)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const fields = new FormData(form)
    setError(undefined)
    setDone(false)
    setMismatch(false)
    if (fields.get('password') !== fields.get('repeated')) {
      setMismatch(true)
      return
    }
    try {
      await request(z.object({}), '/api/v1/account/password', {
        method: 'POST',
        body: { oldPassword: fields.get('old'), password: fields.get('password') },
      })
      form.reset()
      setDone(true)
      await client.invalidateQueries({ queryKey: ['account'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
  }
  return (
    <section className="panel p-5" aria-labelledby="password-title">
      <h2 id="password-title" className="font-semibold">
        Password
      </h2>
      <p className="mb-4 mt-1 text-muted">Other browsers are signed out when you change it.</p>
      <form onSubmit={submit} className="max-w-sm space-y-3">
        <PasswordField name="old" label="Present password" />
        <PasswordField name="password" label="New password, at least 12 characters" isNew />
        <PasswordField name="repeated" label="New password again" isNew />
        {error !== undefined && <FormError error={error} />}
        {mismatch && (
          <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
            The two new passwords differ.
          </p>
        )}
        {done && (
          <p role="status" className="rounded-md bg-ok-soft px-3 py-2 text-sm text-ok">
            Your password is changed.
          </p>
        )}
        <button type="submit" className="button">
          Change password
        </button>
      </form>
    </section>
  )
}

/** One password, with a name that password managers understand. */
export function PasswordField(props: { name: string; label: string; isNew?: boolean }) {
  return (
    <label className="block">
      <span className="mb-1 block text-sm font-medium">{props.label}</span>
      <input
        name={props.name}
        type="password"
        className="field"
        autoComplete={props.isNew === true ? 'new-password' : 'current-password'}
        required
        minLength={props.isNew === true ? 12 : 1}
        maxLength={256}
      />
    </label>
  )
}
