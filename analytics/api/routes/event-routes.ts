import { z } from 'zod'
import { EventDetail, TlogProof } from '../../../schemas/api/event-detail.ts'
import { findEvent } from '../../queries/find-event.ts'
import { definitionInForce } from '../definition-in-force.ts'
import { erasureOfEvent } from '../erasure-of-event.ts'
import { evidenceOf, tlogProofOf } from '../evidence.ts'
import { anyRole, permittedGroups } from '../principal.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const EventParams = z.strictObject({ eventId: z.uuid() })

/** One event with everything that proves it. */
export function eventRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/events/:eventId',
    { schema: { params: EventParams, response: { 200: EventDetail } }, config: { roles: anyRole } },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const scope = {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      }
      const row = await findEvent(context.columnar, request.params.eventId, scope)
      // Fail closed: no answer without the leaf that says who opened it.
      await context.access.opened(principal, row.logId, row.eventId)
      const [evidence, definition] = await Promise.all([
        evidenceOf(context, row.logId, row.leafIndex, scope.groups),
        definitionInForce(context, row, scope),
      ])
      const isErased = evidence.withheld.some(({ reason }) => reason === 'erased')
      return {
        row,
        evidence,
        definition,
        erasure: isErased
          ? await erasureOfEvent(context, row.logId, row.leafIndex, scope.groups)
          : null,
        observations: [{ leafIndex: row.leafIndex, eventId: row.eventId }],
      }
    },
  )

  app.get(
    '/api/v1/events/:eventId/tlog-proof',
    { schema: { params: EventParams, response: { 200: TlogProof } }, config: { roles: anyRole } },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const row = await findEvent(context.columnar, request.params.eventId, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
      await context.access.viewed(principal, row.logId, 'proof')
      return tlogProofOf(context, row.logId, row.leafIndex)
    },
  )
}
