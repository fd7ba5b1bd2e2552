import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { FastifyContextConfig } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { Problem } from '../../schemas/api/problem.ts'
import type { Role } from '../../schemas/api/session.ts'
import { errorCatalogue } from '../../schemas/errors.ts'
import { isApi } from './request-origin.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered without a session: login, setup, and what says nothing about this deployment. */
    readonly public?: boolean
    /** Answered under any Host: probes ask by address. Says nothing about what is recorded. */
    readonly anyHost?: boolean
    /** Answered to programs and people on this machine only, not through a proxy. */
    readonly thisMachineOnly?: boolean
    /** Who may ask; without it, and without `public`, admins alone. Decided before anything of a request is read. */
    readonly roles?: readonly Role[]
    /** Answered also while a second factor is still to be set up. */
    readonly beforeEnrolment?: boolean
    /** Belongs to an account: the operator has none. */
    readonly accountOnly?: boolean
    /** Belongs to the deployment: not for admins of other logs. */
    readonly deploymentOnly?: boolean
    /** What is answered, where it is no single JSON document. */
    readonly answers?: {
      readonly type: string
      readonly description: string
      /** Of one line, for NDJSON. */
      readonly schema?: z.ZodType
    }
  }
}

const problem = {
  description: 'RFC 9457 problem details; `code` is one of the catalogue',
  content: {
    'application/problem+json': {
      schema: z.toJSONSchema(Problem.extend({ code: z.enum(Object.keys(errorCatalogue)) }), {
        target: 'openapi-3.0',
      }),
    },
  },
}

/** OpenAPI 3 from the routes: their zod schemas, what they answer, who may ask, and how they refuse. */
export function openApiOptions(
  version: string,
  sessionCookie: string,
): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.0.3',
      info: {
        title: 'Sealtrail',
        version,
        description:
          'Tenant and log follow from the session or the source key, never from the request. Times are RFC 3339.',
      },
      components: {
        securitySchemes: {
          session: { type: 'apiKey', in: 'cookie', name: sessionCookie },
          sourceKey: { type: 'http', scheme: 'bearer' },
        },
      },
    },
    transform: (options) => {
      const { schema: own, url } = jsonSchemaTransform(options)
      // Routes of other parts on this server may have none.
      const schema = { ...own }
      const { config } = options.route
      const answers = config?.answers
      const declared = typeof schema.response === 'object' ? schema.response : {}
      const replies = answers === undefined ? declared : { 200: described(answers) }
      const security = securityOf(url, config?.public === true)
      return { url, schema: { ...schema, security, response: { ...replies, default: problem } } }
    },
  }
}

function securityOf(url: string, isPublic: boolean) {
  if (isApi(url)) return isPublic ? [] : [{ session: [] }]
  return url.startsWith('/v1/') ? [{ sourceKey: [] }] : []
}

function described({ type, description, schema }: NonNullable<FastifyContextConfig['answers']>) {
  const json =
    schema === undefined ? { type: 'string' } : z.toJSONSchema(schema, { target: 'openapi-3.0' })
  return { description, content: { [type]: { schema: json } } }
}
