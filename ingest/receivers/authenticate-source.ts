import type { FastifyReply, FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'
import { clientCertificate } from './client-certificate.ts'
import { maxBodyBytes } from './decode-body.ts'
import type { ReceiverDeps, SourceIdentity } from './receiver-deps.ts'

/**
 * Source of a request that may come in: its key is right, and its quota not used up. Both are settled before the body
 * is read.
 *
 * @throws SealtrailError `AUTHENTICATION_REQUIRED`, `CREDENTIALS_INVALID`, `QUOTA_EXCEEDED`, `BUS_FULL`
 */
export async function admitSource(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: ReceiverDeps,
): Promise<SourceIdentity> {
  const source = await authenticateSource(request, deps)
  reply.raw.once('close', deps.intake.admit(source, announcedBytes(request)))
  return source
}

/** Without a length, or packed, a body may have as many as any. */
function announcedBytes({ headers }: FastifyRequest): number {
  const length = headers['content-length']
  const isKnown = length !== undefined && headers['content-encoding'] === undefined
  return Math.min(isKnown ? Number(length) : maxBodyBytes, maxBodyBytes)
}

const bearer = /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i

/**
 * Source of a request, from its key as Bearer token (RFC 6750 section 2.1) and its client certificate. Called before
 * the body is read.
 *
 * @throws SealtrailError `AUTHENTICATION_REQUIRED`, `CREDENTIALS_INVALID`
 */
export async function authenticateSource(
  request: FastifyRequest,
  deps: ReceiverDeps,
): Promise<SourceIdentity> {
  const token = bearer.exec(request.headers.authorization ?? '')?.[1]
  const source = await deps.authenticate(token, clientCertificate(request.raw.socket, deps.clock()))
  if (source !== undefined) return source
  if (token !== undefined) {
    throw new SealtrailError('CREDENTIALS_INVALID', 'the source key is unknown or revoked')
  }
  throw new SealtrailError('AUTHENTICATION_REQUIRED', 'the request carries no source key', {
    hint: 'Send the header "Authorization: Bearer <source key>".',
  })
}
