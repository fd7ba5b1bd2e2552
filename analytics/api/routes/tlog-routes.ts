import { z } from 'zod'
import { SealtrailError } from '../../../schemas/errors.ts'
import { encodeEntryBundle, parseTilePath, tileBytes } from '../../../schemas/tlog/tiles.ts'
import { anyRole } from '../principal.ts'
import {
  type RouteContext,
  readableLog,
  requirePrincipal,
  type TypedApp,
} from '../route-context.ts'

const Params = z.object({ log: z.string().max(64), '*': z.string().max(256) })

/**
 * The log as C2SP tlog-tiles: `/tlog/<log>/checkpoint`, `tile/<L>/<N>[.p/<W>]`, `tile/entries/<N>[.p/<W>]`. Derived
 * from the segments on request; behind the same login as the API, because entries hold scopes and tool names.
 */
export function tlogRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/tlog/:log/*',
    {
      schema: { params: Params },
      config: {
        roles: anyRole,
        answers: {
          type: 'application/octet-stream',
          description: 'A tile or entry bundle; the checkpoint is text/plain',
        },
      },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const logId = readableLog(context, principal, request.params.log)
      await context.access.viewed(principal, logId, 'tlog')
      const path = request.params['*']
      const published = (await context.storage.checkpointSizes(logId)).at(-1) ?? 0
      if (path === 'checkpoint') {
        const note = await context.storage.readCheckpoint(logId, published)
        if (note === undefined) throw missing(logId, path)
        return reply.type('text/plain; charset=utf-8').send(note)
      }
      const tile = parseTilePath(path)
      if (tile === undefined) throw missing(logId, path)
      const from = tile.index * 256
      if (tile.level === 'entries') {
        if (from + tile.width > published) throw missing(logId, path)
        const bundle = encodeEntryBundle(await leavesOf(context, logId, from, tile.width))
        return reply.type('application/octet-stream').send(Buffer.from(bundle))
      }
      if ((from + tile.width) * 256 ** tile.level > published) throw missing(logId, path)
      const bytes = tileBytes(context.tree(logId), tile.level, tile.index, tile.width)
      return reply.type('application/octet-stream').send(Buffer.from(bytes))
    },
  )
}

async function leavesOf(
  context: RouteContext,
  logId: string,
  from: number,
  count: number,
): Promise<Uint8Array[]> {
  const leaves: Uint8Array[] = []
  for await (const segment of context.storage.readSegments(logId, from)) {
    for (const [offset, leaf] of segment.leaves.entries()) {
      const index = segment.fromIndex + offset
      if (index >= from && leaves.length < count) leaves.push(leaf)
    }
    if (leaves.length >= count) break
  }
  return leaves
}

function missing(logId: string, path: string): SealtrailError {
  return new SealtrailError('NOT_FOUND', `log ${logId} has no ${path}`)
}
