import { randomUUID } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { z } from 'zod'
import { type ExportProgress, ExportRequest } from '../../../schemas/api/exports.ts'
import { isSealtrailError, SealtrailError } from '../../../schemas/errors.ts'
import { normaliseTimestamp } from '../../../schemas/event/timestamp.ts'
import { matchingLeaves } from '../../queries/matching-leaves.ts'
import { writeEvidenceBundle } from '../../reports/evidence-bundle.ts'
import { actorOf, type Principal, permittedGroups } from '../principal.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const FileParams = z.strictObject({
  id: z.uuid(),
  name: z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9.-]{0,80}$/),
})
const BundleParams = z.strictObject({ id: z.uuid() })

/** Evidence bundles: made by core, which holds the keys; fetched file by file; removed when they were fetched. */
export function exportRoutes(app: TypedApp, context: RouteContext): void {
  app.post('/api/v1/exports', { schema: { body: ExportRequest } }, async (request, reply) => {
    const principal = exporter(requirePrincipal(request))
    const from = readTime(request.body.from, 'from')
    const until = readTime(request.body.until, 'until')
    const scope = {
      logId: principal.logId,
      groups: permittedGroups(principal),
      signal: abortOnClose(request),
    }
    // What was acknowledged before the request belongs to its range, so the projection must have it.
    const size = context.tree(principal.logId).size
    if (!(await context.waitUntilIndexed(principal.logId, size, 10_000))) {
      throw new SealtrailError(
        'STORE_UNAVAILABLE',
        'the columnar store has not caught up with the log',
        {
          retryable: true,
        },
      )
    }
    const matches = await matchingLeaves(
      context.columnar,
      { q: request.body.q, from, until },
      scope,
    )
    const id = randomUUID()
    async function* lines(): AsyncIterable<string> {
      const queue: ExportProgress[] = []
      let wake: () => void = () => undefined
      let finished = false
      const work = writeEvidenceBundle(
        context,
        { ...scope, q: request.body.q, from, until, matches, actor: actorOf(principal) },
        join(context.exportDirectory, id),
        (done, total) => {
          queue.push({ kind: 'progress', done, total })
          wake()
        },
      ).then(
        (result) => queue.push({ kind: 'result', id, ...result }),
        (error: unknown) => {
          context.logger.error({ err: error }, 'export failed')
          queue.push({
            kind: 'problem',
            code: isSealtrailError(error) ? error.code : 'INTERNAL',
            detail: isSealtrailError(error)
              ? error.message
              : 'the export failed; the log of the server names the cause',
          })
        },
      )
      void work.finally(() => {
        finished = true
        wake()
      })
      while (!finished || queue.length > 0) {
        const next = queue.shift()
        if (next !== undefined) yield `${JSON.stringify(next)}\n`
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    }
    return reply.type('application/x-ndjson').send(Readable.from(lines()))
  })

  app.get(
    '/api/v1/exports/:id/:name',
    { schema: { params: FileParams } },
    async (request, reply) => {
      exporter(requirePrincipal(request))
      const path = join(context.exportDirectory, request.params.id, request.params.name)
      if (!existsSync(path))
        throw new SealtrailError('NOT_FOUND', 'there is no such file of an export')
      return reply
        .type('application/octet-stream')
        .header('content-disposition', 'attachment')
        .send(createReadStream(path))
    },
  )

  app.delete('/api/v1/exports/:id', { schema: { params: BundleParams } }, async (request) => {
    exporter(requirePrincipal(request))
    await rm(join(context.exportDirectory, request.params.id), { recursive: true, force: true })
    return {}
  })
}

/** @throws SealtrailError `PERMISSION_DENIED` */
function exporter(principal: Principal): Principal {
  if (principal.kind === 'user' && principal.role !== 'admin' && principal.role !== 'auditor') {
    throw new SealtrailError('PERMISSION_DENIED', 'exports need the role auditor or admin')
  }
  return principal
}

function readTime(value: string, name: string): string {
  const normal = normaliseTimestamp(value)
  if (normal === undefined)
    throw new SealtrailError('REQUEST_INVALID', `${name} is no RFC 3339 time`)
  return normal
}
