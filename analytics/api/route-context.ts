import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { SealtrailError } from '../../schemas/errors.ts'
import type { AccessLog } from './access-log.ts'
import type { ApiContext } from './api-context.ts'
import type { ExportShelf } from './export-shelf.ts'
import type { HeavyWork } from './heavy-work.ts'
import type { LoginThrottle } from './login-throttle.ts'
import { isAdmin, type Principal } from './principal.ts'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | undefined
  }
}

export const sessionCookie = 'sealtrail_session'

/** What every route module gets. */
export interface RouteContext extends ApiContext {
  readonly access: AccessLog
  readonly throttle: LoginThrottle
  readonly heavyWork: HeavyWork
  readonly exports: ExportShelf
  /** People come by https: a cookie is never sent otherwise. */
  readonly secureCookies: boolean
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

/** @throws SealtrailError `AUTHENTICATION_REQUIRED` or `PERMISSION_DENIED` */
export function requireAdmin(request: FastifyRequest): Principal {
  const principal = requirePrincipal(request)
  if (!isAdmin(principal)) {
    throw new SealtrailError('PERMISSION_DENIED', 'this needs the role admin')
  }
  return principal
}

/** Logs a principal may read: its own, and `_system` for admins. @throws SealtrailError `NOT_FOUND` */
export function readableLog(principal: Principal, logId: string): string {
  if (logId === principal.logId || (logId === '_system' && isAdmin(principal))) return logId
  throw new SealtrailError('NOT_FOUND', 'there is no such log')
}
