'use client'

import type { PasswordLink } from '../../schemas/api/users.ts'
import { formatInstant } from '../format/instant.ts'
import { CommandLine } from './command-line.tsx'

/** The one-time link of an invited user, or of one who forgot a password. */
export function PasswordLinkOnce({ link, onDone }: { link: PasswordLink; onDone: () => void }) {
  const { user, token } = link
  return (
    <section className="panel border-accent p-5" aria-label="The one-time link">
      <h2 className="font-semibold">A link for {user.name}, shown once: copy it now</h2>
      <p className="mb-3 mt-1 text-muted">
        Whoever opens it first chooses the password, so send it on a way that only {user.name}{' '}
        reads. It works until {formatInstant(user.linkExpiresAt ?? undefined).slice(0, 16)} UTC.
      </p>
      <CommandLine command={`${window.location.origin}/set-password#${token}`} />
      <button type="button" className="button mt-4" onClick={onDone}>
        I have copied it
      </button>
    </section>
  )
}
