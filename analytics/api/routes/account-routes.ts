import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { User } from '../../../ledger/control/system-state.ts'
import { base32, totpUri } from '../../../ledger/control/totp.ts'
import {
  AccountReply,
  BeginTotpReply,
  BeginTotpRequest,
  ChangePasswordRequest,
  EnrolTotpRequest,
  RecoveryCodes,
  RemoveTotpRequest,
} from '../../../schemas/api/account.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { timestampFromMs } from '../../../schemas/event/timestamp.ts'
import { anyRole } from '../principal.ts'
import { type RouteContext, requireUser, type TypedApp } from '../route-context.ts'
import { beginTry, startSession } from '../sign-in.ts'

const Empty = z.strictObject({})
const SessionParams = z.strictObject({ id: z.string().max(64) })
const own = { roles: anyRole, beforeEnrolment: true, accountOnly: true } as const

/** One's own account: password, second factor, sessions. Every role has one; the operator has none. */
export function accountRoutes(app: TypedApp, context: RouteContext): void {
  const { accounts } = context.control

  app.get(
    '/api/v1/account',
    { schema: { response: { 200: AccountReply } }, config: own },
    async (request) => {
      const { sessionId } = requireUser(request)
      const user = userOf(request)
      return {
        id: user.id,
        name: user.name,
        role: user.role,
        identityProvider: user.federated?.issuer ?? null,
        totp: {
          enabled: user.totp !== undefined,
          required:
            user.federated === undefined && accounts.signInSettings().totpRoles.includes(user.role),
          recoveryCodesLeft: user.totp?.recoverySha256.length ?? 0,
        },
        sessions: context.sessions.of(user.id, user.sessionsSince).map((session) => ({
          id: session.id,
          startedAt: timestampFromMs(session.startedAtMs),
          lastSeenAt: timestampFromMs(session.seenAtMs),
          address: session.address,
          userAgent: session.userAgent,
          current: session.id === sessionId,
        })),
      }
    },
  )

  app.post(
    '/api/v1/account/password',
    { schema: { body: ChangePasswordRequest, response: { 200: Empty } }, config: own },
    async (request, reply) => {
      const user = await withPassword(request, reply, request.body.oldPassword)
      const { password } = request.body
      await accounts.setPassword(user.id, password, user.version, `user:${user.id}`)
      // All sessions are over by it, this one too; it goes on under another token.
      renew(request, reply)
      return {}
    },
  )

  app.post(
    '/api/v1/account/totp/begin',
    { schema: { body: BeginTotpRequest, response: { 200: BeginTotpReply } }, config: own },
    async (request, reply) => {
      const user = await withPassword(request, reply, request.body.password)
      if (user.totp !== undefined) {
        throw new SealtrailError('REQUEST_INVALID', 'this account has a second factor already', {
          hint: 'Remove it first.',
        })
      }
      const secret = accounts.newTotpSecret()
      context.enrolments.begin(user.id, secret)
      return { uri: totpUri('Sealtrail', user.name, secret), secret: base32(secret) }
    },
  )

  app.post(
    '/api/v1/account/totp',
    { schema: { body: EnrolTotpRequest, response: { 200: RecoveryCodes } }, config: own },
    async (request, reply) => {
      const user = userOf(request)
      const secret = context.enrolments.secretOf(user.id)
      if (secret === undefined) {
        throw new SealtrailError('NOT_FOUND', 'no second factor waits for its first code', {
          hint: 'Begin again: a secret waits for ten minutes.',
        })
      }
      const attempt = beginTry(context, reply, `enrolment of ${user.id}`)
      const code = request.body.code.replaceAll(/\s/g, '')
      const recoveryCodes = await accounts.enrolTotp(user.id, secret, code, user.version)
      attempt.succeeded()
      context.enrolments.end(user.id)
      renew(request, reply)
      return { recoveryCodes }
    },
  )

  app.post(
    '/api/v1/account/totp/remove',
    { schema: { body: RemoveTotpRequest, response: { 200: Empty } }, config: own },
    async (request, reply) => {
      const user = await withPassword(request, reply, request.body.password)
      if (user.totp === undefined)
        throw new SealtrailError('NOT_FOUND', 'this account has no second factor')
      const attempt = beginTry(context, reply, `code from ${request.ip}`, `code of ${user.id}`)
      await accounts.proveSecondFactor(user, request.body.code)
      attempt.succeeded()
      await accounts.removeTotp(user.id, user.version, `user:${user.id}`)
      renew(request, reply)
      return {}
    },
  )

  app.post(
    '/api/v1/account/sessions/:id/end',
    { schema: { params: SessionParams, response: { 200: Empty } }, config: own },
    async (request) => {
      const { id } = requireUser(request)
      if (!context.sessions.endOne(id, request.params.id))
        throw new SealtrailError('NOT_FOUND', 'there is no such session')
      return {}
    },
  )

  app.post(
    '/api/v1/account/sessions/end-others',
    { schema: { response: { 200: Empty } }, config: own },
    async (request) => {
      const { id, sessionId } = requireUser(request)
      context.sessions.endOthers(id, sessionId)
      return {}
    },
  )

  function userOf(request: FastifyRequest): User {
    const user = accounts.user(requireUser(request).id)
    if (user === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such user')
    return user
  }

  /** Asks for the password again: a browser that was left open is not its owner. */
  async function withPassword(
    request: FastifyRequest,
    reply: FastifyReply,
    password: string,
  ): Promise<User> {
    const user = userOf(request)
    if (user.federated !== undefined) {
      throw new SealtrailError('REQUEST_INVALID', `you sign in at ${user.federated.issuer}`, {
        hint: 'Password and second factor are kept there.',
      })
    }
    const attempt = beginTry(context, reply, `password of ${user.id}`)
    const proven = await accounts.authenticateUser(user.name, password)
    if (proven === undefined) {
      throw new SealtrailError('CREDENTIALS_INVALID', 'your present password is another one')
    }
    attempt.succeeded()
    return proven
  }

  function renew(request: FastifyRequest, reply: FastifyReply): void {
    startSession(context, request, reply, userOf(request), 'password')
  }
}
