import { z } from 'zod'
import { isPlainLoopback, type OpenIdOptions } from '../analytics/api/openid-provider.ts'
import { Role } from '../schemas/api/session.ts'

/** Sign-in with an identity provider, as it is configured; the secret stays in its file until it is needed. */
export type OpenIdConfiguration = Omit<OpenIdOptions, 'clientSecret'> & {
  readonly clientSecretFile: string | undefined
}

const precedence: readonly Role[] = ['admin', 'auditor', 'analyst', 'viewer']

/** `admin=sealtrail-admins,viewer=*`: role and the value of the claim that gives it; the highest one counts. */
export const RoleMapping = z.string().transform((text, context) => {
  const pairs = text.split(',').map((part) => {
    const at = part.indexOf('=')
    const role = Role.safeParse(part.slice(0, at).trim())
    const value = part.slice(at + 1).trim()
    if (at < 0 || !role.success || value === '') {
      context.addIssue({
        code: 'custom',
        message: `${JSON.stringify(part)} is not role=value, with a role of ${precedence.join(', ')}`,
      })
      return z.NEVER
    }
    return { role: role.data, value }
  })
  return pairs.sort((a, b) => precedence.indexOf(a.role) - precedence.indexOf(b.role))
})

export const IssuerUrl = z.string().superRefine((text, context) => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && (url.protocol === 'https:' || isPlainLoopback(url))) return
  const message = `${JSON.stringify(text)} is neither an https address nor an http address of this machine`
  context.addIssue({ code: 'custom', message })
})
