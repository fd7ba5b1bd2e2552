import { chmod, rm } from 'node:fs/promises'
import httpProxy from '@fastify/http-proxy'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { createApi } from '../analytics/api/api-server.ts'
import { problemOf, sendProblem } from '../analytics/api/problem-reply.ts'
import { registerReceivers } from '../ingest/receivers/register-receivers.ts'
import { SealtrailError } from '../schemas/errors.ts'
import type { Configuration } from './configuration.ts'
import type { Core } from './core.ts'
import { Metrics } from './metrics.ts'

export interface Listeners {
  readonly port: number
  readonly otlpPort: number
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
  if (webPort !== undefined) {
    main.all('/api/*', async (request) => {
      throw new SealtrailError(
        'NOT_FOUND',
        `there is no ${request.method} ${request.url.split('?')[0]}`,
      )
    })
    await main.register(httpProxy, {
      upstream: `http://127.0.0.1:${webPort}`,
      httpMethods: ['GET', 'HEAD'],
      undici: { connections: 32 },
    })
  }

  const otlp = Fastify({
    loggerInstance: core.api.logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: 60_000,
  })
  otlp.setErrorHandler((error, request, reply) => sendProblem(reply, problemOf(error, request.id)))
  registerReceivers(otlp, receivers)

  const control = await createApi(core.api, 'control', allowedHosts)
  control.post('/control/setup-link', async () => ({ token: await core.control.createSetupLink() }))
  healthRoutes(control, core, metrics)

  const port = await listen(main, configuration.host, configuration.port)
  const otlpPort = await listen(otlp, configuration.host, configuration.otlpPort)
  const origin = (listenPort: number) =>
    `http://${configuration.host === '::1' ? '[::1]' : configuration.host}:${listenPort}`
  control.get('/control/status', async () => ({
    origin: origin(port),
    otlpOrigin: origin(otlpPort),
  }))
  if (process.platform !== 'win32') await rm(controlSocket, { force: true })
  await control.listen({ path: controlSocket })
  if (process.platform !== 'win32') await chmod(controlSocket, 0o600)
  return {
    port,
    otlpPort,
    async close() {
      await Promise.all([main.close(), otlp.close(), control.close()])
    },
  }
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
  app.get('/readyz', async (_request, reply) => {
    const ready = core.isReady()
    return reply
      .code(ready ? 200 : 503)
      .send({ status: ready ? 'ready' : 'columnar store restarting' })
  })
  app.get('/metrics', async (_request, reply) => {
    return reply.type(metrics.registry.contentType).send(await metrics.registry.metrics())
  })
  app.addHook('onResponse', async (request, reply) => {
    metrics.answered(request.routeOptions.url ?? 'none', reply.statusCode, reply.elapsedTime / 1000)
  })
}
