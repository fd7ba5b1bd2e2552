import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { LoginRequest, Me, SetupRequest, SetupStatus } from '../../../schemas/api/session.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import type { LoginTry } from '../login-throttle.ts'
import {
  type RouteContext,
  requirePrincipal,
  sessionCookie,
  type TypedApp,
} from '../route-context.ts'

const Empty = z.strictObject({})

/** First admin, login, logout, and who I am. */
export function sessionRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/setup',
    { schema: { response: { 200: SetupStatus } }, config: { public: true } },
    async () => ({
      needsSetup: context.control.needsSetup(),
    }),
  )

  app.post(
    '/api/v1/setup',
    {
      schema: { body: SetupRequest, response: { 200: Me } },
      config: { public: true, thisMachineOnly: true },
    },
    async (request, reply) => {
      const attempt = beginTry(context, reply, `setup from ${request.ip}`)
      const user = await context.control.completeSetup(request.body.token, {
        name: request.body.name,
        password: request.body.password,
      })
      attempt.succeeded()
      return signIn(context, request, reply, user)
    },
  )

  app.post(
    '/api/v1/login',
    { schema: { body: LoginRequest, response: { 200: Me } }, config: { public: true } },
    async (request, reply) => {
      const attempt = beginTry(context, reply, `login from ${request.ip}`, request.body.name)
      const user = await context.control.authenticateUser(request.body.name, request.body.password)
      if (user === undefined) {
        // One text for unknown user and wrong password: nothing to enumerate.
        throw new SealtrailError('CREDENTIALS_INVALID', 'name or password is wrong')
      }
      attempt.succeeded()
      return signIn(context, request, reply, user)
    },
  )

  app.post(
    '/api/v1/logout',
    { schema: { body: Empty.nullish(), response: { 200: Empty } }, config: { public: true } },
    async (request, reply) => {
      const token = request.cookies[sessionCookie]
      if (token !== undefined) context.sessions.end(token)
      reply.clearCookie(sessionCookie, { path: '/' })
      return {}
    },
  )

  app.get('/api/v1/me', { schema: { response: { 200: Me } } }, async (request) => {
    return meOf(request, context)
  })
}

function meOf(request: FastifyRequest, context: RouteContext): Me {
  const principal = requirePrincipal(request)
  const user =
    principal.kind === 'user'
      ? { id: principal.id, name: principal.name, role: principal.role }
      : { id: 'operator', name: 'operator', role: 'admin' as const }
  return { user, logId: context.logId }
}

function signIn(
  context: RouteContext,
  request: FastifyRequest,
  reply: FastifyReply,
  user: { id: string; name: string; role: Me['user']['role'] },
): Me {
  // The session before is over: what was on this browser is not carried over to somebody else.
  const former = request.cookies[sessionCookie]
  if (former !== undefined) context.sessions.end(former)
  reply.setCookie(sessionCookie, context.sessions.start(user.id), {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    secure: context.secureCookies,
  })
  return { user: { id: user.id, name: user.name, role: user.role }, logId: context.logId }
}

/** @throws SealtrailError `RATE_LIMITED` */
function beginTry(
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
