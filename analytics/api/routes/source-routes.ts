import { z } from 'zod'
import {
  CreateSourceKeyReply,
  CreateSourceKeyRequest,
  RevokeSourceKeyRequest,
  SourcesReply,
} from '../../../schemas/api/sources.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { sourceCounts } from '../../queries/source-counts.ts'
import { actorOf, adminRole, anyRole, permittedGroups } from '../principal.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const KeyParams = z.strictObject({ id: z.string().max(64) })
const Empty = z.strictObject({})

/** Sources and their keys. */
export function sourceRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/sources',
    { schema: { response: { 200: SourcesReply } }, config: { roles: anyRole } },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, principal.logId, 'sources')
      const counts = await sourceCounts(context.columnar, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
      const sources = context.control
        .sourceKeys()
        .filter((key) => key.logId === principal.logId)
        .map((key) => ({
          id: key.id,
          name: key.name,
          createdAt: key.createdAt,
          revokedAt: key.revokedAt ?? null,
          version: key.version,
          ...(counts.get(key.id) ?? {
            lastEventAt: null,
            mapped: 0,
            unmapped: 0,
            rejected: 0,
            gaps: 0,
          }),
        }))
      return { sources }
    },
  )

  app.post(
    '/api/v1/source-keys',
    {
      schema: { body: CreateSourceKeyRequest, response: { 200: CreateSourceKeyReply } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const created = await context.control.createSourceKey(
        { name: request.body.name, logId: principal.logId },
        actorOf(principal),
      )
      return { id: created.id, key: created.key, secret: created.secret }
    },
  )

  app.post(
    '/api/v1/source-keys/:id/revoke',
    {
      schema: { params: KeyParams, body: RevokeSourceKeyRequest, response: { 200: Empty } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { id } = request.params
      const own = context.control
        .sourceKeys()
        .some((key) => key.id === id && key.logId === principal.logId)
      if (!own) throw new SealtrailError('NOT_FOUND', 'there is no such source key')
      await context.control.revokeSourceKey(id, request.body.expectedVersion, actorOf(principal))
      return {}
    },
  )
}
