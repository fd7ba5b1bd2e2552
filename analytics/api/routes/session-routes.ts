import { z } from 'zod'
import {
  LoginRequest,
  LogoutReply,
  Me,
  PasswordLinkReply,
  PasswordLinkRequest,
  SetupRequest,
  SetupStatus,
} from '../../../schemas/api/session.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { anyRole } from '../principal.ts'
import { originOf } from '../request-origin.ts'
import {
  type RouteContext,
  requirePrincipal,
  sessionCookieOf,
  type TypedApp,
} from '../route-context.ts'
import { beginTry, cookieOptions, endSession, meOf, startSession } from '../sign-in.ts'

const Empty = z.strictObject({})
const deviceCookie = 'sealtrail_device'
const deviceCookieSeconds = 365 * 24 * 60 * 60

/** First admin, login, logout, and who I am. */
export function sessionRoutes(app: TypedApp, context: RouteContext): void {
  const { accounts } = context.control
  app.get(
    '/api/v1/setup',
    { schema: { response: { 200: SetupStatus } }, config: { public: true } },
    async () => ({
      needsSetup: accounts.needsSetup(),
      identityProvider: context.identityProvider?.name ?? null,
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
      const { token, name, password } = request.body
      const made = await accounts.completeSetup(token, { name, password })
      attempt.succeeded()
      const user = await accounts.signIn(made, 'setup_link')
      return startSession(context, request, reply, user, 'setup_link')
    },
  )

  app.post(
    '/api/v1/login',
    { schema: { body: LoginRequest, response: { 200: Me } }, config: { public: true } },
    async (request, reply) => {
      const { name, password, code } = request.body
      const device = context.devices.nameOf(request.cookies[deviceCookie], name)
      const attempt = beginTry(
        context,
        reply,
        device === undefined ? `login from ${request.ip}` : `login from device ${device}`,
        device === undefined ? name : `${name} at device ${device}`,
      )
      const known = await accounts.authenticateUser(name, password)
      if (known === undefined) {
        await context.access.refused(accounts.userByName(name)?.id)
        // One text for unknown user and wrong password: nothing to enumerate.
        throw new SealtrailError('CREDENTIALS_INVALID', 'name or password is wrong')
      }
      attempt.succeeded()
      // Counted apart: who knows the password gains no new tries at the code by it.
      const codeTry =
        known.totp === undefined || code === undefined
          ? undefined
          : beginTry(context, reply, `code from ${request.ip}`, `code of ${known.id}`)
      const user = await accounts.signIn(known, 'password', code).catch(async (error: unknown) => {
        if (codeTry !== undefined) await context.access.refused(known.id)
        throw error
      })
      codeTry?.succeeded()
      const me = startSession(context, request, reply, user, 'password')
      if (device === undefined) {
        reply.setCookie(deviceCookie, context.devices.remember(name), {
          ...cookieOptions(context),
          path: '/api/v1/login',
          maxAge: deviceCookieSeconds,
        })
      }
      return me
    },
  )

  app.post(
    '/api/v1/password-links',
    {
      schema: { body: PasswordLinkRequest, response: { 200: PasswordLinkReply } },
      config: { public: true },
    },
    async (request, reply) => {
      const attempt = beginTry(context, reply, `link from ${request.ip}`)
      const user = await accounts.usePasswordLink(request.body.token, request.body.password)
      attempt.succeeded()
      // No session: whoever has a second factor must show it.
      return { name: user.name }
    },
  )

  app.post(
    '/api/v1/logout',
    { schema: { body: Empty.nullish(), response: { 200: LogoutReply } }, config: { public: true } },
    async (request, reply) => {
      const token = request.cookies[sessionCookieOf(context.secureCookies)]
      const session = token === undefined ? undefined : context.sessions.find(token)
      endSession(context, request, reply)
      if (session?.federated !== true || context.identityProvider === undefined)
        return { endSessionUrl: null }
      // Signed out here in any case; where the provider is away, only here.
      const returnTo = `${originOf(context, request)}/login`
      const url = await context.identityProvider.endSessionUrl(returnTo).catch(() => undefined)
      return { endSessionUrl: url ?? null }
    },
  )

  app.get(
    '/api/v1/me',
    { schema: { response: { 200: Me } }, config: { roles: anyRole, beforeEnrolment: true } },
    async (request) => meOf(requirePrincipal(request)),
  )
}
