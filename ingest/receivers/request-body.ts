import type { FastifyRequest } from 'fastify'

/** Bytes of the body, as the catch-all parser of the receivers left them. */
export function bodyOf(request: FastifyRequest): Uint8Array {
  return request.body instanceof Uint8Array ? request.body : new Uint8Array()
}

/** Media type without parameters, lower case; empty when the request names none. */
export function mediaTypeOf(request: FastifyRequest): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? ''
}
