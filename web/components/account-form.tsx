'use client'

import { ShieldCheck } from 'lucide-react'
import { type FormEvent, type ReactNode, useState } from 'react'
import { ApiError } from '../api/request.ts'
import { FormError } from './form-error.tsx'

export interface AccountFields {
  readonly name: string
  readonly password: string
  /** Absent until it is asked for. */
  readonly code?: string
}

/** A centred card with a form of name and password, for sign-in, the first admin, and a new password. */
export function AccountForm(props: {
  title: string
  intro: ReactNode
  action: string
  newPassword: boolean
  /** False where the name is known otherwise. */
  withName?: boolean
  /** What went wrong before this page was opened. */
  notice?: string | undefined
  /** Other ways to go on. */
  children?: ReactNode
  onSubmit: (account: AccountFields) => Promise<void>
}) {
  const [error, setError] = useState<Error>()
  const [busy, setBusy] = useState(false)
  const [asksCode, setAsksCode] = useState(false)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const code = form.get('code')
    setBusy(true)
    setError(undefined)
    try {
      await props.onSubmit({
        name: String(form.get('name') ?? ''),
        password: String(form.get('password')),
        ...(code === null ? {} : { code: String(code) }),
      })
    } catch (cause) {
      const isAsked = cause instanceof ApiError && cause.problem.code === 'SECOND_FACTOR_REQUIRED'
      if (isAsked && !asksCode) setAsksCode(true)
      else setError(cause instanceof Error ? cause : new Error(String(cause)))
      setBusy(false)
    }
  }
  return (
    <Card title={props.title} intro={props.intro}>
      {props.notice !== undefined && (
        <p role="alert" className="mb-4 rounded-md bg-warn-soft px-3 py-2 text-sm">
          {props.notice}
        </p>
      )}
      <form onSubmit={submit}>
        {props.withName !== false && (
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
        )}
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
        {asksCode && (
          <label className="mb-5 block">
            <span className="mb-1 block text-sm font-medium">Code</span>
            <input
              name="code"
              className="field font-mono tracking-widest"
              autoComplete="one-time-code"
              // It was asked for just now, and there is nothing else to do.
              ref={(input) => input?.focus()}
              required
              maxLength={64}
            />
            <span className="mt-1 block text-xs text-muted">
              Of your authenticator, or one of your recovery codes.
            </span>
          </label>
        )}
        {error !== undefined && <FormError error={error} />}
        <button
          type="submit"
          className="button button-primary w-full justify-center py-2"
          disabled={busy}
        >
          {busy ? 'One moment…' : props.action}
        </button>
      </form>
      {props.children}
    </Card>
  )
}

/** The card of every page before somebody is signed in. */
export function Card(props: { title: string; intro: ReactNode; children?: ReactNode }) {
  return (
    <main id="main" className="flex min-h-screen items-center justify-center p-6">
      <div className="panel w-full max-w-sm p-7 shadow-sm">
        <p className="mb-6 flex items-center gap-2 text-lg font-bold tracking-tight">
          <ShieldCheck className="size-6 text-accent" aria-hidden /> Sealtrail
        </p>
        <h1 className="text-lg font-semibold">{props.title}</h1>
        <div className="mb-5 mt-1 text-muted">{props.intro}</div>
        {props.children}
      </div>
    </main>
  )
}
