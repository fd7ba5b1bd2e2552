import { createHash, timingSafeEqual } from 'node:crypto'
import { chmod, rm } from 'node:fs/promises'
import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { createApi, networkServer } from '../analytics/api/api-server.ts'
import { anyRole } from '../analytics/api/principal.ts'
import { problemOf, sendProblem } from '../analytics/api/problem-reply.ts'
import { checkWay, isFromThisMachine, type Reach } from '../analytics/api/reach.ts'
import { checkRequestOrigin } from '../analytics/api/request-origin.ts'
import { boundConnections, defaultConnectionBounds } from '../ingest/receivers/bound-connections.ts'
import { registerReceivers } from '../ingest/receivers/register-receivers.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { backupRoutes } from './backup-route.ts'
import type { Certificates, WatchedCertificates } from './certificate-files.ts'
import type { Configuration } from './configuration.ts'
import type { ControlStatus } from './control-client.ts'
import type { Core } from './core.ts'
import { Metrics } from './metrics.ts'
import { hostHeaderOf, isWildcard } from './network-reach.ts'
import { rebuildRoute } from './rebuild-route.ts'
import { signingKeyRoute } from './signing-key-route.ts'
import { plainHttpAnswer, TlsServers } from './tls-servers.ts'

export interface Listeners {
  /** `http://host:port` or `https://host:port`, with the port that was taken. */
  readonly origin: string
  readonly otlpOrigin: string
  /** Takes new certificates into use, for connections from now on. */
  useCertificates(renewed: Certificates): void
  close(): Promise<void>
}

export interface ListenerOptions {
  readonly core: Core
  readonly configuration: Configuration
  readonly controlSocket: string
  /** Loopback port of the dashboard; absent where there is none. */
  readonly webPort: number | undefined
  /** Of every listener on TCP; absent: plain HTTP. */
  readonly certificates: WatchedCertificates | undefined
  /** Lets Prometheus in from elsewhere. */
  readonly metricsToken: string | undefined
}

/**
 * Opens what others talk to: dashboard, API and native receiver on one origin; OTLP on its well-known port; and the
 * control socket, which answers the operator on this machine.
 *
 * @throws SealtrailError `PORT_IN_USE`
 */
export async function openListeners({
  core,
  configuration,
  controlSocket,
  webPort,
  certificates,
  metricsToken,
}: ListenerOptions): Promise<Listeners> {
  const metrics = new Metrics(core, certificates)
  const receivers = { ...core.receivers, logger: core.api.logger, onCounted: metrics.onCounted }
  const { reach } = configuration
  const tls =
    certificates === undefined
      ? undefined
      : new TlsServers(
          certificates.current,
          plainHttpAnswer((host) => securedOrigin(host, reach)),
        )
  const network = { reach, serverFactory: tls?.factory }

  const main = await createApi(core.api, { kind: 'network', ...network })
  registerReceivers(main, receivers)
  healthRoutes(main, core, metrics, { reach, token: metricsToken })
  main.setNotFoundHandler(refuseUnknown)
  if (webPort !== undefined) {
    // The dashboard has pages; whoever asks for anything else is a program, and is answered as one.
    for (const path of ['/api/*', '/v1/*', '/tlog/*']) {
      main.all(path, { config: { roles: anyRole } }, refuseUnknown)
    }
    await main.register(httpProxy, {
      upstream: `http://127.0.0.1:${webPort}`,
      httpMethods: ['GET', 'HEAD'],
      undici: { connections: 32 },
      disableRequestLogging: true,
    })
  }

  const otlp = Fastify({
    ...networkServer(network),
    loggerInstance: core.api.logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: 60_000,
  })
  otlp.addHook('onRequest', async (request) => checkWay(request, reach))
  otlp.setErrorHandler((error, request, reply) => sendProblem(reply, problemOf(error, request.id)))
  otlp.setNotFoundHandler(refuseUnknown)
  measure(otlp, metrics)
  registerReceivers(otlp, receivers)

  for (const { server } of [main, otlp]) boundConnections(server, defaultConnectionBounds)

  const control = await createApi(core.api, { kind: 'control' })
  control.post('/control/setup-link', async () => ({
    token: await core.control.accounts.createSetupLink(),
  }))
  rebuildRoute(control, core)
  backupRoutes(control, core, configuration.dataDirectory)
  signingKeyRoute(control, core)
  control.setNotFoundHandler(refuseUnknown)

  const { host } = configuration
  const scheme = tls === undefined ? 'http' : 'https'
  const ownOrigin = (port: number) =>
    `${scheme}://${isWildcard(host) ? 'localhost' : hostHeaderOf(host)}:${port}`
  const origin = ownOrigin(await listen(main, host, configuration.port))
  const otlpOrigin = ownOrigin(await listen(otlp, host, configuration.otlpPort))
  control.get('/control/status', async (): Promise<ControlStatus> => {
    return {
      origin,
      otlpOrigin,
      ...(reach.publicOrigin === undefined ? {} : { publicOrigin: reach.publicOrigin }),
      ...(certificates === undefined ? {} : { certificate: statusOf(certificates) }),
    }
  })
  if (process.platform !== 'win32') await rm(controlSocket, { force: true })
  await control.listen({ path: controlSocket })
  if (process.platform !== 'win32') await chmod(controlSocket, 0o600)
  return {
    origin,
    otlpOrigin,
    useCertificates: (renewed) => tls?.use(renewed),
    async close() {
      await Promise.all([main.close(), otlp.close(), control.close()])
    },
  }
}

