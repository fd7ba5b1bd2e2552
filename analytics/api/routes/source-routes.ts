import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { SourceKey } from '../../../ledger/control/system-state.ts'
import {
  CreateSourceKeyReply,
  CreateSourceKeyRequest,
  RevokeSourceKeyRequest,
  RotateSourceKeyRequest,
  SetSourceCertificateRequest,
  SetSourceQuotaRequest,
  SourceDetailReply,
  type SourceKeyRow,
  SourceKeysReply,
  type SourceRow,
  SourcesReply,
} from '../../../schemas/api/sources.ts'
import { SealtrailError } from '../../../schemas/errors.ts'
import { timestampFromMs, timestampToMs } from '../../../schemas/event/timestamp.ts'
import type { QueryScope } from '../../queries/query-scope.ts'
import {
  type SourceHealth,
  sourceHealth,
  sourceHistory,
  unheard,
} from '../../queries/source-health.ts'
import { actorOf, adminRole, anyRole, type Principal, permittedGroups } from '../principal.ts'
import { abortOnClose } from '../request-abort.ts'
import { type RouteContext, requirePrincipal, type TypedApp } from '../route-context.ts'

const KeyParams = z.strictObject({ id: z.string().max(64) })
const Empty = z.strictObject({})

/** Sources and their keys. */
export function sourceRoutes(app: TypedApp, context: RouteContext): void {
  app.get(
    '/api/v1/sources',
    { schema: { response: { 200: SourcesReply } }, config: { roles: anyRole } },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const nowMs = context.clock()
      const health = await sourceHealth(context.columnar, scopeOf(principal, reply), nowMs)
      const sources = context.control
        .sourceKeys()
        .filter((key) => key.logId === principal.logId)
        .map((key) => rowOf(key, health.get(key.id) ?? unheard, context, nowMs))
      return { sources }
    },
  )

  app.get(
    '/api/v1/sources/:id',
    {
      schema: { params: KeyParams, response: { 200: SourceDetailReply } },
      config: { roles: anyRole },
    },
    async (request, reply) => {
      const principal = requirePrincipal(request)
      const key = ownKey(context, principal, request.params.id)
      await context.access.viewed(principal, principal.logId, `sources/${key.id}`)
      const scope = scopeOf(principal, reply)
      const nowMs = context.clock()
      const [health, history] = await Promise.all([
        sourceHealth(context.columnar, scope, nowMs),
        sourceHistory(context.columnar, key.id, scope, nowMs),
      ])
      return { source: rowOf(key, health.get(key.id) ?? unheard, context, nowMs), ...history }
    },
  )

  app.post(
    '/api/v1/sources/:id/quota',
    {
      schema: { params: KeyParams, body: SetSourceQuotaRequest, response: { 200: Empty } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { id } = ownKey(context, principal, request.params.id)
      const { quota, expectedVersion } = request.body
      await context.control.setSourceQuota(id, quota, expectedVersion, actorOf(principal))
      return {}
    },
  )

  app.post(
    '/api/v1/sources/:id/certificate',
    {
      schema: { params: KeyParams, body: SetSourceCertificateRequest, response: { 200: Empty } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { id } = ownKey(context, principal, request.params.id)
      const { certificate, expectedVersion } = request.body
      await context.control.setSourceCertificate(
        id,
        certificate,
        expectedVersion,
        actorOf(principal),
      )
      return {}
    },
  )

  app.post(
    '/api/v1/source-keys',
    {
      schema: { body: CreateSourceKeyRequest, response: { 200: CreateSourceKeyReply } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const created = await context.control.createSourceKey(
        { ...request.body, logId: principal.logId },
        actorOf(principal),
      )
      return { id: created.id, key: created.key, secret: created.secret }
    },
  )

  app.get(
    '/api/v1/source-keys',
    { schema: { response: { 200: SourceKeysReply } }, config: { roles: anyRole } },
    async (request) => {
      const principal = requirePrincipal(request)
      const own = context.control.sourceKeys().filter(({ logId }) => logId === principal.logId)
      return { sources: own.map((key) => keyRowOf(key, context)) }
    },
  )

  app.post(
    '/api/v1/source-keys/:id/rotate',
    {
      schema: {
        params: KeyParams,
        body: RotateSourceKeyRequest,
        response: { 200: CreateSourceKeyReply },
      },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { id } = ownKey(context, principal, request.params.id)
      const { expectedVersion, ...rotation } = request.body
      const made = await context.control.rotateSourceKey(
        id,
        rotation,
        expectedVersion,
        actorOf(principal),
      )
      return { id: made.id, key: made.key, secret: made.secret }
    },
  )

  app.post(
    '/api/v1/source-keys/:id/revoke',
    {
      schema: { params: KeyParams, body: RevokeSourceKeyRequest, response: { 200: Empty } },
      config: { roles: adminRole },
    },
    async (request) => {
      const principal = requirePrincipal(request)
      const { id } = request.params
      ownKey(context, principal, id)
      await context.control.revokeSourceKey(id, request.body.expectedVersion, actorOf(principal))
      return {}
    },
  )
}

function keyRowOf(key: SourceKey, { control, clock }: RouteContext): SourceKeyRow {
  const newest = key.credentials.at(-1)
  return {
    id: key.id,
    name: key.name,
    revokedAt: key.revokedAt ?? null,
    version: key.version,
    keys: [...key.credentials].reverse().map((each) => {
      const usedMs = control.lastUsedMs(each)
      const isOver = each.expiresAt !== undefined && timestampToMs(each.expiresAt) <= clock()
      const open = each === newest ? 'current' : 'ending'
      return {
        fingerprint: each.keySha256.slice(0, 12),
        state: key.revokedAt !== undefined ? 'revoked' : isOver ? 'expired' : open,
        createdAt: each.createdAt,
        expiresAt: each.expiresAt ?? null,
        lastUsedAt: usedMs === undefined ? null : timestampFromMs(usedMs),
      }
    }),
  }
}

const activeMs = 5 * 60_000

/** @throws SealtrailError `NOT_FOUND`, also for a source of another log */
function ownKey(context: RouteContext, principal: Principal, id: string): SourceKey {
  const own = context.control
    .sourceKeys()
    .find((key) => key.id === id && key.logId === principal.logId)
  if (own === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such source')
  return own
}

function scopeOf(principal: Principal, reply: FastifyReply): QueryScope {
  const { logId } = principal
  return { logId, groups: permittedGroups(principal), signal: abortOnClose(reply) }
}

function rowOf(
  key: SourceKey,
  { isSilent, ...health }: SourceHealth,
  context: RouteContext,
  nowMs: number,
): SourceRow {
  const lastMs = health.lastEventAt === null ? undefined : Date.parse(health.lastEventAt)
  const isActive =
    health.openStreams > 0 || (lastMs !== undefined && nowMs - lastMs < activeMs && !isSilent)
  const intake = context.intakeOf(key.id)
  return {
    id: key.id,
    name: key.name,
    createdAt: key.createdAt,
    revokedAt: key.revokedAt ?? null,
    version: key.version,
    state:
      key.revokedAt !== undefined
        ? 'revoked'
        : isSilent
          ? 'silent'
          : isActive
            ? 'active'
            : lastMs === undefined
              ? 'never'
              : 'idle',
    ...health,
    sinceStart: intake ?? null,
    quota: context.control.sourceQuota(key.id),
    quotaVersion: context.control.ownSourceQuota(key.id).version,
    certificate: context.control.sourceCertificate(key.id).certificate,
    certificateVersion: context.control.sourceCertificate(key.id).version,
  }
}
