import type { FastifyReply } from 'fastify'
import type { Problem } from '../../schemas/api/problem.ts'
import { errorCatalogue, isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import { maxBodyBytes } from './decode-body.ts'
import type { RecordProblem } from './receive.ts'

/** RFC 9457 problem of an error. Unexpected errors say nothing about the inside. */
export function problemOfError(error: unknown): Problem {
  if (isSealtrailError(error)) return describe(error)
  const refusal = frameworkRefusal(error)
  if (refusal !== undefined) return describe(refusal)
  return {
    type: 'urn:sealtrail:error:INTERNAL',
    title: errorCatalogue.INTERNAL.title,
    status: 500,
    detail: 'something went wrong on our side; the log of the server names the cause',
    code: 'INTERNAL',
  }
}

/** Problem of one bad record. It was kept; the detail says so, because a sender must not send it again. */
export function problemOfRecord(problem: RecordProblem): Problem {
  const { record, code, field, reason } = problem
  return {
    type: `urn:sealtrail:error:${code}`,
    title: errorCatalogue[code].title,
    status: 400,
    detail: `record ${record}: ${field === undefined ? '' : `${field} `}${reason}; kept as rejected`,
    code,
    record,
    ...(field === undefined ? {} : { field }),
    reason,
  }
}

export function describe(error: SealtrailError): Problem {
  const entry = errorCatalogue[error.code]
  return {
    type: `urn:sealtrail:error:${error.code}`,
    title: entry.title,
    status: entry.status,
    detail: error.message,
    code: error.code,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
}

/** RFC 9110 section 10.2.3, where the error knows how long; {@link sendProblem} says a second where it does not. */
export function retryAfter(reply: FastifyReply, error: unknown): void {
  const seconds = isSealtrailError(error) ? error.details?.retryAfterSeconds : undefined
  if (typeof seconds === 'number') reply.header('retry-after', String(seconds))
}

export function sendProblem(
  reply: FastifyReply,
  problem: Problem,
  more: Readonly<Record<string, unknown>> = {},
): FastifyReply {
  if ((problem.status === 503 || problem.status === 429) && !reply.hasHeader('retry-after')) {
    reply.header('retry-after', '1')
  }
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="sealtrail"')
  return reply
    .code(problem.status)
    .type('application/problem+json; charset=utf-8')
    .serializer((payload) => JSON.stringify(payload))
    .send({ ...problem, ...more })
}

/** Fastify's own refusals, in our words: theirs can quote the request. */
function frameworkRefusal(error: unknown): SealtrailError | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined
  if (error.statusCode === 413)
    return new SealtrailError('BODY_TOO_LARGE', `the body is larger than ${maxBodyBytes} bytes`)
  if (error.statusCode === 415)
    return new SealtrailError('MEDIA_TYPE_UNSUPPORTED', 'the content type is not supported')
  return error.statusCode === 400
    ? new SealtrailError('REQUEST_INVALID', 'the request could not be read')
    : undefined
}
