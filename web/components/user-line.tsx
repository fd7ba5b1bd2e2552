'use client'

import { useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { Role } from '../../schemas/api/session.ts'
import { PasswordLink, UserRow } from '../../schemas/api/users.ts'
import { ApiError, request } from '../api/request.ts'
import { formatInstant } from '../format/instant.ts'

type Action = 'disable' | 'enable' | 'remove-totp' | 'end-sessions' | 'password-link'

/** What is asked before something is done that somebody will notice. */
const questions: Readonly<Partial<Record<Action, string>>> = {
  disable: 'Really disable',
  'remove-totp': 'Really remove',
}

/** One user, and what an admin may do with the account. */
export function UserLine(props: {
  user: UserRow
  isSelf: boolean
  mayChange: boolean
  onLink: (link: PasswordLink) => void
}) {
  const { user, isSelf, mayChange } = props
  const client = useQueryClient()
  const [error, setError] = useState<string>()
  const [asking, setAsking] = useState<Action>()
  const send = async (work: () => Promise<void>) => {
    setError(undefined)
    setAsking(undefined)
    try {
      await work()
    } catch (cause) {
      const hint = cause instanceof ApiError ? cause.problem.hint : undefined
      const message = cause instanceof Error ? cause.message : String(cause)
      setError(hint === undefined ? message : `${message}. ${hint}`)
    }
    await client.invalidateQueries({ queryKey: ['users'] })
    await client.invalidateQueries({ queryKey: ['administration'] })
  }
  const path = `/api/v1/users/${encodeURIComponent(user.id)}`
  const body = { expectedVersion: user.version }
  const run = (action: Action) =>
    send(async () => {
      if (action === 'password-link') {
        props.onLink(await request(PasswordLink, `${path}/${action}`, { method: 'POST', body }))
      } else await request(UserRow, `${path}/${action}`, { method: 'POST', body })
    })
  const setRole = (role: string) =>
    send(async () => {
      await request(UserRow, `${path}/role`, { method: 'POST', body: { ...body, role } })
    })
  const button = (action: Action, label: ReactNode) =>
    asking === action ? (
      <span className="inline-flex gap-2">
        <button type="button" className="button button-danger" onClick={() => run(action)}>
          {questions[action]}
        </button>
        <button type="button" className="button" onClick={() => setAsking(undefined)}>
          Keep
        </button>
      </span>
    ) : (
      <button
        type="button"
        className="button"
        onClick={() => (questions[action] === undefined ? run(action) : setAsking(action))}
      >
        {label}
      </button>
    )
  const isLocal = user.identityProvider === null
  return (
    <>
      <tr className={user.state === 'disabled' ? 'text-muted' : ''}>
        <td className="px-4 py-2 font-medium">
          {user.name}
          {isSelf && <span className="chip ml-2 bg-accent-soft text-accent">You</span>}
          {!isLocal && (
            <span className="block text-xs font-normal text-muted">{user.identityProvider}</span>
          )}
        </td>
        <td className="px-4 py-2">
          {mayChange && isLocal ? (
            <select
              aria-label={`Role of ${user.name}`}
              className="field w-28"
              value={user.role}
              onChange={(event) => setRole(event.target.value)}
            >
              {Role.options.map((role) => (
                <option key={role}>{role}</option>
              ))}
            </select>
          ) : (
            user.role
          )}
        </td>
        <td className="px-4 py-2">
          <StateChip state={user.state} />
        </td>
        <td className="px-4 py-2">
          {isLocal ? (user.totp ? 'on' : 'off') : 'over there'}
          {mayChange && user.totp && !isSelf && (
            <span className="ml-2">{button('remove-totp', 'Remove')}</span>
          )}
        </td>
        <td className="whitespace-nowrap px-4 py-2 font-mono text-xs">
          {user.lastSignInAt === null ? 'never' : formatInstant(user.lastSignInAt).slice(0, 16)}
          {user.sessions > 0 && (
            <span className="block font-sans text-muted">
              {user.sessions} open {user.sessions === 1 ? 'session' : 'sessions'}
            </span>
          )}
        </td>
        <td className="px-4 py-2">
          {mayChange && (
            <span className="flex flex-wrap justify-end gap-2">
              {isLocal &&
                !isSelf &&
                user.state !== 'disabled' &&
                button('password-link', user.state === 'invited' ? 'New link' : 'Reset password')}
              {user.sessions > 0 && !isSelf && button('end-sessions', 'Sign out')}
              {user.state === 'disabled'
                ? button('enable', 'Enable')
                : button('disable', 'Disable')}
            </span>
          )}
        </td>
      </tr>
      {error !== undefined && (
        <tr>
          <td colSpan={6} className="bg-bad-soft px-4 py-2 text-sm text-bad">
            <span role="alert" className="block first-letter:uppercase">
              {error}
            </span>
          </td>
        </tr>
      )}
    </>
  )
}

function StateChip({ state }: { state: UserRow['state'] }) {
  const tone = {
    active: 'bg-ok-soft text-ok',
    invited: 'bg-warn-soft text-warn',
    disabled: 'bg-raised text-muted',
  }[state]
  return <span className={`chip ${tone}`}>{state}</span>
}
