'use client'

import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useRouter, useSearchParams } from 'next/navigation'
import { Suspense } from 'react'
import { Me, SetupStatus } from '../../../schemas/api/session.ts'
import { request } from '../../api/request.ts'
import { AccountForm } from '../../components/account-form.tsx'

export default function LoginPage() {
  return (
    <Suspense>
      <Login />
    </Suspense>
  )
}

function Login() {
  const router = useRouter()
  const client = useQueryClient()
  const search = useSearchParams()
  const next = search.get('next')
  const setup = useQuery({
    queryKey: ['setup'],
    queryFn: () => request(SetupStatus, '/api/v1/setup'),
  })
  const provider = setup.data?.identityProvider ?? null
  const reason = search.get('reason')
  return (
    <AccountForm
      title="Sign in"
      intro={
        setup.data?.needsSetup
          ? 'There is no account yet. Open the one-time link that Sealtrail printed when it started, or print a new one with: sealtrail setup-link'
          : 'To the audit trail of your MCP tool calls.'
      }
      notice={reason === null ? undefined : noticeOf(reason)}
      action="Sign in"
      newPassword={false}
      onSubmit={async (account) => {
        const me = await request(Me, '/api/v1/login', { method: 'POST', body: account })
        client.setQueryData(['me'], me)
        router.replace(me.mustEnrol ? '/account' : localPath(next))
      }}
    >
      {provider !== null && (
        <>
          <p className="my-4 flex items-center gap-3 text-xs text-muted">
            <span className="h-px flex-1 bg-line" />
            or
            <span className="h-px flex-1 bg-line" />
          </p>
          <a
            href={`/oidc/begin?next=${encodeURIComponent(localPath(next))}`}
            className="button w-full justify-center py-2"
          >
            Sign in with {provider}
          </a>
        </>
      )}
    </AccountForm>
  )
}

/** By a code alone: the address bar puts no words of its own here. */
function noticeOf(reason: string): string {
  switch (reason) {
    case 'PASSWORD_SET':
      return 'Your password is set. Sign in with it.'
    case 'CREDENTIALS_INVALID':
      return 'The answer of the identity provider was not one to this sign-in, or it took too long. Begin again.'
    case 'IDENTITY_PROVIDER_UNAVAILABLE':
      return 'The identity provider does not answer. Try again in a moment.'
    case 'RATE_LIMITED':
      return 'Too many sign-ins from your address. Try again in a minute.'
    default:
      return 'The sign-in did not work. Begin again.'
  }
}

/** Only paths of this origin: nobody is sent elsewhere after signing in. */
function localPath(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) ? next : '/explore'
}
