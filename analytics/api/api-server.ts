import { randomBytes } from 'node:crypto'
import cookie from '@fastify/cookie'
import swagger from '@fastify/swagger'
import Fastify, {
  type FastifyContextConfig,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerFactory,
  LogController,
} from 'fastify'
import {
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import { SealtrailError } from '../../schemas/errors.ts'
import { AccessLog } from './access-log.ts'
import type { ApiContext } from './api-context.ts'
import { HeavyWork } from './heavy-work.ts'
import { KnownDevices } from './known-devices.ts'
import { LoginThrottle } from './login-throttle.ts'
import { openApiOptions } from './openapi.ts'
import { adminRole, hasRole, type Principal } from './principal.ts'
import { problemOf, sendProblem } from './problem-reply.ts'
import { checkWay, isFromThisMachine, type Reach } from './reach.ts'
import { checkRequestOrigin, isApi } from './request-origin.ts'
import { RequestRate } from './request-rate.ts'
import { type RouteContext, requirePrincipal, sessionCookieOf } from './route-context.ts'
import { accountRoutes } from './routes/account-routes.ts'
import { administrationRoutes } from './routes/administration-routes.ts'
import { erasureRoutes } from './routes/erasure-routes.ts'
import { eventRoutes } from './routes/event-routes.ts'
import { exportRoutes } from './routes/export-routes.ts'
import { findingRoutes } from './routes/finding-routes.ts'
import { identityProviderRoutes } from './routes/identity-provider-routes.ts'
import { integrityRoutes } from './routes/integrity-routes.ts'
import { redactionRoutes } from './routes/redaction-routes.ts'
import { schemaRoutes } from './routes/schema-routes.ts'
import { searchRoutes } from './routes/search-routes.ts'
import { sessionRoutes } from './routes/session-routes.ts'
import { sourceRoutes } from './routes/source-routes.ts'
import { tlogRoutes } from './routes/tlog-routes.ts'
import { userRoutes } from './routes/user-routes.ts'
import { TotpEnrolments } from './totp-enrolments.ts'

/** Where a listener on TCP is reached, and over TLS where a factory says so. */
export interface NetworkListener {
  readonly reach: Reach
  readonly serverFactory?: FastifyServerFactory | undefined
}

/** How requests on a listener are authenticated. */
export type ApiListener =
  /** TCP: browser sessions by cookie; Host, Origin and the way that the request came are checked. */
  | (NetworkListener & { readonly kind: 'network' })
  /** The Unix socket (named pipe) in the data directory: whoever may open it is the operator. */
  | { readonly kind: 'control' }

/**
 * The HTTP API, `/api/v1/*` and `/tlog/*`. One Fastify instance a listener; both share the context.
 *
 * Authentication happens here, before anything of the request is read: a route needs a session unless its `config` says
 * `public`, and one of its `roles`; what says neither is for admins. What a role may see inside an answer is decided
 * where it is asked: the query compiler, and the evidence of an event.
 */
export async function createApi(
  context: ApiContext,
  listener: ApiListener,
): Promise<FastifyInstance> {
  const secureCookies = listener.kind === 'network' && listener.reach.https
  const cookieName = sessionCookieOf(secureCookies)
  const app = Fastify({
    ...(listener.kind === 'network' ? networkServer(listener) : {}),
    loggerInstance: context.logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: 4 * 1024 * 1024,
    requestTimeout: 60_000,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
  })
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  await app.register(cookie)
  await app.register(swagger, openApiOptions(context.version, cookieName))
  app.decorateRequest('principal', undefined)
  const rate = new RequestRate(context.clock)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
    })
    const { url = request.url, config } = request.routeOptions
    if (isApi(url)) reply.header('cache-control', 'no-store')
    if (listener.kind === 'control') {
      request.principal = { kind: 'operator', logId: context.logId }
      authorise(request.principal, config, context.logId)
      return
    }
    const { reach } = listener
    checkWay(request, reach)
    if (namesPublicHost(request, reach)) reply.header('strict-transport-security', hsts)
    if (!isReceiver(request.url) && config.anyHost !== true) checkRequestOrigin(request, reach)
    if (config.thisMachineOnly === true && !isFromThisMachine(request, reach)) {
      throw new SealtrailError(
        'PERMISSION_DENIED',
        'this is answered only to whoever is on the machine that Sealtrail runs on',
        { hint: 'Open the link there, or through ssh -L. See docs/tls.md.' },
      )
    }
    request.principal = sessionPrincipal(context, cookieName, request)
    // Also for a path that is no route: who is nobody learns nothing, not even what there is.
    if (!isApi(url)) return
    limitRate(rate, request, reply)
    if (config.public === true) return
    const principal = requirePrincipal(request)
    if (!request.is404) authorise(principal, config, context.logId)
  })
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error, request.id)
    if (problem.status >= 500)
      request.log.error({ err: error, requestId: request.id }, 'request failed')
    return sendProblem(reply, problem)
  })
  const routes: RouteContext = {
    ...context,
    access: new AccessLog(context.appender, context.clock),
    throttle: new LoginThrottle(context.clock),
    heavyWork: new HeavyWork(2),
    secureCookies,
    publicOrigin: listener.kind === 'network' ? listener.reach.publicOrigin : undefined,
    enrolments: new TotpEnrolments(context.clock),
    devices: new KnownDevices(randomBytes),
  }
  const typed = app.withTypeProvider<ZodTypeProvider>()
  for (const register of [
    sessionRoutes,
    identityProviderRoutes,
    accountRoutes,
    userRoutes,
    administrationRoutes,
    searchRoutes,
    eventRoutes,
    findingRoutes,
    integrityRoutes,
    sourceRoutes,
    redactionRoutes,
    exportRoutes,
    tlogRoutes,
    erasureRoutes,
    schemaRoutes,
  ]) {
    register(typed, routes)
  }
  return app
}

