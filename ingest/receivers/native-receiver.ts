import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SealtrailError } from '../../schemas/errors.ts'
import { admitSource, authenticateSource } from './authenticate-source.ts'
import { decodeBody } from './decode-body.ts'
import { type DecodedBody, decodeJsonBody, decodeNdjsonBody } from './decode-json-records.ts'
import { count, type Delivery, deliver } from './deliver.ts'
import { problemOfRecord, sendProblem } from './problem.ts'
import type { ReceiverDeps, SourceIdentity } from './receiver-deps.ts'
import { bodyOf, mediaTypeOf } from './request-body.ts'

const ndjsonTypes: ReadonlySet<string> = new Set([
  'application/x-ndjson',
  'application/ndjson',
  'application/jsonl',
  'application/x-jsonlines',
  'application/jsonlines',
])

/** At most this many problems stand in a reply; the counts are always complete. */
const maxProblems = 100

/** `POST /v1/events` and what a numbered collector asks about itself. */
export function registerNativeReceiver(app: FastifyInstance, deps: ReceiverDeps): void {
  const sources = new WeakMap<FastifyRequest, SourceIdentity>()
  const onRequest = async (request: FastifyRequest): Promise<void> => {
    sources.set(request, await authenticateSource(request, deps))
  }
  const admitted = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    sources.set(request, await admitSource(request, reply, deps))
  }
  const sourceOf = (request: FastifyRequest): SourceIdentity => {
    const source = sources.get(request)
    if (source === undefined) throw new SealtrailError('INTERNAL', 'the request has no source')
    return source
  }

  app.post('/v1/events', { onRequest: admitted }, (request, reply) =>
    receiveEvents(request, reply, sourceOf(request), deps),
  )
  app.get('/v1/sources/self', { onRequest }, async (request, reply) => {
    const { sourceId, logId } = sourceOf(request)
    return reply.header('cache-control', 'no-store').send({
      source_id: sourceId,
      log_id: logId,
      token_key: Buffer.from(deps.tokenKey(logId)).toString('base64'),
      redaction_policy: deps.redactionPolicy(sourceId, logId),
    })
  })
  app.get('/v1/sources/self/committed', { onRequest }, async (request, reply) => {
    const { sourceId, logId } = sourceOf(request)
    const epoch = epochOf(request)
    const marks = deps.committed(sourceId, logId, epoch)
    const newest = marks[0]
    return reply.header('cache-control', 'no-store').send({
      epoch: epoch ?? newest?.epoch ?? null,
      seq: newest?.seq ?? null,
      ...(epoch === undefined ? { epochs: marks } : {}),
    })
  })
}

async function receiveEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  source: SourceIdentity,
  deps: ReceiverDeps,
): Promise<FastifyReply> {
  const decode = decoderOf(mediaTypeOf(request))
  const idempotencyKey = idempotencyKeyOf(request)
  const untilDurable = wantsLedger(request)
  const received = bodyOf(request)
  const body = await decodeBody(received, request.headers['content-encoding'])
  const decoded = decode(body)
  if (decoded.records.length === 0) {
    throw new SealtrailError('REQUEST_INVALID', 'the request holds no record')
  }
  const delivery = await deliver(
    { source, records: decoded.records, body, idempotencyKey, format: 'json', untilDurable },
    deps,
  )
  const counts = countsOf(delivery)
  count({ ...source, receiver: 'native', ...counts, bodyBytes: received.length }, deps)
  return answer(reply, decoded, delivery)
}

function answer(reply: FastifyReply, decoded: DecodedBody, delivery: Delivery): FastifyReply {
  const { receipt, positions, request } = delivery
  const problems = request.problems.slice(0, maxProblems).map(problemOfRecord)
  const body = {
    ...(receipt === undefined ? {} : { receipt }),
    ...(positions === undefined ? {} : { positions }),
    ...countsOf(delivery),
    problems,
  }
  if (request.rejected < request.records) {
    return reply.code(receipt === undefined ? 202 : 200).send(body)
  }
  const { malformed } = decoded
  return sendProblem(
    reply,
    {
      type: 'urn:sealtrail:error:RECORD_INVALID',
      title: 'A record is not a valid event',
      status: 400,
      detail:
        malformed === undefined
          ? `all ${request.records} records are rejected and kept as such`
          : `the body is not JSON from line ${malformed.line}, offset ${malformed.offset}; its bytes are kept as one rejected record`,
      code: 'RECORD_INVALID',
    },
    body,
  )
}

function countsOf({ request, receipt }: Delivery) {
  const { records, mapped, unmapped, rejected } = request
  return { records, mapped, unmapped, rejected, duplicates: receipt?.duplicates ?? 0 }
}

function decoderOf(mediaType: string): (body: Uint8Array) => DecodedBody {
  if (ndjsonTypes.has(mediaType)) return decodeNdjsonBody
  if (mediaType === '' || mediaType === 'application/json' || mediaType.endsWith('+json')) {
    return decodeJsonBody
  }
  throw new SealtrailError('MEDIA_TYPE_UNSUPPORTED', 'the content type is not supported', {
    hint: 'Send application/json (one object or a list) or application/x-ndjson (one object a line).',
  })
}

function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || key === '' || key.length > 256) {
    throw new SealtrailError('REQUEST_INVALID', 'Idempotency-Key must have 1 to 256 characters')
  }
  return key
}

/** `?epoch=`: how far that one is; without it the epoch heard last, and a list of those before. */
function epochOf({ query }: FastifyRequest): string | undefined {
  if (typeof query !== 'object' || query === null || !('epoch' in query)) return undefined
  const { epoch } = query
  if (typeof epoch === 'string' && epoch !== '' && epoch.length <= 64) return epoch
  throw new SealtrailError('REQUEST_INVALID', 'epoch must have 1 to 64 characters, and stand once')
}

function wantsLedger(request: FastifyRequest): boolean {
  const { query } = request
  return typeof query === 'object' && query !== null && 'ack' in query && query.ack === 'ledger'
}
