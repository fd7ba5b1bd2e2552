import {
  FacetReply,
  FacetRequest,
  HistogramReply,
  HistogramRequest,
  SearchReply,
  SearchRequest,
} from '../../../schemas/api/search.ts'
import { facetValues } from '../../queries/facet-values.ts'
import { histogram } from '../../queries/histogram.ts'
import { searchEvents } from '../../queries/search-events.ts'
import { anyRole, permittedGroups } from '../principal.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

/** Explore: rows, histogram and facets of one query. Each is its own request, so that slow facets block no rows. */
export function searchRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/events',
    {
      schema: { querystring: SearchRequest, response: { 200: SearchReply } },
      config: { roles: anyRole },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, principal.logId, 'explore')
      return searchEvents(context.columnar, request.query, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
    },
  )

  app.get(
    '/api/v1/histogram',
    {
      schema: { querystring: HistogramRequest, response: { 200: HistogramReply } },
      config: { roles: anyRole },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, principal.logId, 'explore')
      return histogram(context.columnar, request.query, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
    },
  )

  app.get(
    '/api/v1/facets',
    {
      schema: { querystring: FacetRequest, response: { 200: FacetReply } },
      config: { roles: anyRole },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, principal.logId, 'explore')
      return facetValues(context.columnar, request.query, {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      })
    },
  )
}
