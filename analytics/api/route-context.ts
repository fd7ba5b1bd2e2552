import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { systemLogId } from '../../ledger/log-id.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import type { AccessLog } from './access-log.ts'
import type { ApiContext } from './api-context.ts'
import type { HeavyWork } from './heavy-work.ts'
import type { KnownDevices } from './known-devices.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { auditRoles, hasRole, type Principal, type UserPrincipal } from './principal.ts'
import type { TotpEnrolments } from './totp-enrolments.ts'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | undefined
  }
}

/** Name of the session cookie. Over TLS a browser takes `__Host-` from this very host only, and for all paths. */
export function sessionCookieOf(secure: boolean): string {
  return secure ? '__Host-sealtrail_session' : 'sealtrail_session'
}

/** What every route module gets. */
export interface RouteContext extends ApiContext {
  readonly access: AccessLog
  readonly throttle: LoginThrottle
  readonly heavyWork: HeavyWork
  /** People come by https: a cookie is never sent otherwise. */
  readonly secureCookies: boolean
  /** Where people are sent to; absent: where they come from. */
  readonly publicOrigin: string | undefined
  readonly enrolments: TotpEnrolments
  readonly devices: KnownDevices
}

export type TypedApp = ReturnType<typeof withTypes>
function withTypes(app: FastifyInstance) {
  return app.withTypeProvider<ZodTypeProvider>()
}

/** The person or operator behind a request. @throws SealtrailError `AUTHENTICATION_REQUIRED` */
export function requirePrincipal(request: FastifyRequest): Principal {
  if (request.principal === undefined) {
    throw new SealtrailError('AUTHENTICATION_REQUIRED', 'this needs a signed-in person', {
      hint: 'Sign in at /login.',
    })
  }
  return request.principal
}

/** A signed-in person, for what belongs to an account. @throws SealtrailError `PERMISSION_DENIED` for the operator */
export function requireUser(request: FastifyRequest): UserPrincipal {
  const principal = requirePrincipal(request)
  if (principal.kind === 'user') return principal
  throw new SealtrailError('PERMISSION_DENIED', 'the operator on the machine has no account', {
    hint: 'Sign in at /login.',
  })
}

/**
 * Logs that a principal may read: its own; and `_system`, which holds the users and keys of all logs, for auditors and
 * admins at home in the log of the deployment.
 *
 * @throws SealtrailError `NOT_FOUND`
 */
export function readableLog(context: ApiContext, principal: Principal, logId: string): string {
  if (logId === principal.logId) return logId
  if (logId === systemLogId && readsSystem(context, principal)) return logId
  throw new SealtrailError('NOT_FOUND', 'there is no such log')
}

export function readsSystem(context: ApiContext, principal: Principal): boolean {
  return principal.logId === context.logId && hasRole(principal, auditRoles)
}
