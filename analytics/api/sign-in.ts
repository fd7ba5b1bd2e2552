import type { FastifyReply, FastifyRequest } from 'fastify'
import type { SignInMethod, User } from '../../ledger/control/system-state.ts'
import type { Me } from '../../schemas/api/session.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { LoginTry } from './login-throttle.ts'
import type { Principal } from './principal.ts'
import { type RouteContext, sessionCookieOf } from './route-context.ts'

/** Begins the session of a person who proved who he is, and sets its cookie. */
export function startSession(
  context: RouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
  user: User,
  method: SignInMethod,
): Me {
  const name = sessionCookieOf(context.secureCookies)
  // The session before is over: what was on this browser is not carried over to somebody else.
  const former = request.cookies[name]
  if (former !== undefined) context.sessions.end(former)
  const token = context.sessions.start({
    userId: user.id,
    since: user.sessionsSince,
    address: request.ip,
    userAgent: request.headers['user-agent'] ?? '',
    federated: method === 'identity_provider',
  })
  reply.setCookie(name, token, cookieOptions(context))
  const { accounts } = context.control
  return {
    user: { id: user.id, name: user.name, role: user.role },
    logId: user.logId ?? context.logId,
    mustEnrol: accounts.mustEnrol(user),
  }
}

export function endSession(
  context: RouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const name = sessionCookieOf(context.secureCookies)
  const token = request.cookies[name]
  if (token !== undefined) context.sessions.end(token)
  reply.clearCookie(name, cookieOptions(context))
}

/** Of every cookie of ours: not for scripts, and not for requests that other sites make. */
export function cookieOptions(context: Pick<RouteContext, 'secureCookies'>) {
  return {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure: context.secureCookies,
  } as const
}

export function meOf(principal: Principal): Me {
  const { logId } = principal
  return principal.kind === 'operator'
    ? { user: { id: 'operator', name: 'operator', role: 'admin' }, logId, mustEnrol: false }
    : {
        user: { id: principal.id, name: principal.name, role: principal.role },
        logId,
        mustEnrol: principal.mustEnrol,
      }
}

/**
 * Lets a try at a secret through, or refuses it for a while.
 *
 * @param origin what is tried, and from where
 * @param account what is tried at; absent where a guess names none
 * @throws SealtrailError `RATE_LIMITED`
 */
export function beginTry(
  context: RouteContext,
  reply: FastifyReply,
  origin: string,
  account?: string,
): LoginTry {
  const attempt = context.throttle.begin(origin, account)
  if (typeof attempt !== 'number') return attempt
  const seconds = Math.ceil(attempt / 1000)
  reply.header('retry-after', String(seconds))
  throw new SealtrailError('RATE_LIMITED', `too many failed tries; wait ${seconds} s`, {
    retryable: true,
  })
}