function sessionPrincipal(
  context: ApiContext,
  cookieName: string,
  request: FastifyRequest,
): Principal | undefined {
  const token = request.cookies[cookieName]
  const session = token === undefined ? undefined : context.sessions.find(token)
  if (token === undefined || session === undefined) return undefined
  const { accounts } = context.control
  const user = accounts.user(session.userId)
  // Another password, role or second factor, or a disabled account: whoever signed in before must sign in again.
  if (user === undefined || user.disabled || user.sessionsSince !== session.since) {
    context.sessions.end(token)
    return undefined
  }
  return {
    kind: 'user',
    id: user.id,
    name: user.name,
    role: user.role,
    logId: user.logId ?? context.logId,
    sessionId: session.id,
    mustEnrol: accounts.mustEnrol(user),
  }
}

/** @throws SealtrailError `PERMISSION_DENIED`, `SECOND_FACTOR_REQUIRED` */
function authorise(principal: Principal, config: FastifyContextConfig, logId: string): void {
  const roles = config.roles ?? adminRole
  if (!hasRole(principal, roles)) {
    throw new SealtrailError('PERMISSION_DENIED', `this needs the role ${roles.join(' or ')}`)
  }
  if (config.deploymentOnly === true && principal.logId !== logId) {
    throw new SealtrailError('PERMISSION_DENIED', 'this belongs to the deployment, not to one log')
  }
  if (principal.kind === 'operator') {
    if (config.accountOnly !== true) return
    throw new SealtrailError('PERMISSION_DENIED', 'the operator on the machine has no account', {
      hint: 'Sign in at /login.',
    })
  }
  if (principal.mustEnrol && config.beforeEnrolment !== true) {
    throw new SealtrailError(
      'SECOND_FACTOR_REQUIRED',
      `the role ${principal.role} needs a second factor, and this account has none`,
      { hint: 'Set one up at /account.' },
    )
  }
}

/** A caller is a session, or an address where there is none. @throws SealtrailError `RATE_LIMITED` */
function limitRate(rate: RequestRate, request: FastifyRequest, reply: FastifyReply): void {
  const { principal } = request
  if (principal?.kind === 'operator') return
  const waitMs = rate.take(
    principal === undefined ? `address ${request.ip}` : `session ${principal.sessionId}`,
  )
  if (waitMs === 0) return
  reply.header('retry-after', String(Math.ceil(waitMs / 1000)))
  throw new SealtrailError('RATE_LIMITED', 'more requests than one session may send', {
    retryable: true,
  })
}

/** A year, of this name only: what else runs on its subdomains is not ours to decide. RFC 6797. */
const hsts = 'max-age=31536000'

/** Never of a loopback name: browsers keep it for every port, and other things are developed there. */
function namesPublicHost(request: FastifyRequest, { https, publicOrigin }: Reach): boolean {
  return (
    https && publicOrigin === `https://${request.host}` && !publicOrigin.includes('//localhost')
  )
}

/** What a Fastify instance on a network needs: whose word about clients is taken, and TLS. */
export function networkServer({ reach, serverFactory }: NetworkListener) {
  return {
    trustProxy: (address: string) => reach.isTrustedProxy(address),
    ...(serverFactory === undefined ? {} : { serverFactory }),
  }
}

/** Receivers authenticate by source key in a header, never by cookie: no browser can be made to send one. */
function isReceiver(url: string): boolean {
  return url.startsWith('/v1/')
}
