import type { FastifyReply } from 'fastify'

/** A signal that fires when the client goes away before it has its answer, so that the work for it stops too. */
export function abortOnClose(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  // Not the request's: that one closes as soon as its body was read.
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}