/** Where a page asked for over plain HTTP is: under the public name, or that of this machine that was asked. */
function securedOrigin(host: string, { hosts, publicOrigin }: Reach): string | undefined {
  const name = URL.canParse(`https://${host}`) ? new URL(`https://${host}`).hostname : ''
  if (publicOrigin === `https://${host}` || !hosts.has(name)) return publicOrigin
  return `https://${host}`
}

function statusOf({ current, problem }: WatchedCertificates): ControlStatus['certificate'] {
  return {
    subject: current.subject,
    notAfter: new Date(current.notAfterMs).toISOString(),
    sha256: current.sha256,
    ...(problem === undefined ? {} : { problem: problem.message }),
  }
}

/** Sent to the error handler, as every refusal. The path is told without its query, which may hold what is searched. */
async function refuseUnknown(request: FastifyRequest): Promise<never> {
  throw new SealtrailError(
    'NOT_FOUND',
    `there is no ${request.method} ${request.url.split('?')[0]}`,
    {
      hint: 'Events go to POST /v1/events, OTLP to POST /v1/logs and /v1/traces; the API is at /api/v1/openapi.json.',
    },
  )
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE') {
      throw new SealtrailError('PORT_IN_USE', `port ${port} on ${host} is in use`, {
        cause,
        hint: 'Choose another with --port or --otlp-port; 0 takes a free one.',
      })
    }
    throw cause
  }
  const address = app.server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}

/**
 * Liveness and readiness for everybody; they say nothing about what is recorded. Metrics name logs and tell how busy
 * agents are: they are for this machine, and for whoever has the token.
 */
function healthRoutes(
  app: FastifyInstance,
  core: Core,
  metrics: Metrics,
  { reach, token }: { reach: Reach; token: string | undefined },
): void {
  const config = { anyHost: true }
  app.get('/healthz', { config }, async () => ({ status: 'ok' }))
  // The listeners open when the ledger is ready, so whoever is answered may send: the ledger goes on without the
  // columnar store, and taking the receivers out of service for it would lose events.
  app.get('/readyz', { config }, async (_request, reply) => {
    const full = core.disk.state === 'full'
    if (full) reply.code(503)
    return { status: full ? 'disk full' : 'ready', columnar: core.api.columnarState() }
  })
  app.get('/metrics', { config }, async (request, reply) => {
    const { authorization } = request.headers
    if (authorization !== undefined || !isFromThisMachine(request, reach)) {
      checkMetricsToken(authorization, token)
    } else checkRequestOrigin(request, reach)
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
  measure(app, metrics)
}

/** @throws SealtrailError `AUTHENTICATION_REQUIRED`, `CREDENTIALS_INVALID` */
function checkMetricsToken(authorization: string | undefined, token: string | undefined): void {
  if (authorization === undefined || token === undefined) {
    throw new SealtrailError(
      'AUTHENTICATION_REQUIRED',
      'metrics are for this machine, and for who has their token',
      {
        hint: 'Set SEALTRAIL_METRICS_TOKEN_FILE, and send "Authorization: Bearer <token>" (credentials_file in Prometheus).',
      },
    )
  }
  const digest = (text: string) => createHash('sha256').update(text).digest()
  if (!timingSafeEqual(digest(authorization), digest(`Bearer ${token}`))) {
    throw new SealtrailError('CREDENTIALS_INVALID', 'this is not the token of the metrics')
  }
}

function measure(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', async (request, reply) => {
    metrics.answered(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000)
  })
}
