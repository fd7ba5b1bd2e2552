import { createHash, randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { SealtrailError } from '../../../schemas/errors.ts'
import { RecentMap } from '../../recent-map.ts'
import type { PendingSignIn } from '../identity-provider.ts'
import { problemOf } from '../problem-reply.ts'
import { originOf } from '../request-origin.ts'
import { RequestRate } from '../request-rate.ts'
import type { RouteContext, TypedApp } from '../route-context.ts'
import { cookieOptions, startSession } from '../sign-in.ts'

const BeginRequest = z.object({ next: z.string().max(2048).optional() })
const pendingCookie = 'sealtrail_sign_in'
const lifetimeMs = 10 * 60_000
const maxPending = 10_000

/**
 * Sign-in with an identity provider. The browser itself goes there and comes back, so these are pages and not part of
 * the API: they answer with redirects, and a failure ends on the sign-in page.
 */
export function identityProviderRoutes(app: TypedApp, context: RouteContext): void {
  const { identityProvider } = context
  if (identityProvider === undefined) return
  /** By the digest of the cookie: an answer counts only in the browser that asked, and once. */
  const waiting = new RecentMap<{ pending: PendingSignIn; next: string; untilMs: number }>(
    maxPending,
  )
  /** There is nothing to guess here: an address is slowed, never locked out, so that nobody does it to his neighbours. */
  const rate = new RequestRate(context.clock, 100, 5)
  const redirect = { type: 'text/html', description: 'A redirect' }

  app.get(
    '/oidc/begin',
    { schema: { querystring: BeginRequest }, config: { public: true, answers: redirect } },
    async (request, reply) => {
      try {
        limit(request)
        const pending = { state: token(), nonce: token(), codeVerifier: token() }
        const origin = originOf(context, request)
        const url = await identityProvider.begin(`${origin}/oidc/callback`, pending)
        const cookie = token()
        waiting.use(digestOf(cookie), () => ({
          pending,
          next: ownPath(request.query.next),
          untilMs: context.clock() + lifetimeMs,
        }))
        reply.setCookie(pendingCookie, cookie, { ...cookieOptions(context), path: '/oidc' })
        return reply.redirect(url.href)
      } catch (error) {
        return reply.redirect(failurePage(request.id, error))
      }
    },
  )

  app.get(
    '/oidc/callback',
    { config: { public: true, answers: redirect } },
    async (request, reply) => {
      try {
        limit(request)
        const cookie = request.cookies[pendingCookie]
        reply.clearCookie(pendingCookie, { ...cookieOptions(context), path: '/oidc' })
        const entry = cookie === undefined ? undefined : waiting.peek(digestOf(cookie))
        if (cookie !== undefined) waiting.delete(digestOf(cookie))
        if (entry === undefined || entry.untilMs <= context.clock()) {
          throw new SealtrailError(
            'CREDENTIALS_INVALID',
            'this browser began no sign-in, or too long ago',
            { hint: 'Begin again.' },
          )
        }
        const answer = new URL(request.url, originOf(context, request))
        const person = await identityProvider.finish(answer, entry.pending)
        const role = identityProvider.roleOf(person)
        if (role === undefined) {
          for (const user of context.control.accounts.users()) {
            const { federated } = user
            if (federated?.issuer === person.issuer && federated.subject === person.subject)
              context.sessions.endAllOf(user.id)
          }
          throw new SealtrailError('PERMISSION_DENIED', `${person.name} has no role in Sealtrail`, {
            hint: 'Whoever administers your identity provider can give you one.',
          })
        }
        const { accounts } = context.control
        const { issuer, subject, name } = person
        const provisioned = await accounts.provision({ issuer, subject, name, role })
        const user = await accounts.signIn(provisioned, 'identity_provider')
        startSession(context, request, reply, user, 'identity_provider')
        return reply.redirect(entry.next)
      } catch (error) {
        return reply.redirect(failurePage(request.id, error))
      }
    },
  )

  function limit(request: FastifyRequest): void {
    const waitMs = rate.take(request.ip)
    if (waitMs > 0)
      throw new SealtrailError('RATE_LIMITED', `too many sign-ins from ${request.ip}`, {
        retryable: true,
      })
  }

  /** The sign-in page says by a code alone what was wrong: nothing that a link could put there is shown. */
  function failurePage(requestId: string, error: unknown): string {
    const { code, status } = problemOf(error, requestId)
    // In words alone: what the library hangs on its errors may hold claims and tokens.
    const reasons = reasonsOf(error)
    context.logger.warn({ reasons, requestId }, 'sign-in with the identity provider failed')
    return status === 403 ? `/no-access?reason=${code}` : `/login?reason=${code}`
  }
}

/** Messages of an error and of what caused it. */
function reasonsOf(error: unknown): string[] {
  const reasons: string[] = []
  for (let each = error; each instanceof Error && reasons.length < 5; each = each.cause)
    reasons.push(each.message)
  return reasons
}

/** A path of this origin; anything else leads to the first page. A browser reads `\` and `//` as another host. */
function ownPath(next: string | undefined): string {
  if (next === undefined || !/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(next)) return '/explore'
  const url = new URL(next, 'http://own.invalid')
  return url.origin === 'http://own.invalid' ? `${url.pathname}${url.search}` : '/explore'
}

function token(): string {
  return randomBytes(32).toString('base64url')
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
