import { systemLogId } from '../../../ledger/log-id.ts'
import {
  AdministrationReply,
  AdministrationRequest,
  type AdministrationRow,
} from '../../../schemas/api/users.ts'
import { administrationRow } from '../administration-row.ts'
import { auditRoles } from '../principal.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

/**
 * What administrators did and who looked at it: the `_system` log, read from the ledger itself, so that it is there
 * while the columnar store is down. Its sealed details never leave; what of them may be read is named.
 */
export function administrationRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/administration',
    {
      schema: { querystring: AdministrationRequest, response: { 200: AdministrationReply } },
      config: { roles: auditRoles, deploymentOnly: true },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      await context.access.viewed(principal, systemLogId, 'administration')
      const size = await context.reader.size(systemLogId)
      const { before = size, limit } = request.query
      const until = Math.min(before, size)
      const rows: AdministrationRow[] = []
      let from = until
      while (from > 0 && rows.length < limit) {
        const begin = Math.max(0, from - limit)
        const found: AdministrationRow[] = []
        for await (const leaves of context.reader.read(systemLogId, begin, from)) {
          for (const leaf of leaves) {
            const row = administrationRow(leaf, nameOf)
            if (row !== undefined) found.push(row)
          }
        }
        rows.push(...found.reverse())
        from = begin
      }
      const shown = rows.slice(0, limit)
      const next = rows.length > limit ? (shown.at(-1)?.leafIndex ?? 0) : from
      return { rows: shown, next: next === 0 ? null : next }
    },
  )

  function nameOf(id: string): string | undefined {
    return (
      context.control.accounts.user(id)?.name ??
      context.control.sourceKeys().find((key) => key.id === id)?.name
    )
  }
}
