import type { FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'
import type { ReceiverDeps, SourceIdentity } from './receiver-deps.ts'

const bearer = /^Bearer +([A-Za-z0-9._~+/=-]{1,512})$/i

/**
 * Source of a request, from its key as Bearer token (RFC 6750 section 2.1). Called before the body is read.
 *
 * @throws SealtrailError `AUTHENTICATION_REQUIRED`, `CREDENTIALS_INVALID`
 */
export async function authenticateSource(
  request: FastifyRequest,
  deps: ReceiverDeps,
): Promise<SourceIdentity> {
  const token = bearer.exec(request.headers.authorization ?? '')?.[1]
  if (token === undefined) {
    throw new SealtrailError('AUTHENTICATION_REQUIRED', 'the request carries no source key', {
      hint: 'Send the header "Authorization: Bearer <source key>".',
    })
  }
  const source = await deps.authenticate(token)
  if (source === undefined) {
    throw new SealtrailError('CREDENTIALS_INVALID', 'the source key is unknown or revoked')
  }
  return source
}
