'use client'

import { ShieldCheck } from 'lucide-react'
import { type FormEvent, type ReactNode, useState } from 'react'
import { ApiError } from '../api/request.ts'

/** What a person can do something with; a browser's own words for "no answer" are not. */
function sentenceOf(error: Error): string {
  return error instanceof ApiError
    ? error.message
    : 'the server does not answer; try again in a moment'
}

/** A centred card with a form of name and password, for sign-in and for the first admin. */
export function AccountForm(props: {
  title: string
  intro: ReactNode
  action: string
  newPassword: boolean
  onSubmit: (account: { name: string; password: string }) => Promise<void>
}) {
  const [error, setError] = useState<Error>()
  const [busy, setBusy] = useState(false)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    setBusy(true)
    setError(undefined)
    try {
      await props.onSubmit({
        name: String(form.get('name')),
        password: String(form.get('password')),
      })
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
      setBusy(false)
    }
  }
  return (
    <main id="main" className="flex min-h-screen items-center justify-center p-6">
      <form onSubmit={submit} className="panel w-full max-w-sm p-7 shadow-sm">
        <p className="mb-6 flex items-center gap-2 text-lg font-bold tracking-tight">
          <ShieldCheck className="size-6 text-accent" aria-hidden /> Sealtrail
        </p>
        <h1 className="text-lg font-semibold">{props.title}</h1>
        <div className="mb-5 mt-1 text-muted">{props.intro}</div>
        <label className="mb-4 block">
          <span className="mb-1 block text-sm font-medium">Name</span>
          <input
            name="name"
            className="field"
            autoComplete="username"
            required
            maxLength={64}
            pattern="[a-zA-Z0-9._@\-]+"
            title="Letters, digits and . _ @ -"
          />
        </label>
        <label className="mb-5 block">
          <span className="mb-1 block text-sm font-medium">Password</span>
          <input
            name="password"
            type="password"
            className="field"
            autoComplete={props.newPassword ? 'new-password' : 'current-password'}
            required
            minLength={props.newPassword ? 12 : 1}
            maxLength={256}
          />
          {props.newPassword && (
            <span className="mt-1 block text-xs text-muted">At least 12 characters.</span>
          )}
        </label>
        {error !== undefined && (
          <p role="alert" className="mb-4 rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
            <span className="block first-letter:uppercase">{sentenceOf(error)}.</span>
            {error instanceof ApiError && error.problem.hint !== undefined && (
              <span className="mt-1 block text-text">{error.problem.hint}</span>
            )}
          </p>
        )}
        <button
          type="submit"
          className="button button-primary w-full justify-center py-2"
          disabled={busy}
        >
          {busy ? 'One moment…' : props.action}
        </button>
      </form>
    </main>
  )
}
