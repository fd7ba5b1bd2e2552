'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import { Role } from '../../schemas/api/session.ts'
import { PasswordLink } from '../../schemas/api/users.ts'
import { request } from '../api/request.ts'

/** Invites somebody: an account with a role, and a one-time link to choose its password. */
export function NewUser({ onInvited }: { onInvited: (link: PasswordLink) => void }) {
  const client = useQueryClient()
  const [error, setError] = useState<string>()
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const fields = new FormData(form)
    try {
      const body = { name: fields.get('name'), role: fields.get('role') }
      onInvited(await request(PasswordLink, '/api/v1/users', { method: 'POST', body }))
      form.reset()
      setError(undefined)
      await client.invalidateQueries({ queryKey: ['users'] })
      await client.invalidateQueries({ queryKey: ['administration'] })
    } catch (cause) {
      setError(cause instanceof Error ? cause.message : String(cause))
    }
  }
  return (
    <form onSubmit={submit} className="flex flex-wrap items-center justify-end gap-2">
      <input
        name="name"
        aria-label="Name of the new user"
        placeholder="Name, e.g. ann.lee"
        required
        maxLength={64}
        pattern="[a-zA-Z0-9._@\-]+"
        title="Letters, digits and . _ @ -"
        autoComplete="off"
        className="field w-44"
      />
      <select name="role" aria-label="Role of the new user" className="field w-28">
        {Role.options.map((role) => (
          <option key={role}>{role}</option>
        ))}
      </select>
      <button type="submit" className="button button-primary shrink-0 py-2">
        Invite
      </button>
      {error !== undefined && (
        <p role="alert" className="basis-full text-right text-sm text-bad first-letter:uppercase">
          {error}
        </p>
      )}
    </form>
  )
}
