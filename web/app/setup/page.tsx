'use client'

import { useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useEffect, useState } from 'react'
import { Me } from '../../../schemas/api/session.ts'
import { request } from '../../api/request.ts'
import { AccountForm } from '../../components/account-form.tsx'

export default function SetupPage() {
  const router = useRouter()
  const client = useQueryClient()
  const [token, setToken] = useState<string>()
  useEffect(() => {
    // The token leaves the address bar, and with it the history, before anything else happens.
    const found = new URLSearchParams(window.location.search).get('token') ?? ''
    setToken((known) => known ?? found)
    window.history.replaceState(null, '', '/setup')
  }, [])
  return (
    <AccountForm
      title="Make the first account"
      intro={
        token === ''
          ? 'This address needs the one-time link that Sealtrail printed when it started. Print a new one with: sealtrail setup-link'
          : 'This one-time link makes the administrator of this installation. It works once.'
      }
      action="Make account"
      newPassword
      onSubmit={async (account) => {
        const me = await request(Me, '/api/v1/setup', {
          method: 'POST',
          body: { token: token ?? '', ...account },
        })
        client.setQueryData(['me'], me)
        router.replace('/explore')
      }}
    />
  )
}
