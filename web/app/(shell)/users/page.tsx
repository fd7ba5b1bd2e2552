'use client'

import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { Me } from '../../../../schemas/api/session.ts'
import { type PasswordLink, UsersReply } from '../../../../schemas/api/users.ts'
import { request } from '../../../api/request.ts'
import { AdministrationLog } from '../../../components/administration-log.tsx'
import { NewUser } from '../../../components/new-user.tsx'
import { PasswordLinkOnce } from '../../../components/password-link-once.tsx'
import { SignInSettings } from '../../../components/sign-in-settings.tsx'
import { Failure, Loading } from '../../../components/states.tsx'
import { UserLine } from '../../../components/user-line.tsx'

const columns = ['Name', 'Role', 'State', 'Second factor', 'Last sign-in (UTC)', ''] as const

/** Who may sign in. Auditors read it; admins change it. */
export default function UsersPage() {
  const me = useQuery({
    queryKey: ['me'],
    queryFn: ({ signal }) => request(Me, '/api/v1/me', { signal }),
  })
  const query = useQuery({
    queryKey: ['users'],
    queryFn: ({ signal }) => request(UsersReply, '/api/v1/users', { signal }),
  })
  const [link, setLink] = useState<PasswordLink>()
  const mayChange = me.data?.user.role === 'admin'
  return (
    <div className="mx-auto max-w-5xl space-y-5 p-6">
      <header className="flex flex-wrap items-end justify-between gap-4">
        <div className="min-w-0 flex-1 basis-72">
          <h1 className="text-xl font-semibold tracking-tight">Users</h1>
          <p className="text-muted">
            Viewers see who called what, analysts everything in a call, auditors administration and
            exports too; admins change things.
          </p>
        </div>
        {mayChange && <NewUser onInvited={setLink} />}
      </header>
      {link !== undefined && <PasswordLinkOnce link={link} onDone={() => setLink(undefined)} />}
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {query.data !== undefined && (
        <>
          <div className="panel relative overflow-x-auto">
            <table className="w-full text-sm" aria-label="Users">
              <thead>
                <tr className="border-b border-line bg-raised text-left">
                  {columns.map((title) => (
                    <th key={title} className="label px-4 py-2">
                      {title === '' ? <span className="sr-only">Actions</span> : title}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody className="divide-y divide-line">
                {query.data.users.map((user) => (
                  <UserLine
                    key={user.id}
                    user={user}
                    isSelf={user.id === me.data?.user.id}
                    mayChange={mayChange}
                    onLink={setLink}
                  />
                ))}
              </tbody>
            </table>
          </div>
          <SignInSettings settings={query.data.signIn} mayChange={mayChange} />
          <AdministrationLog />
        </>
      )}
    </div>
  )
}
