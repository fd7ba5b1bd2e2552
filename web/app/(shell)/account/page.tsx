'use client'

import { useQuery } from '@tanstack/react-query'
import { AccountReply } from '../../../../schemas/api/account.ts'
import { request } from '../../../api/request.ts'
import { PasswordPanel } from '../../../components/password-panel.tsx'
import { SecondFactorPanel } from '../../../components/second-factor-panel.tsx'
import { SessionsPanel } from '../../../components/sessions-panel.tsx'
import { Failure, Loading } from '../../../components/states.tsx'

/** One's own account. */
export default function AccountPage() {
  const query = useQuery({
    queryKey: ['account'],
    queryFn: ({ signal }) => request(AccountReply, '/api/v1/account', { signal }),
  })
  const account = query.data
  return (
    <div className="mx-auto max-w-3xl space-y-5 p-6">
      <header>
        <h1 className="text-xl font-semibold tracking-tight">Account</h1>
        {account !== undefined && (
          <p className="text-muted">
            {account.name}, with the role {account.role}.
          </p>
        )}
      </header>
      {query.isPending && <Loading />}
      {query.error !== null && <Failure error={query.error} onRetry={() => query.refetch()} />}
      {account !== undefined && (
        <>
          {account.totp.required && !account.totp.enabled && (
            <p
              role="status"
              className="rounded-lg border border-warn bg-warn-soft px-4 py-3 text-text"
            >
              Your role needs a second factor. Set one up here; until then nothing else is shown.
            </p>
          )}
          {account.identityProvider === null ? (
            <>
              <SecondFactorPanel account={account} />
              <PasswordPanel />
            </>
          ) : (
            <section className="panel p-5">
              <h2 className="font-semibold">Signed in at {account.identityProvider}</h2>
              <p className="mt-1 text-muted">
                Your password, your second factor and your role are kept there.
              </p>
            </section>
          )}
          <SessionsPanel sessions={account.sessions} />
        </>
      )}
    </div>
  )
}
