'use client'

import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { z } from 'zod'
import { Role } from '../../schemas/api/session.ts'
import type { UsersReply } from '../../schemas/api/users.ts'
import { request } from '../api/request.ts'
import { FormError } from './form-error.tsx'

/** Which roles must have a second factor. */
export function SignInSettings(props: { settings: UsersReply['signIn']; mayChange: boolean }) {
  const { settings, mayChange } = props
  const client = useQueryClient()
  const [error, setError] = useState<Error>()
  /** Shown at once; what the server says then counts. */
  const [chosen, setChosen] = useState<readonly Role[]>()
  const shown = chosen ?? settings.totpRoles
  const toggle = async (role: Role) => {
    const totpRoles = shown.includes(role)
      ? shown.filter((each) => each !== role)
      : [...shown, role]
    setError(undefined)
    setChosen(totpRoles)
    try {
      await request(z.object({}), '/api/v1/settings/sign-in', {
        method: 'POST',
        body: { totpRoles, expectedVersion: settings.version },
      })
    } catch (cause) {
      setError(cause instanceof Error ? cause : new Error(String(cause)))
    }
    for (const key of ['users', 'me', 'account', 'administration'])
      await client.invalidateQueries({ queryKey: [key] })
    setChosen(undefined)
  }
  return (
    <fieldset className="panel p-5" disabled={!mayChange}>
      <legend className="sr-only">Roles that need a second factor</legend>
      <h2 className="font-semibold">Second factor required</h2>
      <p className="mb-3 mt-1 text-muted">
        Whoever has the role and no second factor sets one up at the next sign-in, and sees nothing
        before. Identity providers ask for their own.
      </p>
      <div className="flex flex-wrap gap-x-6 gap-y-2">
        {Role.options.map((role) => (
          <label key={role} className="flex min-h-6 items-center gap-2">
            <input
              type="checkbox"
              className="size-4 accent-accent"
              checked={shown.includes(role)}
              disabled={chosen !== undefined}
              onChange={() => toggle(role)}
            />
            {role}
          </label>
        ))}
      </div>
      {error !== undefined && (
        <div className="mt-3">
          <FormError error={error} />
        </div>
      )}
    </fieldset>
  )
}
