import type { FastifyInstance } from 'fastify'
import { maxBodyBytes } from './decode-body.ts'
import { registerNativeReceiver } from './native-receiver.ts'
import { registerOtlpReceiver } from './otlp-receiver.ts'
import { problemOfError, retryAfter, sendProblem } from './problem.ts'
import type { ReceiverDeps } from './receiver-deps.ts'

/**
 * Puts the receivers on a server: native events and OTLP/HTTP. They live in a scope of their own, in which every body
 * arrives as bytes; the routes of other plugins on the same server keep their parsers.
 */
export function registerReceivers(app: FastifyInstance, deps: ReceiverDeps): void {
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(
      '*',
      { parseAs: 'buffer', bodyLimit: maxBodyBytes },
      (_request, body, done) => done(null, body),
    )
    scope.setErrorHandler((error, _request, reply) => {
      const problem = problemOfError(error)
      // A refusal for a moment is told to the sender: a line of the log for each would be a flood of its own.
      if (problem.status >= 500 && problem.code !== 'BUS_FULL') {
        deps.logger.error({ err: error }, 'request of a source failed')
      }
      retryAfter(reply, error)
      return sendProblem(reply, problem)
    })
    registerNativeReceiver(scope, deps)
    registerOtlpReceiver(scope, deps)
  })
}
