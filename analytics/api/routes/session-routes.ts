import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { LoginRequest, Me, SetupRequest, SetupStatus } from '../../../schemas/api/session.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import {
  type RouteContext,
  requirePrincipal,
  sessionCookie,
  type TypedApp,
} from '../route-context.ts'

const Empty = z.strictObject({})

/** First admin, login, logout, and who I am. */
export function sessionRoutes(app: TypedApp, context: RouteContext): void {
  app.get('/api/v1/setup', { schema: { response: { 200: SetupStatus } } }, async () => ({
    needsSetup: context.control.needsSetup(),
  }))

  app.post(
    '/api/v1/setup',
    { schema: { body: SetupRequest, response: { 200: Me } } },
    async (request, reply) => {
      const keys = [`setup:${request.ip}`]
      waitOrRefuse(context, keys, reply)
      try {
        const user = await context.control.completeSetup(request.body.token, {
          name: request.body.name,
          password: request.body.password,
        })
        return signIn(context, reply, user)
      } catch (error) {
        context.throttle.failed(keys)
        throw error
      }
    },
  )

  app.post(
    '/api/v1/login',
    { schema: { body: LoginRequest, response: { 200: Me } } },
    async (request, reply) => {
      const account = `account:${request.body.name.toLowerCase()}`
      const keys = [account, `address:${request.ip}`]
      waitOrRefuse(context, keys, reply)
      const user = await context.control.authenticateUser(request.body.name, request.body.password)
      if (user === undefined) {
        context.throttle.failed(keys)
        // One text for unknown user and wrong password: nothing to enumerate.
        throw new SealtrailError('CREDENTIALS_INVALID', 'name or password is wrong')
      }
      context.throttle.succeeded(account)
      return signIn(context, reply, user)
    },
  )

  app.post(
    '/api/v1/logout',
    { schema: { body: Empty.nullish(), response: { 200: Empty } } },
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
  reply: FastifyReply,
  user: { id: string; name: string; role: Me['user']['role'] },
): Me {
  reply.setCookie(sessionCookie, context.sessions.start(user.id), {
    path: '/',
    httpOnly: true,
    sameSite: 'lax',
    // Loopback only so far: a Secure cookie would not be sent over plain http everywhere.
    secure: false,
  })
  return { user: { id: user.id, name: user.name, role: user.role }, logId: context.logId }
}

function waitOrRefuse(context: RouteContext, keys: readonly string[], reply: FastifyReply): void {
  const waitMs = context.throttle.waitMs(keys)
  if (waitMs <= 0) return
  const seconds = Math.ceil(waitMs / 1000)
  reply.header('retry-after', String(seconds))
  throw new SealtrailError('RATE_LIMITED', `too many failed tries; wait ${seconds} s`, {
    retryable: true,
  })
}
