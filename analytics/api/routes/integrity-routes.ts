import { Readable } from 'node:stream'
import { z } from 'zod'
import { systemLogId } from '../../../ledger/log-id.ts'
import { sha256 } from '../../../ledger/sha256.ts'
import { ConsistencyReply } from '../../../schemas/api/event-detail.ts'
import {
  IntegrityReply,
  KeyRotationsReply,
  type LogIntegrity,
  VerifyProgress,
} from '../../../schemas/api/integrity.ts'
import { base64, hex } from '../../../schemas/bytes.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { parseCheckpoint } from '../../../schemas/tlog/checkpoint.ts'
import { consistencyProof } from '../../../schemas/tlog/merkle.ts'
import type { ApiContext } from '../api-context.ts'
import { keyRotationsOf } from '../evidence.ts'
import { notDetected } from '../not-detected.ts'
import { anyRole } from '../principal.ts'
import {
  type RouteContext,
  readableLog,
  readsSystem,
  requirePrincipal,
  type TypedApp,
} from '../route-context.ts'

const ConsistencyRequest = z.strictObject({
  log: z.string().max(64),
  old: z.coerce.number().int().nonnegative(),
  new: z.coerce.number().int().nonnegative(),
})
const RotationsRequest = z.strictObject({ log: z.string().max(64) })
const VerifyRequest = z.strictObject({ logId: z.string().max(64) })

/** Integrity: the state of the logs, consistency proofs, and verification of everything on request. */
export function integrityRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/integrity',
    { schema: { response: { 200: IntegrityReply } }, config: { roles: anyRole } },
    async (request) => {
      const principal = requirePrincipal(request)
      const logIds = readsSystem(context, principal)
        ? [principal.logId, systemLogId]
        : [principal.logId]
      const logs = await Promise.all(logIds.map((logId) => integrityOf(context, logId)))
      return {
        logs,
        warnings: context.warnings(),
        notDetected: notDetected(logs),
        columnar: context.columnarState(),
        rebuild: context.rebuildState(),
        bus: await context.bus(),
        version: context.version,
      }
    },
  )

  app.get(
    '/api/v1/integrity/key-rotations',
    {
      schema: { querystring: RotationsRequest, response: { 200: KeyRotationsReply } },
      config: { roles: anyRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const logId = readableLog(context, principal, request.query.log)
      return { rotations: await keyRotationsOf(context, logId) }
    },
  )

  app.get(
    '/api/v1/consistency',
    {
      schema: { querystring: ConsistencyRequest, response: { 200: ConsistencyReply } },
      config: { roles: anyRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const logId = readableLog(context, principal, request.query.log)
      const { old: oldSize, new: newSize } = request.query
      const tree = context.tree(logId)
      if (oldSize > newSize || newSize > tree.size) {
        throw new SealtrailError(
          'NOT_FOUND',
          `log ${logId} has ${tree.size} leaves, not ${newSize}`,
        )
      }
      const hashes =
        oldSize === 0 || oldSize === newSize ? [] : consistencyProof(tree, sha256, oldSize, newSize)
      return { logId, oldSize, newSize, hashes: hashes.map(base64) }
    },
  )

  app.post(
    '/api/v1/integrity/verify',
    {
      schema: { body: VerifyRequest },
      config: {
        roles: anyRole,
        answers: {
          type: 'application/x-ndjson',
          description: 'Progress lines, then one result',
          schema: VerifyProgress,
        },
      },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const logId = readableLog(context, principal, request.body.logId)
      reply.raw.once('close', context.heavyWork.begin('exports and verifications'))
      async function* lines(): AsyncIterable<string> {
        for await (const progress of context.verify(logId)) yield `${JSON.stringify(progress)}\n`
      }
      return reply.type('application/x-ndjson').send(Readable.from(lines()))
    },
  )
}

async function integrityOf(context: ApiContext, logId: string): Promise<LogIntegrity> {
  const tree = context.tree(logId)
  const newest = (await context.storage.checkpointSizes(logId)).at(-1)
  const note =
    newest === undefined ? undefined : await context.storage.readCheckpoint(logId, newest)
  const last = newest === undefined ? undefined : await context.reader.readOne(logId, newest - 1)
  return {
    logId,
    origin: context.signer.origin(logId),
    verifierKey: await context.signer.verifierKey(logId),
    treeSize: tree.size,
    root: hex(context.root(logId)),
    checkpoint:
      newest === undefined || note === undefined
        ? null
        : {
            size: newest,
            root: hex(parseCheckpoint(note.slice(0, note.indexOf('\n\n') + 1)).root),
            note,
            // A checkpoint carries no time; the newest leaf under it does.
            signedAt: last?.event['time.recorded'] ?? '',
          },
    indexed: context.indexed(logId),
    judged: context.judged(logId),
    projection: context.projection(logId),
    anchoring: context.anchoring(logId),
  }
}
