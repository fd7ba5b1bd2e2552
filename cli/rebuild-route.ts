import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { isSealtrailError } from '../schemas/errors.ts'
import type { Core } from './core.ts'

/** `POST /control/rebuild` on the control socket: for the operator of this machine alone. */
export function rebuildRoute(control: FastifyInstance, core: Core): void {
  control.post('/control/rebuild', (_request, reply) => {
    async function* lines(): AsyncIterable<string> {
      try {
        for await (const progress of core.rebuild()) yield `${JSON.stringify(progress)}\n`
      } catch (error) {
        core.api.logger.error({ err: error }, 'the rebuild failed')
        // The reply has begun: what went wrong is its last line.
        const code = isSealtrailError(error) ? error.code : 'INTERNAL'
        const message = isSealtrailError(error) ? error.message : 'the rebuild failed; see the log'
        yield `${JSON.stringify({ kind: 'failed', code, message })}\n`
      }
    }
    return reply.type('application/x-ndjson').send(Readable.from(lines()))
  })
}
