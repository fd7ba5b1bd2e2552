import { z } from 'zod'
import { FindingDetail, FindingsReply, FindingsRequest } from '../../../schemas/api/findings.ts'
import { findFinding, listFindings } from '../../queries/findings.ts'
import { contentRoles, permittedGroups } from '../principal.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const FindingParams = z.strictObject({ findingId: z.string().regex(/^[0-9a-f]{64}$/) })

/** Findings: the list, and one with its explanation and evidence. */
export function findingRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/findings',
    {
      schema: { querystring: FindingsRequest, response: { 200: FindingsReply } },
      config: { roles: contentRoles },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, principal.logId, 'findings')
      return listFindings(context.columnar, request.query, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
    },
  )

  app.get(
    '/api/v1/findings/:findingId',
    {
      schema: { params: FindingParams, response: { 200: FindingDetail } },
      config: { roles: contentRoles },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const detail = await findFinding(context.columnar, request.params.findingId, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
      await context.access.opened(principal, principal.logId, detail.finding.eventId)
      return detail
    },
  )
}
