import type { FastifyReply } from 'fastify'
import type { Problem } from '../../schemas/api/problem.ts'
import { errorCatalogue, isSealtrailError, type SealtrailError } from '../../schemas/errors.ts'

/** RFC 9457 problem details of an error. Unexpected errors say nothing about the inside. */
export function problemOf(error: unknown, requestId: string): Problem {
  if (isSealtrailError(error)) return describe(error)
  if (isFrameworkRefusal(error)) {
    return {
      type: 'urn:sealtrail:error:REQUEST_INVALID',
      title: errorCatalogue.REQUEST_INVALID.title,
      status: error.statusCode,
      detail: error.message,
      code: 'REQUEST_INVALID',
    }
  }
  return {
    type: 'urn:sealtrail:error:INTERNAL',
    title: errorCatalogue.INTERNAL.title,
    status: 500,
    detail: 'something went wrong on our side; the log of the server names the cause',
    code: 'INTERNAL',
    instance: `urn:sealtrail:request:${requestId}`,
  }
}

function describe(error: SealtrailError): Problem {
  const entry = errorCatalogue[error.code]
  const span = readSpan(error.details?.['span'])
  return {
    type: `urn:sealtrail:error:${error.code}`,
    title: entry.title,
    status: entry.status,
    detail: error.message,
    code: error.code,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(span === undefined ? {} : { span }),
  }
}

function readSpan(value: unknown): { from: number; until: number } | undefined {
  if (typeof value !== 'object' || value === null || !('from' in value) || !('until' in value)) {
    return undefined
  }
  return typeof value.from === 'number' && typeof value.until === 'number'
    ? { from: value.from, until: value.until }
    : undefined
}

/** Fastify's own refusals (validation, body limits, media types): client errors with a safe message. */
function isFrameworkRefusal(error: unknown): error is Error & { statusCode: number } {
  return (
    error instanceof Error &&
    'statusCode' in error &&
    typeof error.statusCode === 'number' &&
    error.statusCode >= 400 &&
    error.statusCode < 500
  )
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  const passing = problem.status === 503 || problem.status === 429
  if (passing && !reply.hasHeader('retry-after')) reply.header('retry-after', '1')
  return reply
    .code(problem.status)
    .type('application/problem+json; charset=utf-8')
    .serializer((payload) => JSON.stringify(payload))
    .send(problem)
}
