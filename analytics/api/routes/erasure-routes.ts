import { Readable } from 'node:stream'
import { z } from 'zod'
import type { Erasure } from '../../../ledger/control/system-state.ts'
import {
  ErasurePreviewRequest,
  ErasureProgress,
  ErasureRefusalRequest,
  ErasureRequest,
  type ErasureRow,
  ErasuresReply,
  type ErasureTarget,
} from '../../../schemas/api/erasures.ts'
import { isSealtrailError, SealtrailError } from '../../../schemas/errors.ts'
import type { LogTarget } from '../../erasure/eraser.ts'
import { findEvent } from '../../queries/find-event.ts'
import { actorOf, adminRole, auditRoles, type Principal, permittedGroups } from '../principal.ts'
import { progressLines } from '../progress-lines.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const Refused = z.strictObject({ id: z.string() })
const lines = {
  roles: adminRole,
  answers: {
    type: 'application/x-ndjson',
    description: 'Progress lines, then one preview, result or problem',
    schema: ErasureProgress,
  },
}

/** Erasure of a subject, shredding of an event, refusals: for admins, in their own log. */
export function erasureRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/erasures',
    { schema: { response: { 200: ErasuresReply } }, config: { roles: auditRoles } },
    async (request) => {
      const principal = requirePrincipal(request)
      const erasures = context.control
        .erasures()
        .filter((each) => each.request.logId === principal.logId)
        .map(rowOf)
        .reverse()
      return { erasures }
    },
  )

  app.post(
    '/api/v1/erasures/preview',
    { schema: { body: ErasurePreviewRequest }, config: lines },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      reply.raw.once('close', context.heavyWork.begin('exports and verifications'))
      const signal = abortOnClose(reply)
      const target = await targetOf(context, principal, request.body.target, signal)
      return reply.type('application/x-ndjson').send(
        Readable.from(
          progressLines<ErasureProgress>((tell) =>
            told(context, async () => ({
              kind: 'preview',
              preview: await context.eraser.preview(
                principal.logId,
                target,
                (stage, done, total) => tell({ kind: 'progress', stage, done, total }),
                signal,
              ),
            })),
          ),
        ),
      )
    },
  )

  app.post(
    '/api/v1/erasures',
    { schema: { body: ErasureRequest }, config: lines },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const { ground, reference, approver } = request.body
      const actor = actorOf(principal)
      if (approver !== undefined) checkApprover(context, approver, principal)
      reply.raw.once('close', context.heavyWork.begin('exports and verifications'))
      const signal = abortOnClose(reply)
      const target = await targetOf(context, principal, request.body.target, signal)
      // From here on it does not end when the asker goes away.
      const order = { logId: principal.logId, target, ground, reference, approver, actor }
      return reply.type('application/x-ndjson').send(
        Readable.from(
          progressLines<ErasureProgress>((tell) =>
            told(context, async () => ({
              kind: 'result',
              ...(await context.eraser.erase(order, (stage, done, total) =>
                tell({ kind: 'progress', stage, done, total }),
              )),
            })),
          ),
        ),
      )
    },
  )

  app.post(
    '/api/v1/erasures/refusals',
    {
      schema: { body: ErasureRefusalRequest, response: { 200: Refused } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { exception, reference } = request.body
      const actor = actorOf(principal)
      return { id: await context.eraser.refuse(principal.logId, exception, reference, actor) }
    },
  )
}

/** @throws SealtrailError `NOT_FOUND` */
async function targetOf(
  context: RouteContext,
  principal: Principal,
  target: ErasureTarget,
  signal: AbortSignal,
): Promise<LogTarget> {
  if (target.kind === 'subject') return target
  const { logId } = principal
  const scope = { logId, groups: permittedGroups(principal), signal }
  const row = await findEvent(context.columnar, target.eventId, scope)
  // The ledger says which leaf it is, not the table.
  const leaf = await context.reader.readOne(logId, row.leafIndex)
  if (leaf?.event['event.id'] !== target.eventId) {
    throw new SealtrailError('NOT_FOUND', `leaf ${row.leafIndex} is not event ${target.eventId}`)
  }
  return { kind: 'event', leafIndex: row.leafIndex }
}

/** Another admin of the same log than the actor. @throws SealtrailError `REQUEST_INVALID` */
function checkApprover(context: RouteContext, name: string, principal: Principal): void {
  const approver = context.control.accounts
    .users()
    .filter((user) => (user.logId ?? context.logId) === principal.logId)
    .find((user) => user.name === name && !user.disabled && user.role === 'admin')
  const isActor = principal.kind === 'user' && approver?.id === principal.id
  if (approver !== undefined && !isActor) return
  throw new SealtrailError(
    'REQUEST_INVALID',
    `approver: ${JSON.stringify(name)} is not the name of another admin`,
  )
}

async function told(
  context: RouteContext,
  work: () => Promise<ErasureProgress>,
): Promise<ErasureProgress> {
  try {
    return await work()
  } catch (error) {
    const known = isSealtrailError(error)
    if (!known) context.logger.error({ err: error }, 'an erasure failed')
    return {
      kind: 'problem',
      code: known ? error.code : 'INTERNAL',
      detail: known
        ? [error.message, error.hint].filter(Boolean).join('. ')
        : 'the erasure failed; the log of the server names the cause',
    }
  }
}

function rowOf({ id, actor, requestedAt, request, completed }: Erasure): ErasureRow {
  const common = { id, logId: request.logId, actor, requestedAt }
  if ('exception' in request) {
    return {
      ...common,
      kind: 'refusal',
      state: 'refused',
      ground: null,
      exception: request.exception,
      reference: request.reference,
      approver: null,
      events: 0,
      derived: 0,
      completedAt: null,
      leafIndex: null,
    }
  }
  const isEvent = request.action === 'shred'
  return {
    ...common,
    kind: isEvent ? 'event' : 'subject',
    state: completed === undefined ? 'running' : 'done',
    ground: request.ground,
    exception: null,
    reference: request.reference ?? null,
    approver: request.approver ?? null,
    events: request.events,
    derived: request.leaves.length - (isEvent ? 1 : 0),
    completedAt: completed?.at ?? null,
    leafIndex: completed?.leafIndex ?? null,
  }
}
