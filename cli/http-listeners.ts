import { chmod, rm } from 'node:fs/promises'
import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyInstance, type FastifyRequest, LogController } from 'fastify'
import { createApi } from '../analytics/api/api-server.ts'
import { problemOf, sendProblem } from '../analytics/api/problem-reply.ts'
import { registerReceivers } from '../ingest/receivers/register-receivers.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { Configuration } from './configuration.ts'
import type { ControlStatus } from './control-client.ts'
import type { Core } from './core.ts'
import { Metrics } from './metrics.ts'

export interface Listeners {
  /** `http://host:port`, with the port that was taken. */
  readonly origin: string
  readonly otlpOrigin: string
  close(): Promise<void>
}

export interface ListenerOptions {
  readonly core: Core
  readonly configuration: Configuration
  readonly controlSocket: string
  /** Loopback port of the dashboard; absent where there is none. */
  readonly webPort: number | undefined
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
}: ListenerOptions): Promise<Listeners> {
  const metrics = new Metrics(core)
  const receivers = { ...core.receivers, logger: core.api.logger, onCounted: metrics.onCounted }
  const allowedHosts = new Set(['localhost', '127.0.0.1', '[::1]', configuration.host])

  const main = await createApi(core.api, 'network', allowedHosts)
  registerReceivers(main, receivers)
  healthRoutes(main, core, metrics)
  main.setNotFoundHandler(refuseUnknown)
  if (webPort !== undefined) {
    // The dashboard has pages; whoever asks for anything else is a program, and is answered as one.
    for (const path of ['/api/*', '/v1/*', '/tlog/*']) main.all(path, refuseUnknown)
    await main.register(httpProxy, {
      upstream: `http://127.0.0.1:${webPort}`,
      httpMethods: ['GET', 'HEAD'],
      undici: { connections: 32 },
      disableRequestLogging: true,
    })
  }

  const otlp = Fastify({
    loggerInstance: core.api.logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: 60_000,
  })
  otlp.setErrorHandler((error, request, reply) => sendProblem(reply, problemOf(error, request.id)))
  otlp.setNotFoundHandler(refuseUnknown)
  measure(otlp, metrics)
  registerReceivers(otlp, receivers)

  const control = await createApi(core.api, 'control', allowedHosts)
  control.post('/control/setup-link', async () => ({ token: await core.control.createSetupLink() }))
  control.setNotFoundHandler(refuseUnknown)

  const origin = originOf(configuration, await listen(main, configuration.host, configuration.port))
  const otlpOrigin = originOf(
    configuration,
    await listen(otlp, configuration.host, configuration.otlpPort),
  )
  const status: ControlStatus = { origin, otlpOrigin }
  control.get('/control/status', async () => status)
  if (process.platform !== 'win32') await rm(controlSocket, { force: true })
  await control.listen({ path: controlSocket })
  if (process.platform !== 'win32') await chmod(controlSocket, 0o600)
  return {
    origin,
    otlpOrigin,
    async close() {
      await Promise.all([main.close(), otlp.close(), control.close()])
    },
  }
}

function originOf({ host }: Configuration, port: number): string {
  return `http://${host === '::1' ? '[::1]' : host}:${port}`
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

/** Liveness, readiness, metrics. They say nothing about what is recorded. */
function healthRoutes(app: FastifyInstance, core: Core, metrics: Metrics): void {
  app.get('/healthz', async () => ({ status: 'ok' }))
  // The listeners open when the ledger is ready, so whoever is answered may send: the ledger goes on without the
  // columnar store, and taking the receivers out of service for it would lose events.
  app.get('/readyz', async () => ({ status: 'ready', columnar: core.api.columnarState() }))
  app.get('/metrics', async (_request, reply) => {
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
  measure(app, metrics)
}

function measure(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', async (request, reply) => {
    metrics.answered(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000)
  })
}
