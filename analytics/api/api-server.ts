import cookie from '@fastify/cookie'
import swagger from '@fastify/swagger'
import Fastify, {
  type FastifyInstance,
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
import { ExportShelf } from './export-shelf.ts'
import { HeavyWork } from './heavy-work.ts'
import { LoginThrottle } from './login-throttle.ts'
import { openApiOptions } from './openapi.ts'
import type { Principal } from './principal.ts'
import { problemOf, sendProblem } from './problem-reply.ts'
import { checkWay, isFromThisMachine, type Reach } from './reach.ts'
import { checkRequestOrigin, isApi } from './request-origin.ts'
import { type RouteContext, requirePrincipal, sessionCookie } from './route-context.ts'
import { eventRoutes } from './routes/event-routes.ts'
import { exportRoutes } from './routes/export-routes.ts'
import { findingRoutes } from './routes/finding-routes.ts'
import { integrityRoutes } from './routes/integrity-routes.ts'
import { redactionRoutes } from './routes/redaction-routes.ts'
import { schemaRoutes } from './routes/schema-routes.ts'
import { searchRoutes } from './routes/search-routes.ts'
import { sessionRoutes } from './routes/session-routes.ts'
import { sourceRoutes } from './routes/source-routes.ts'
import { tlogRoutes } from './routes/tlog-routes.ts'

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
 * `public`. Authorisation happens in each route: {@link requirePrincipal}, {@link requireAdmin}.
 */
export async function createApi(
  context: ApiContext,
  listener: ApiListener,
): Promise<FastifyInstance> {
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
  await app.register(swagger, openApiOptions(context.version))
  app.decorateRequest('principal', undefined)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
    })
    if (isApi(request.url)) reply.header('cache-control', 'no-store')
    if (listener.kind === 'control') {
      request.principal = { kind: 'operator', logId: context.logId }
      return
    }
    const { reach } = listener
    const { url = request.url, config } = request.routeOptions
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
    request.principal = sessionPrincipal(context, request)
    // Also for a path that is no route: who is nobody learns nothing, not even what there is.
    if (isApi(url) && config.public !== true) requirePrincipal(request)
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
    exports: new ExportShelf(context.exportDirectory),
    secureCookies: listener.kind === 'network' && listener.reach.https,
  }
  const typed = app.withTypeProvider<ZodTypeProvider>()
  for (const register of [
    sessionRoutes,
    searchRoutes,
    eventRoutes,
    findingRoutes,
    integrityRoutes,
    sourceRoutes,
    redactionRoutes,
    exportRoutes,
    tlogRoutes,
    schemaRoutes,
  ]) {
    register(typed, routes)
  }
  return app
}

function sessionPrincipal(context: ApiContext, request: FastifyRequest): Principal | undefined {
  const token = request.cookies[sessionCookie]
  if (token === undefined) return undefined
  const userId = context.sessions.userOf(token)
  if (userId === undefined) return undefined
  const user = context.control.user(userId)
  if (user === undefined || user.disabled) return undefined
  return { kind: 'user', id: user.id, name: user.name, role: user.role, logId: context.logId }
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
