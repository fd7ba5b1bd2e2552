import { z } from 'zod'
import type { User } from '../../../ledger/control/system-state.ts'
import { systemLogId } from '../../../ledger/log-id.ts'
import {
  ChangeRoleRequest,
  CreateUserRequest,
  PasswordLink,
  SignInSettingsRequest,
  UserCommand,
  UserRow,
  UsersReply,
} from '../../../schemas/api/users.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { timestampToMs } from '../../../schemas/event/timestamp.ts'
import { actorOf, adminRole, auditRoles, type Principal } from '../principal.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const UserParams = z.strictObject({ id: z.string().max(64) })
const Empty = z.strictObject({})

/** Users: auditors see them, admins change them; each those of their own log. */
export function userRoutes(app: TypedApp, context: RouteContext): void {
  const { accounts } = context.control

  app.get(
    '/api/v1/users',
    { schema: { response: { 200: UsersReply } }, config: { roles: auditRoles } },
    async (request) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, systemLogId, 'users')
      const { totpRoles, version } = accounts.signInSettings()
      return {
        users: accounts
          .users()
          .filter((user) => isVisible(principal, user))
          .map(rowOf),
        signIn: { totpRoles: [...totpRoles], version },
      }
    },
  )

  app.post(
    '/api/v1/users',
    {
      schema: { body: CreateUserRequest, response: { 200: PasswordLink } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { name, role, logId = principal.logId } = request.body
      if (logId !== principal.logId && principal.kind !== 'operator') {
        throw new SealtrailError(
          'PERMISSION_DENIED',
          'users of another log are made by the operator',
        )
      }
      const { user, token } = await accounts.invite(
        { name, role, logId: logId === context.logId ? undefined : logId },
        actorOf(principal),
      )
      return { user: rowOf(user), token }
    },
  )

  app.post(
    '/api/v1/users/:id/role',
    {
      schema: { params: UserParams, body: ChangeRoleRequest, response: { 200: UserRow } },
      config: { roles: adminRole },
    },
    async (request) => {
      const { principal, id } = target(request)
      const { role, expectedVersion } = request.body
      await accounts.setRole(id, role, expectedVersion, actorOf(principal))
      return row(id)
    },
  )

  for (const [name, run] of [
    ['disable', accounts.disableUser.bind(accounts)],
    ['enable', accounts.enableUser.bind(accounts)],
    ['remove-totp', accounts.removeTotp.bind(accounts)],
  ] as const) {
    app.post(
      `/api/v1/users/:id/${name}`,
      {
        schema: { params: UserParams, body: UserCommand, response: { 200: UserRow } },
        config: { roles: adminRole },
      },
      async (request) => {
        const { principal, id } = target(request)
        if (name === 'remove-totp') refuseSelf(principal, id)
        await run(id, request.body.expectedVersion, actorOf(principal))
        return row(id)
      },
    )
  }

  app.post(
    '/api/v1/users/:id/password-link',
    {
      schema: { params: UserParams, body: UserCommand, response: { 200: PasswordLink } },
      config: { roles: adminRole },
    },
    async (request) => {
      const { principal, id } = target(request)
      refuseSelf(principal, id)
      const { expectedVersion } = request.body
      const token = await accounts.createPasswordLink(id, expectedVersion, actorOf(principal))
      return { user: row(id), token }
    },
  )

  app.post(
    '/api/v1/users/:id/end-sessions',
    {
      schema: { params: UserParams, response: { 200: UserRow } },
      config: { roles: adminRole },
    },
    async (request) => {
      const { id } = target(request)
      context.sessions.endAllOf(id)
      return row(id)
    },
  )

  app.post(
    '/api/v1/settings/sign-in',
    {
      schema: { body: SignInSettingsRequest, response: { 200: Empty } },
      config: { roles: adminRole, deploymentOnly: true },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { totpRoles, expectedVersion } = request.body
      await accounts.setSignInSettings(totpRoles, expectedVersion, actorOf(principal))
      return {}
    },
  )

  /** The user of a command, of the log of whoever gives it. */
  function target(request: Parameters<typeof requirePrincipal>[0] & { params: { id: string } }) {
    const principal = requirePrincipal(request)
    const user = accounts.user(request.params.id)
    if (user === undefined || !isVisible(principal, user))
      throw new SealtrailError('NOT_FOUND', 'there is no such user')
    return { principal, id: user.id }
  }

  function isVisible(principal: Principal, user: User): boolean {
    return principal.kind === 'operator' || (user.logId ?? context.logId) === principal.logId
  }

  function row(id: string): UserRow {
    const user = accounts.user(id)
    if (user === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such user')
    return rowOf(user)
  }

  function rowOf(user: User): UserRow {
    const { link } = user
    const waits = link !== undefined && timestampToMs(link.expiresAt) > context.clock()
    const canSignIn = user.passwordHash !== undefined || user.federated !== undefined
    return {
      id: user.id,
      name: user.name,
      role: user.role,
      state: user.disabled ? 'disabled' : canSignIn ? 'active' : 'invited',
      identityProvider: user.federated?.issuer ?? null,
      totp: user.totp !== undefined,
      createdAt: user.createdAt,
      lastSignInAt: user.lastSignInAt ?? null,
      linkExpiresAt: waits ? link.expiresAt : null,
      sessions: context.sessions.of(user.id, user.sessionsSince).length,
      version: user.version,
    }
  }
}

/** One's own password and second factor need the present ones: a browser that was left open is not its owner. */
function refuseSelf(principal: Principal, id: string): void {
  if (principal.kind !== 'user' || principal.id !== id) return
  throw new SealtrailError(
    'PERMISSION_DENIED',
    'your own password and second factor are changed under Account',
  )
}
