'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { z } from 'zod'
import { type AccountReply, BeginTotpReply, RecoveryCodes } from '../../schemas/api/account.ts'
import { request } from '../api/request.ts'
import { CopyButton } from './copy-button.tsx'
import { FormError } from './form-error.tsx'
import { PasswordField } from './password-panel.tsx'
import { QrCode } from './qr-code.tsx'

/** Sets up an authenticator app as second factor, and removes it. */
export function SecondFactorPanel({ account }: { account: AccountReply }) {
  const client = useQueryClient()
  const [begun, setBegun] = useState<BeginTotpReply>()
  const [codes, setCodes] = useState<readonly string[]>()
  const [asking, setAsking] = useState(false)
  const [error, setError] = useState<Error>()
  const { enabled, recoveryCodesLeft } = account.totp

  /** Sends a form, and shows why it was not taken. */
  const submit =
    (send: (fields: FormData) => Promise<void>) => async (event: FormEvent<HTMLFormElement>) => {
      event.preventDefault()
      setError(undefined)
      try {
        await send(new FormData(event.currentTarget))
      } catch (cause) {
        setError(cause instanceof Error ? cause : new Error(String(cause)))
      }
    }
  const begin = submit(async (fields) => {
    const body = { password: String(fields.get('password')) }
    const path = '/api/v1/account/totp/begin'
    setBegun(await request(BeginTotpReply, path, { method: 'POST', body }))
    setAsking(false)
  })
  const enrol = submit(async (fields) => {
    const body = { code: String(fields.get('code')) }
    const reply = await request(RecoveryCodes, '/api/v1/account/totp', { method: 'POST', body })
    setCodes(reply.recoveryCodes)
    setBegun(undefined)
    await reload()
  })
  const remove = submit(async (fields) => {
    const body = { password: String(fields.get('password')), code: String(fields.get('code')) }
    await request(z.object({}), '/api/v1/account/totp/remove', { method: 'POST', body })
    setAsking(false)
    await reload()
  })
  const reload = async () => {
    await client.invalidateQueries({ queryKey: ['account'] })
    await client.invalidateQueries({ queryKey: ['me'] })
  }
  const cancel = () => {
    setAsking(false)
    setBegun(undefined)
    setError(undefined)
  }

  return (
    <section className="panel p-5" aria-labelledby="factor-title">
      <div className="flex items-center justify-between gap-4">
        <h2 id="factor-title" className="font-semibold">
          Second factor
        </h2>
        <span className={`chip ${enabled ? 'bg-ok-soft text-ok' : 'bg-raised text-muted'}`}>
          {enabled ? 'On' : 'Off'}
        </span>
      </div>
      <p className="mb-4 mt-1 text-muted">
        {enabled
          ? `Signing in asks for a code of your authenticator app. ${recoveryCodesLeft} recovery codes are left.`
          : 'An authenticator app on your phone, or a password manager, shows a code that signing in asks for.'}
      </p>
      {codes !== undefined && <CodesShownOnce codes={codes} onDone={() => setCodes(undefined)} />}
      {codes === undefined && begun === undefined && !asking && (
        <button type="button" className="button" onClick={() => setAsking(true)}>
          {enabled ? 'Remove it' : 'Set it up'}
        </button>
      )}
      {asking && (
        <form onSubmit={enabled ? remove : begin} className="max-w-sm space-y-3">
          <PasswordField name="password" label="Your password" />
          {enabled && <CodeField label="Code, or a recovery code" />}
          {error !== undefined && <FormError error={error} />}
          <div className="flex gap-2">
            <button
              type="submit"
              className={`button ${enabled ? 'button-danger' : 'button-primary'}`}
            >
              {enabled ? 'Remove second factor' : 'Go on'}
            </button>
            <button type="button" className="button" onClick={cancel}>
              Cancel
            </button>
          </div>
        </form>
      )}
      {begun !== undefined && (
        <div className="flex flex-wrap gap-6">
          <QrCode text={begun.uri} label="QR code of the secret, for an authenticator app" />
          <form onSubmit={enrol} className="min-w-64 flex-1 space-y-3">
            <ol className="list-decimal space-y-2 pl-5 text-sm">
              <li>
                Scan the code with your authenticator app, or type this secret into it:
                <span className="mt-1 flex items-center gap-2">
                  <code className="break-all font-mono text-xs">
                    {begun.secret.match(/.{1,4}/g)?.join(' ')}
                  </code>
                  <CopyButton text={begun.secret} label="Copy the secret" />
                </span>
              </li>
              <li>Enter the six digits that it shows.</li>
            </ol>
            <CodeField label="Code" />
            {error !== undefined && <FormError error={error} />}
            <div className="flex gap-2">
              <button type="submit" className="button button-primary">
                Turn on
              </button>
              <button type="button" className="button" onClick={cancel}>
                Cancel
              </button>
            </div>
          </form>
        </div>
      )}
    </section>
  )
}

function CodeField({ label }: { label: string }) {
  return (
    <label className="block">
      <span className="mb-1 block text-sm font-medium">{label}</span>
      <input
        name="code"
        className="field font-mono tracking-widest"
        autoComplete="one-time-code"
        required
        maxLength={64}
      />
    </label>
  )
}

function CodesShownOnce({ codes, onDone }: { codes: readonly string[]; onDone: () => void }) {
  return (
    <div role="status" className="rounded-md border border-accent p-4">
      <p className="font-semibold">Recovery codes, shown once: keep them now</p>
      <p className="mt-1 text-muted">
        Each stands in for your authenticator once, for when it is lost.
      </p>
      <ul className="mt-3 grid grid-cols-2 gap-x-8 gap-y-1 font-mono text-xs">
        {codes.map((code) => (
          <li key={code}>{code}</li>
        ))}
      </ul>
      <div className="mt-4 flex items-center gap-2">
        <button type="button" className="button" onClick={onDone}>
          I have kept them
        </button>
        <CopyButton text={codes.join('\n')} label="Copy the recovery codes" />
      </div>
    </div>
  )
}
