import type { FastifyRequest } from 'fastify'

/** A signal that fires when the client goes away, so that its query stops too. */
export function abortOnClose(request: FastifyRequest): AbortSignal {
  const controller = new AbortController()
  request.raw.once('close', () => {
    if (!request.raw.complete || request.raw.destroyed) controller.abort()
  })
  return controller.signal
}
