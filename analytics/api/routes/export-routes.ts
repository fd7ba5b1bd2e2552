import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { ExportProgress, ExportRequest } from '../../../schemas/api/exports.ts'
import { isSealtrailError, SealtrailError } from '../../../schemas/errors.ts'
import { normaliseTimestamp } from '../../../schemas/event/timestamp.ts'
import { matchingLeaves } from '../../queries/matching-leaves.ts'
import { writeEvidenceBundle } from '../../reports/evidence-bundle.ts'
import { zipArchive } from '../../reports/zip-archive.ts'
import { actorOf, auditRoles, permittedGroups } from '../principal.ts'
import { progressLines } from '../progress-lines.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const FileParams = z.strictObject({
  id: z.uuid(),
  name: z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9.-]{0,80}$/),
})
const Empty = z.strictObject({})
const BundleParams = z.strictObject({ id: z.uuid() })

/** Evidence bundles: made by core, which holds the keys; fetched file by file; removed when they were fetched. */
export function exportRoutes(app: TypedApp, context: RouteContext): void {
  app.post(
    '/api/v1/exports',
    {
      schema: { body: ExportRequest },
      config: {
        roles: auditRoles,
        answers: {
          type: 'application/x-ndjson',
          description: 'Progress lines, then one result or problem',
          schema: ExportProgress,
        },
      },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const from = readTime(request.body.from, 'from')
      const until = readTime(request.body.until, 'until')
      if (from >= until) throw new SealtrailError('REQUEST_INVALID', 'until must be after from')
      const owner = actorOf(principal)
      reply.raw.once('close', context.heavyWork.begin('exports and verifications'))
      const scope = {
        logId: principal.logId,
        groups: permittedGroups(principal),
        signal: abortOnClose(reply),
      }
      await caughtUp(context, principal.logId)
      const asked = { q: request.body.q, from, until }
      const matches = await matchingLeaves(context.columnar, asked, scope)
      const id = randomUUID()
      /** Writes the bundle; what is left of one that failed holds opened records and goes. */
      async function work(tell: (line: ExportProgress) => void): Promise<ExportProgress> {
        try {
          const bundle = { ...scope, ...asked, matches, actor: owner, key: context.exports.key }
          const written = await writeEvidenceBundle(
            context,
            bundle,
            context.exports.folder(id),
            (done, total) => tell({ kind: 'progress', done, total }),
          )
          scope.signal.throwIfAborted()
          const title = titleOf(principal.logId, from, until)
          context.exports.offer(id, { owner, title, files: written.files })
          return { kind: 'result', id, ...written, archive: `${title}.zip` }
        } catch (error) {
          await context.exports.discard(id).catch(() => undefined)
          if (!scope.signal.aborted) context.logger.error({ err: error }, 'export failed')
          return {
            kind: 'problem',
            code: isSealtrailError(error) ? error.code : 'INTERNAL',
            detail: isSealtrailError(error)
              ? error.message
              : 'the export failed; the log of the server names the cause',
          }
        }
      }
      return reply.type('application/x-ndjson').send(Readable.from(progressLines(work)))
    },
  )

  app.get(
    '/api/v1/exports/:id/archive.zip',
    {
      // Fetching it removes it: a HEAD must not.
      exposeHeadRoute: false,
      schema: { params: BundleParams },
      config: {
        roles: auditRoles,
        answers: {
          type: 'application/zip',
          description: 'The bundle as one archive; when all of it was sent, it is removed here',
        },
      },
    },
    async (request, reply) => {
      const owner = actorOf(requirePrincipal(request))
      const { id } = request.params
      const { title, files } = context.exports.bundle(id, owner)
      const archive = zipArchive(
        title,
        files.map((name) => ({ name, open: () => context.exports.open(id, name, owner) })),
      )
      // It holds opened records, outside the encryption of everything else. One that broke off may be fetched again.
      reply.raw.once('finish', () => void context.exports.discard(id).catch(() => undefined))
      return reply
        .type('application/zip')
        .header('content-disposition', `attachment; filename="${title}.zip"`)
        .send(archive)
    },
  )

  app.get(
    '/api/v1/exports/:id/:name',
    {
      schema: { params: FileParams },
      config: {
        roles: auditRoles,
        answers: { type: 'application/octet-stream', description: 'A file of the bundle' },
      },
    },
    async (request, reply) => {
      const owner = actorOf(requirePrincipal(request))
      const { id, name } = request.params
      const file = context.exports.open(id, name, owner)
      return reply
        .type('application/octet-stream')
        .header('content-disposition', 'attachment')
        .send(file)
    },
  )

  app.delete(
    '/api/v1/exports/:id',
    { schema: { params: BundleParams, response: { 200: Empty } }, config: { roles: auditRoles } },
    async (request) => {
      const owner = actorOf(requirePrincipal(request))
      await context.exports.remove(request.params.id, owner)
      return {}
    },
  )
}

/** Name of a bundle: log and range, to the second where the range is no whole days. */
function titleOf(logId: string, from: string, until: string): string {
  const times = [from, until]
  const days = times.every((time) => time.slice(10).startsWith('T00:00:00.000000000'))
  const [first, last] = times.map((time) =>
    days ? time.slice(0, 10) : `${time.slice(0, 19).replaceAll(':', '')}Z`,
  )
  return `sealtrail-${logId}-${first}-to-${last}`
}

/** What was acknowledged before the request belongs to its range, so the projection must have it. */
async function caughtUp(context: RouteContext, logId: string): Promise<void> {
  const { size } = context.tree(logId)
  if (await context.waitUntilIndexed(logId, size, 10_000)) return
  throw new SealtrailError(
    'STORE_UNAVAILABLE',
    'the columnar store has not caught up with the log',
    { retryable: true },
  )
}

function readTime(value: string, name: string): string {
  const normal = normaliseTimestamp(value)
  if (normal === undefined)
    throw new SealtrailError('REQUEST_INVALID', `${name} is no RFC 3339 time`)
  return normal
}
