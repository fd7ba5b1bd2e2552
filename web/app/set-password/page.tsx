'use client'

import { useRouter } from 'next/navigation'
import { useEffect, useState } from 'react'
import { PasswordLinkReply } from '../../../schemas/api/session.ts'
import { request } from '../../api/request.ts'
import { AccountForm } from '../../components/account-form.tsx'

/** Where a one-time link leads. Its token stands behind the `#`, which no server and no proxy is sent. */
export default function SetPasswordPage() {
  const router = useRouter()
  const [token, setToken] = useState<string>()
  useEffect(() => {
    const found = window.location.hash.slice(1)
    setToken((known) => known ?? found)
    window.history.replaceState(null, '', '/set-password')
  }, [])
  return (
    <AccountForm
      title="Choose your password"
      intro={
        token === ''
          ? 'This address needs the one-time link that an administrator gave you.'
          : 'This one-time link works once, and for a day.'
      }
      action="Set password"
      newPassword
      withName={false}
      onSubmit={async ({ password }) => {
        await request(PasswordLinkReply, '/api/v1/password-links', {
          method: 'POST',
          body: { token: token ?? '', password },
        })
        router.replace('/login?reason=PASSWORD_SET')
      }}
    />
  )
}
