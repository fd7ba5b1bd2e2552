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
  const next = useSearchParams().get('next')
  const setup = useQuery({
    queryKey: ['setup'],
    queryFn: () => request(SetupStatus, '/api/v1/setup'),
  })
  return (
    <AccountForm
      title="Sign in"
      intro={
        setup.data?.needsSetup
          ? 'There is no account yet. Open the one-time link that Sealtrail printed when it started, or print a new one with: sealtrail setup-link'
          : 'To the audit trail of your MCP tool calls.'
      }
      action="Sign in"
      newPassword={false}
      onSubmit={async (account) => {
        const me = await request(Me, '/api/v1/login', { method: 'POST', body: account })
        client.setQueryData(['me'], me)
        router.replace(localPath(next))
      }}
    />
  )
}

/** Only paths of this origin: nobody is sent elsewhere after signing in. */
function localPath(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) ? next : '/explore'
}
