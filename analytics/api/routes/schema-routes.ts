import { z } from 'zod'
import { SourceEvent } from '../../../schemas/event/event.ts'
import type { RouteContext, TypedApp } from '../route-context.ts'

/** The native event as JSON Schema, and this API as OpenAPI. Public: they say nothing about this deployment. */
export function schemaRoutes(app: TypedApp, _context: RouteContext): void {
  const eventSchema = {
    $id: 'urn:sealtrail:schema:event:1',
    title: 'Sealtrail event',
    ...z.toJSONSchema(SourceEvent, { target: 'draft-2020-12', unrepresentable: 'any' }),
  }
  app.get(
    '/api/v1/schemas/event',
    publicJson('application/schema+json', 'JSON Schema of an event'),
    async (_request, reply) => {
      return reply.type('application/schema+json').send(JSON.stringify(eventSchema))
    },
  )
  app.get(
    '/api/v1/openapi.json',
    publicJson('application/json', 'This document'),
    async (_request, reply) => {
      return reply.type('application/json').send(JSON.stringify(app.swagger()))
    },
  )
}

function publicJson(type: string, description: string) {
  return { config: { public: true, answers: { type, description, schema: z.looseObject({}) } } }
}
