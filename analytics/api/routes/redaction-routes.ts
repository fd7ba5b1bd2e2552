import { z } from 'zod'
import { defaultPolicyOf } from '../../../ledger/control/control.ts'
import {
  PreviewRedactionRequest,
  RedactionPolicyParams,
  RedactionPolicyReply,
  RedactionPreview,
  SetRedactionPolicyRequest,
} from '../../../schemas/api/redaction.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { newestLeaves } from '../../queries/newest-leaves.ts'
import { accessEvent } from '../access-log.ts'
import { actorOf, adminRole, anyRole, type Principal } from '../principal.ts'
import { previewRedaction } from '../redaction-preview.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const Empty = z.strictObject({})

/** Redaction policies: of one source, or of all that have none of their own. */
export function redactionRoutes(app: TypedApp, context: RouteContext): void {
  /** What the fold knows a target as. @throws SealtrailError `NOT_FOUND` for a source of another log. */
  function targetOf(principal: Principal, target: string): string {
    if (target === 'default') return defaultPolicyOf(principal.logId)
    const own = context.control
      .sourceKeys()
      .some((key) => key.id === target && key.logId === principal.logId)
    if (!own) throw new SealtrailError('NOT_FOUND', 'there is no such source')
    return target
  }

  app.get(
    '/api/v1/redaction-policies/:target',
    {
      schema: { params: RedactionPolicyParams, response: { 200: RedactionPolicyReply } },
      config: { roles: anyRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const target = targetOf(principal, request.params.target)
      const { policy, version } = context.control.ownRedactionPolicy(target)
      const ofLog = context.control.ownRedactionPolicy(defaultPolicyOf(principal.logId)).policy
      const isOfSource = policy !== null && request.params.target !== 'default'
      const inherited = ofLog === null ? 'built_in' : 'log'
      const reply: RedactionPolicyReply = {
        policy: context.control.redactionPolicy(target, principal.logId),
        origin: isOfSource ? 'source' : inherited,
        version,
      }
      return reply
    },
  )

  app.post(
    '/api/v1/redaction-policies/:target',
    {
      schema: {
        params: RedactionPolicyParams,
        body: SetRedactionPolicyRequest,
        response: { 200: Empty },
      },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { policy, expectedVersion } = request.body
      await context.control.setRedactionPolicy(
        targetOf(principal, request.params.target),
        policy,
        expectedVersion,
        actorOf(principal),
      )
      return {}
    },
  )

  app.post(
    '/api/v1/redaction-policies/:target/preview',
    {
      schema: {
        params: RedactionPolicyParams,
        body: PreviewRedactionRequest,
        response: { 200: RedactionPreview },
      },
      config: { roles: adminRole },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const { logId } = principal
      const { target } = request.params
      targetOf(principal, target)
      const { policy, events } = request.body
      const signal = abortOnClose(reply)
      const end = context.heavyWork.begin('previews, exports or verifications')
      try {
        const sourceId = target === 'default' ? undefined : target
        const leaves = await newestLeaves(context.columnar, { logId, sourceId, signal }, events)
        // Payloads are opened: on the record first, or not at all.
        await context.appender.append(logId, [
          accessEvent(principal, 'redaction.preview', target, context.clock()),
        ])
        return await previewRedaction(context.reader, logId, leaves, (event) =>
          context.inspectRedaction(event, policy),
        )
      } finally {
        end()
      }
    },
  )
}
