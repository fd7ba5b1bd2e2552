import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'
import { admitSource } from './authenticate-source.ts'
import { decodeBody } from './decode-body.ts'
import { decodeJsonBody } from './decode-json-records.ts'
import { count, deliver } from './deliver.ts'
import { problemOfError, retryAfter } from './problem.ts'
import type { ReceiverDeps, SourceIdentity } from './receiver-deps.ts'
import { bodyOf, mediaTypeOf } from './request-body.ts'

const protobufHint =
  'OTLP over HTTP is accepted as JSON: set OTEL_EXPORTER_OTLP_PROTOCOL=http/json in the environment of the exporter'

/** `/v1/logs`, `/v1/traces` and `/v1/metrics` of OTLP/HTTP (opentelemetry-proto, JSON encoding). */
export function registerOtlpReceiver(app: FastifyInstance, deps: ReceiverDeps): void {
  app.register(async (scope) => {
    scope.setErrorHandler((error, _request, reply) => sendStatus(reply, error, deps))
    const sources = new WeakMap<FastifyRequest, SourceIdentity>()
    const onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
      sources.set(request, await admitSource(request, reply, deps))
    }
    const receive = (signal: 'logs' | 'traces') => (request: FastifyRequest, reply: FastifyReply) =>
      receiveExport(request, reply, signal, sources.get(request), deps)
    scope.post('/v1/logs', { onRequest }, receive('logs'))
    scope.post('/v1/traces', { onRequest }, receive('traces'))
    scope.post('/v1/metrics', { onRequest }, (request, reply) =>
      countMetrics(request, reply, sources.get(request), deps),
    )
  })
}

async function receiveExport(
  request: FastifyRequest,
  reply: FastifyReply,
  signal: 'logs' | 'traces',
  source: SourceIdentity | undefined,
  deps: ReceiverDeps,
): Promise<FastifyReply> {
  if (source === undefined) throw new SealtrailError('INTERNAL', 'the request has no source')
  refuseProtobuf(request)
  const received = bodyOf(request)
  const body = await decodeBody(received, request.headers['content-encoding'])
  const { records, malformed } = decodeJsonBody(body)
  if (records.length === 0) return reply.code(200).send({})
  const format = signal === 'logs' ? 'otlp_logs' : 'otlp_traces'
  const delivery = await deliver(
    { source, records, body, format, untilDurable: !deps.bus.durable },
    deps,
  )
  const { mapped, unmapped, rejected } = delivery.request
  count(
    {
      ...source,
      receiver: format,
      records: records.length,
      mapped,
      unmapped,
      rejected,
      duplicates: delivery.receipt?.duplicates ?? 0,
      bodyBytes: received.length,
    },
    deps,
  )
  if (malformed !== undefined) {
    throw new SealtrailError(
      'RECORD_INVALID',
      `the body is not JSON from line ${malformed.line}, offset ${malformed.offset}; its bytes are kept as one rejected record`,
    )
  }
  if (rejected === 0) return reply.code(200).send({})
  const first = delivery.request.problems[0]
  const counter = signal === 'logs' ? 'rejectedLogRecords' : 'rejectedSpans'
  return reply.code(200).send({
    partialSuccess: {
      // int64 is text in proto JSON.
      [counter]: String(rejected),
      errorMessage: `${rejected} of ${records.length} records are kept as rejected; record ${first?.record ?? 0}: ${first?.field ?? ''} ${first?.reason ?? ''}`,
    },
  })
}

/** Metrics are not stored. They are answered like success, or exporters would send them again and again. */
async function countMetrics(
  request: FastifyRequest,
  reply: FastifyReply,
  source: SourceIdentity | undefined,
  deps: ReceiverDeps,
): Promise<FastifyReply> {
  if (source !== undefined) {
    count(
      {
        ...source,
        receiver: 'otlp_metrics',
        records: 0,
        mapped: 0,
        unmapped: 0,
        rejected: 0,
        duplicates: 0,
        bodyBytes: bodyOf(request).length,
      },
      deps,
    )
  }
  return reply.code(200).send({})
}

function refuseProtobuf(request: FastifyRequest): void {
  const mediaType = mediaTypeOf(request)
  if (mediaType === '' || mediaType === 'application/json') return
  throw new SealtrailError('MEDIA_TYPE_UNSUPPORTED', protobufHint)
}

/** google.rpc codes of the Status message that OTLP/HTTP answers errors with. */
const rpcCodes: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  413: 8,
  415: 3,
  429: 8,
  503: 14,
}

function sendStatus(reply: FastifyReply, error: unknown, deps: ReceiverDeps): FastifyReply {
  const problem = problemOfError(error)
  if (problem.status >= 500 && problem.code !== 'BUS_FULL') {
    deps.logger.error({ err: error }, 'OTLP request failed')
  }
  retryAfter(reply, error)
  if ((problem.status === 503 || problem.status === 429) && !reply.hasHeader('retry-after')) {
    reply.header('retry-after', '1')
  }
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="sealtrail"')
  return reply
    .code(problem.status)
    .type('application/json; charset=utf-8')
    .send({
      code: rpcCodes[problem.status] ?? 13,
      message: problem.hint === undefined ? problem.detail : `${problem.detail}. ${problem.hint}`,
      details: [],
    })
}
