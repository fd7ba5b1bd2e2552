import cookie from '@fastify/cookie'
import proxy from '@fastify/http-proxy'
import Fastify from 'fastify'
import { previewRedaction } from '../../analytics/api/redaction-preview.ts'
import { createRedactor } from '../../ingest/redaction/redactor.ts'
import type { AnchorCoverage } from '../../schemas/api/anchors.ts'
import { FindingsRequest } from '../../schemas/api/findings.ts'
import { PreviewRedactionRequest, SetRedactionPolicyRequest } from '../../schemas/api/redaction.ts'
import { FacetRequest, HistogramRequest, SearchRequest } from '../../schemas/api/search.ts'
import { LoginRequest, SetupRequest } from '../../schemas/api/session.ts'
import {
  CreateSourceKeyRequest,
  SetSourceQuotaRequest,
  type SourceDetailReply,
  type SourceRow,
} from '../../schemas/api/sources.ts'
import { base64, hex } from '../../schemas/bytes.ts'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { type EventField, isEventField } from '../../schemas/event/fields.ts'
import { timestampFromMs } from '../../schemas/event/timestamp.ts'
import { Explanation } from '../../schemas/finding.ts'
import { explainQuery } from '../../schemas/query/explain-query.ts'
import { parseQuery } from '../../schemas/query/parse-query.ts'
import { queryAliases } from '../../schemas/query/query.ts'
import { defaultRedactionPolicy, type RedactionPolicy } from '../../schemas/redaction-policy.ts'
import { defaultSourceQuota } from '../../schemas/source-quota.ts'
import { consistencyProof, rootOf } from '../../schemas/tlog/merkle.ts'
import { type FixtureEvent, FixtureLedger, logId, sha256 } from './fixture-ledger.ts'
import { matches } from './fixture-query.ts'

export const fixtureAccount = { name: 'admin', password: 'correct horse battery' }
export const fixtureSetupToken = 'one-time-token'

const explained = (q: string) => explainQuery(parseQuery(q))

/**
 * The API contract over a {@link FixtureLedger}, in front of the pages. It exists to show the browser what a real
 * server never would: rows that differ from the ledger, and evidence that was altered.
 */
export async function startFixtureApi(options: {
  nextUrl: string
  port?: number
  empty?: boolean
}) {
  const ledger = new FixtureLedger(Date.now())
  const events: readonly FixtureEvent[] = options.empty === true ? [] : ledger.events
  const sessions = new Set<string>()
  let needsSetup = false
  const sources = [
    sourceRow('src-gateway', 'Gateway eu-1', null, events.length),
    sourceRow('src-laptops', 'Laptops of the platform team', null, 0),
    sourceRow('src-tap', 'Tap on build-7', null, 5119, {
      state: 'silent',
      eventsPerMinute: 0,
      lastEventAt: timestampFromMs(Date.now() - 2 * 3_600_000),
      numbering: 'collector',
      lastEpoch: '3f0c9a11d2b74e58',
      lastSeq: 5121,
      gaps: 1,
      missing: 3,
      silences: 1,
      chainBreaks: 1,
      conflicts: 0,
      skewMs: -1840,
    }),
    sourceRow('src-old', 'Old proxy', timestampFromMs(Date.now() - 86_400_000), 12),
  ]
  const app = Fastify({ forceCloseConnections: true })
  await app.register(cookie)
  app.setErrorHandler((error, _request, reply) => {
    const known = isSealtrailError(error)
    const span = known ? error.details?.['span'] : undefined
    const status = known ? statusOf(error) : 400
    return reply
      .code(status)
      .type('application/problem+json')
      .send(
        JSON.stringify({
          type: 'about:blank',
          title:
            known && error.code === 'QUERY_INVALID'
              ? 'The query could not be understood'
              : 'The request is not valid',
          status,
          detail: error instanceof Error ? error.message : String(error),
          code: known ? error.code : 'REQUEST_INVALID',
          ...(known && error.hint !== undefined ? { hint: error.hint } : {}),
          ...(span === undefined ? {} : { span }),
        }),
      )
  })
  app.addHook('onRequest', async (request) => {
    if (!request.url.startsWith('/api/')) return
    if (request.method !== 'GET' && request.headers['sec-fetch-site'] !== 'same-origin') {
      throw new SealtrailError('CROSS_ORIGIN_REFUSED', 'the request comes from another origin')
    }
    const open = ['/api/v1/setup', '/api/v1/login', '/api/v1/logout']
    if (open.includes(request.url.split('?')[0] ?? '')) return
    if (!sessions.has(request.cookies['sealtrail_session'] ?? '')) {
      throw new SealtrailError('AUTHENTICATION_REQUIRED', 'this needs a signed-in person')
    }
  })
  const me = {
    user: { id: 'u-1', name: fixtureAccount.name, role: 'admin' },
    logId,
    mustEnrol: false,
  }
  const signIn = (reply: { setCookie: (n: string, v: string, o: object) => unknown }) => {
    const token = `session-${sessions.size}`
    sessions.add(token)
    reply.setCookie('sealtrail_session', token, { path: '/', httpOnly: true, sameSite: 'lax' })
    return me
  }

  app.get('/api/v1/setup', async () => ({ needsSetup, identityProvider: null }))
  app.post('/api/v1/setup', async (request, reply) => {
    if (SetupRequest.parse(request.body).token !== fixtureSetupToken) {
      throw new SealtrailError('CREDENTIALS_INVALID', 'the link was used or is not valid', {
        hint: 'Print a new one with: sealtrail setup-link',
      })
    }
    needsSetup = false
    return signIn(reply)
  })
  app.post('/api/v1/login', async (request, reply) => {
    const { name, password } = LoginRequest.parse(request.body)
    if (name !== fixtureAccount.name || password !== fixtureAccount.password) {
      throw new SealtrailError('CREDENTIALS_INVALID', 'name or password is wrong')
    }
    return signIn(reply)
  })
  app.post('/api/v1/logout', async (request, reply) => {
    sessions.delete(request.cookies['sealtrail_session'] ?? '')
    reply.clearCookie('sealtrail_session', { path: '/' })
    return { endSessionUrl: null }
  })
  app.get('/api/v1/me', async () => me)

  const shown = new Map(events.map((each) => [each, ledger.row(each)]))
  function found(request: { q: string; from: string; until: string; view: string }) {
    const query = parseQuery(request.q)
    return events.filter((each) => {
      const event: EventFields = { ...each.event, ...each.shownInstead }
      const at = each.event['time.occurred']
      const isCall = each.event['event.class'] === 'tool_call'
      return (
        at >= request.from &&
        at < request.until &&
        (request.view === 'events' || isCall) &&
        matches(query, event)
      )
    })
  }
  app.get('/api/v1/events', async (request) => {
    const wanted = SearchRequest.parse(request.query)
    const all = found(wanted).toReversed()
    const from = wanted.cursor === undefined ? 0 : Number(wanted.cursor)
    const page = all.slice(from, from + wanted.limit)
    return {
      rows: page.flatMap((each) => shown.get(each) ?? []),
      next: from + wanted.limit < all.length ? String(from + wanted.limit) : null,
      total: all.length,
      elapsedMs: 3.2,
      rowsRead: events.length,
      explained: explained(wanted.q),
    }
  })
  app.get('/api/v1/histogram', async (request) => {
    const wanted = HistogramRequest.parse(request.query)
    const fromMs = Date.parse(wanted.from)
    const untilMs = Date.parse(wanted.until)
    const widths = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400]
    const bucketSeconds =
      widths.find((width) => (untilMs - fromMs) / 1000 / width <= 120) ?? 604_800
    const width = bucketSeconds * 1000
    const first = Math.floor(fromMs / width) * width
    const buckets = Array.from({ length: Math.ceil((untilMs - first) / width) }, (_, n) => ({
      at: timestampFromMs(first + n * width),
      counts: {} as Record<string, number>,
    }))
    const series = new Set<string>()
    for (const each of found(wanted)) {
      const event: EventFields = { ...each.event, ...each.shownInstead }
      const key =
        (wanted.view === 'calls' ? event['outcome.status'] : event['event.class']) ?? 'unknown'
      series.add(key)
      const at = Date.parse(each.event['time.occurred'].slice(0, 23).concat('Z'))
      const counts = buckets[Math.floor((at - first) / width)]?.counts
      if (counts !== undefined) counts[key] = (counts[key] ?? 0) + 1
    }
    return { bucketSeconds, series: [...series], buckets }
  })
  app.get('/api/v1/facets', async (request) => {
    const wanted = FacetRequest.parse(request.query)
    const field = (queryAliases[wanted.field]?.[0] ?? wanted.field) as EventField
    if (!isEventField(field))
      throw new SealtrailError('QUERY_INVALID', `there is no field ${field}`)
    const counts = new Map<string, number>()
    for (const each of found(wanted)) {
      const value = shown.get(each)?.event[field]
      for (const one of Array.isArray(value)
        ? value.map(String)
        : value === undefined
          ? []
          : [String(value)]) {
        if (one.toLowerCase().includes((wanted.contains ?? '').toLowerCase())) {
          counts.set(one, (counts.get(one) ?? 0) + 1)
        }
      }
    }
    const values = [...counts].map(([value, count]) => ({ value, count }))
    values.sort((a, b) => b.count - a.count || (a.value < b.value ? -1 : 1))
    return { field, values: values.slice(0, 50), sampled: false }
  })
  const byId = new Map(events.map((each) => [each.event['event.id'], each]))
  app.get<{ Params: { eventId: string } }>('/api/v1/events/:eventId', async (request) => {
    const each = byId.get(request.params.eventId)
    if (each === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such event')
    return ledger.detail(each)
  })
  app.get<{ Querystring: { old: string; new: string } }>('/api/v1/consistency', async (request) => {
    const [oldSize, newSize] = [Number(request.query.old), Number(request.query.new)]
    return {
      logId,
      oldSize,
      newSize,
      hashes: consistencyProof(ledger.tree, sha256, oldSize, newSize).map(base64),
    }
  })
  const findingRow = (each: FixtureEvent) => {
    const { event } = each
    const explanation = Explanation.parse(event['finding.explanation'])
    return {
      findingId: event['finding.id'] ?? '',
      eventId: event['event.id'],
      leafIndex: each.leafIndex,
      detector: event['finding.detector'] ?? '',
      severity: event['finding.severity'] ?? 'low',
      p: event['finding.p'] ?? 1,
      occurredAt: event['time.occurred'],
      recordedAt: event['time.recorded'],
      sentence: event['finding.sentence'] ?? '',
      entity: explanation.entity,
      subject: explanation.subject,
    }
  }
  /** Findings whose text was erased, by id. */
  const erasedFindings = new Set<string>()
  const findings = events.filter((each) => each.event['event.class'] === 'finding')
  app.get('/api/v1/findings', async (request) => {
    const wanted = FindingsRequest.parse(request.query)
    const rows = findings
      .map(findingRow)
      .filter((row) => row.occurredAt >= wanted.from && row.occurredAt < wanted.until)
      .filter((row) => wanted.severity === undefined || row.severity === wanted.severity)
      .filter((row) => wanted.detector === undefined || row.detector === wanted.detector)
      .sort((a, b) => (a.occurredAt < b.occurredAt ? 1 : -1))
    const listed = rows.map((row) =>
      erasedFindings.has(row.findingId)
        ? { ...row, sentence: null, entity: null, subject: null }
        : row,
    )
    return { rows: listed, total: rows.length }
  })
  app.get<{ Params: { findingId: string } }>('/api/v1/findings/:findingId', async (request) => {
    const each = findings.find((one) => one.event['finding.id'] === request.params.findingId)
    if (each === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such finding')
    if (erasedFindings.has(request.params.findingId)) {
      throw new SealtrailError('KEY_DESTROYED', 'the text of this finding was erased')
    }
    return {
      finding: findingRow(each),
      explanation: each.event['finding.explanation'],
      evidence: (each.event['finding.evidence'] ?? []).flatMap((index) => {
        const one = events[Number(index)]
        return one === undefined ? [] : [ledger.row(one)]
      }),
    }
  })
  const size = events.length
  // Its key never changed: a browser that pinned another one is led nowhere.
  app.get('/api/v1/integrity/key-rotations', async () => ({ rotations: [] }))
  app.get('/api/v1/integrity', async () => ({
    logs: [
      {
        logId,
        origin: 'fixture.sealtrail.test/main',
        verifierKey: ledger.verifierKey,
        treeSize: size,
        root: hex(rootOf(ledger.tree, sha256, size)),
        checkpoint: {
          size: ledger.publishedSize,
          root: hex(rootOf(ledger.tree, sha256, ledger.publishedSize)),
          note: ledger.checkpoint,
          signedAt: ledger.events[ledger.publishedSize - 1]?.event['time.recorded'] ?? '',
        },
        indexed: size,
        judged: Math.max(0, size - 3),
        projection: {
          state: 'different',
          checkedUntil: size,
          checkedAt: timestampFromMs(Date.now() - 20_000),
          firstDifference: 'row 668 of main: outcome.status',
        },
        anchoring: {
          witnessedSize: Math.max(0, size - 12),
          anchors: [
            anchorRow('directory', '/mnt/worm/anchors', Math.max(0, size - 12), 'waiting', null),
            anchorRow(
              'bucket',
              'https://s3.eu-central-1.example/audit-anchors/prod',
              Math.max(0, size - 40),
              'failing',
              'bucket https://s3.eu-central-1.example/audit-anchors/prod: fetch failed: connect ECONNREFUSED 10.0.0.9:443',
            ),
            anchorRow('witness', 'witness.example/w1', Math.max(0, size - 12), 'waiting', null),
          ],
          cosigned: null,
          contradiction: null,
        },
      },
    ],
    warnings: [],
    notDetected: [
      'Whoever holds the data directory and the signing key can put back an older state as a whole, or write a different history from some point on, and sign it. Only a copy of a newer checkpoint elsewhere (your browser, an export, an anchor) contradicts that.',
      'A proof shows that a record did not change since it was logged. It does not show that the source told the truth.',
      'Records that never reached a receiver leave no trace here, unless their source numbers what it sends.',
    ],
    columnar: 'ready',
    rebuild: null,
    bus: { kind: 'in-process', lag: 0 },
    version: '0.1.0',
  }))
  app.post('/api/v1/integrity/verify', async (_request, reply) => {
    async function* lines() {
      for (let done = 0; done <= size; done += Math.max(1, Math.ceil(size / 8))) {
        yield `${JSON.stringify({ kind: 'progress', stage: 'leaves', done, total: size })}\n`
        await new Promise((resolve) => setTimeout(resolve, 60))
      }
      yield `${JSON.stringify({ kind: 'result', ok: false, treeSize: size, checkpoints: 41, payloads: size - 3, erased: 0, erasedUnsaid: 0, erasures: [], rows: size, firstProblem: 'row 668 of main differs from its leaf: outcome.status', elapsedMs: 512.4 })}\n`
    }
    const { Readable } = await import('node:stream')
    return reply.type('application/x-ndjson').send(Readable.from(lines()))
  })
  app.get('/api/v1/sources', async () => ({ sources: options.empty === true ? [] : sources }))
  app.get<{ Params: { id: string } }>('/api/v1/sources/:id', async (request) => {
    const source = sources.find((each) => each.id === request.params.id)
    if (source === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such source')
    return sourceDetail(source)
  })
  app.post<{ Params: { id: string } }>('/api/v1/sources/:id/quota', async (request) => {
    const source = sources.find((each) => each.id === request.params.id)
    if (source === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such source')
    const { quota } = SetSourceQuotaRequest.parse(request.body)
    source.quota = quota ?? defaultSourceQuota
    source.quotaVersion++
    return {}
  })
  let ownPolicy: { policy: RedactionPolicy | null; version: number } = { policy: null, version: 0 }
  app.get('/api/v1/redaction-policies/:target', async () => ({
    policy: ownPolicy.policy ?? defaultRedactionPolicy,
    origin: ownPolicy.policy === null ? 'built_in' : 'log',
    version: ownPolicy.version,
  }))
  app.post('/api/v1/redaction-policies/:target', async (request) => {
    const { policy } = SetRedactionPolicyRequest.parse(request.body)
    ownPolicy = { policy, version: ownPolicy.version + 1 }
    return {}
  })
  app.post('/api/v1/redaction-policies/:target/preview', async (request) => {
    const { policy } = PreviewRedactionRequest.parse(request.body)
    const redactor = createRedactor({ policy })
    const readOne = async (_: string, index: number) => {
      const event = events[index]?.event
      return event === undefined ? undefined : { event, opened: 'full' as const }
    }
    return previewRedaction({ readOne }, logId, [...events.keys()].slice(0, 200), (event) => {
      return redactor.inspectEvent(event).redactions
    })
  })
  app.post('/api/v1/source-keys', async (request) => {
    const { name } = CreateSourceKeyRequest.parse(request.body)
    const id = `src-${sources.length}`
    sources.push(sourceRow(id, name, null, 0))
    return { id, key: `stk_${'k'.repeat(43)}`, secret: `sts_${'s'.repeat(43)}` }
  })
  app.post<{ Params: { id: string } }>('/api/v1/source-keys/:id/revoke', async (request) => {
    const source = sources.find((each) => each.id === request.params.id)
    if (source === undefined) throw new SealtrailError('NOT_FOUND', 'there is no such source')
    source.revokedAt = timestampFromMs(Date.now())
    source.state = 'revoked'
    return {}
  })
  await app.register(proxy, { upstream: options.nextUrl, prefix: '/' })
  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    ledger,
    /** As after a first start: the one-time link waits. */
    requireSetup: () => {
      needsSetup = true
    },
    /** The text of a finding is gone, until the returned function is called. */
    eraseFinding: (findingId: string) => {
      erasedFindings.add(findingId)
      return () => erasedFindings.delete(findingId)
    },
    close: () => app.close(),
  }
}

function anchorRow(
  kind: AnchorCoverage['kind'],
  target: string,
  coveredSize: number,
  state: AnchorCoverage['state'],
  problem: string | null,
): AnchorCoverage {
  return {
    kind,
    target,
    coveredSize,
    root: hex(new Uint8Array(32).fill(7)),
    coveredAt: new Date(Date.now() - 14_000).toISOString(),
    answer: target,
    state,
    problem,
    verifierKey: null,
  }
}

function sourceRow(
  id: string,
  name: string,
  revokedAt: string | null,
  mapped: number,
  more: Partial<SourceRow> = {},
): SourceRow {
  const now = Date.now()
  const isHeard = mapped > 0
  return {
    id,
    name,
    createdAt: timestampFromMs(now - 40 * 86_400_000),
    revokedAt,
    version: 1,
    state: revokedAt !== null ? 'revoked' : isHeard ? 'active' : 'never',
    lastEventAt: isHeard ? timestampFromMs(now - 60_000) : null,
    eventsPerMinute: isHeard && revokedAt === null ? 64.2 : 0,
    usualEventsPerMinute: isHeard ? 51.7 : 0,
    skewMs: isHeard ? 4 : null,
    lagMs: isHeard ? 82 : null,
    mapped,
    unmapped: isHeard ? 1 : 0,
    rejected: isHeard ? 1 : 0,
    gaps: 0,
    missing: 0,
    silences: 0,
    chainBreaks: 0,
    conflicts: 0,
    numbering: isHeard ? 'receiver' : null,
    lastEpoch: null,
    lastSeq: null,
    openStreams: 0,
    sinceStart: isHeard
      ? {
          requests: 412,
          records: mapped,
          duplicates: 17,
          refused: 0,
          rejectedBytesToday: 18_211,
          hashedToday: 0,
          eventsPerSecond: 1.07,
          bytesPerSecond: 831,
        }
      : null,
    quota: defaultSourceQuota,
    quotaVersion: 0,
    certificate: null,
    certificateVersion: 0,
    ...more,
  }
}

/** Page of a source, with something to look at in every part where it was heard. */
function sourceDetail(source: SourceRow): SourceDetailReply {
  const nowMs = Date.now()
  const hourMs = 3_600_000
  const firstMs = (Math.floor(nowMs / hourMs) - 23) * hourMs
  const isHeard = source.lastEventAt !== null
  const at = (hours: number) => timestampFromMs(nowMs - hours * hourMs)
  const epoch = source.lastEpoch ?? ''
  return {
    source,
    hours: Array.from({ length: 24 }, (_, hour) => ({
      from: new Date(firstMs + hour * hourMs).toISOString(),
      events: isHeard ? Math.round(3100 + 2400 * Math.sin(hour / 3.7)) : 0,
    })),
    signals:
      source.gaps === 0 && source.silences === 0
        ? []
        : [
            ['silence', 2, null, 'last heard 2026-11-24T12:00:00.000000000Z'],
            ['gap', 5, 3, 'gap before seq 5121'],
            ['close', 30, null, null],
            ['open', 31, null, null],
          ].map(([signal, hours, missing, note], i) => ({
            leafIndex: 900 - i,
            recordedAt: at(Number(hours)),
            signal: String(signal),
            epoch,
            missing: missing === null ? null : Number(missing),
            note: note === null ? null : String(note),
          })),
    reasons: isHeard
      ? [
          {
            disposition: 'unmapped',
            reason: 'no mapping recognises the record',
            count: 1,
            newestAt: at(3),
            newestEventId: '019ab3c4-0000-7000-8000-000000000001',
          },
          {
            disposition: 'rejected',
            reason: 'RECORD_INVALID: duration_ms Invalid input: expected number, received string',
            count: 1,
            newestAt: at(7),
            newestEventId: '019ab3c4-0000-7000-8000-000000000002',
          },
        ]
      : [],
    epochs:
      source.lastEpoch === null
        ? []
        : [
            {
              epoch,
              lastSeq: source.lastSeq ?? 0,
              events: 5119,
              missing: source.missing,
              lastAt: at(2),
              lastSignal: source.state === 'silent' ? 'silence' : 'heartbeat',
            },
            {
              epoch: '77aa01be52c9d3e4',
              lastSeq: 911,
              events: 912,
              missing: 0,
              lastAt: at(30),
              lastSignal: 'close',
            },
          ],
  }
}

function statusOf(error: SealtrailError): number {
  switch (error.code) {
    case 'AUTHENTICATION_REQUIRED':
    case 'CREDENTIALS_INVALID':
      return 401
    case 'CROSS_ORIGIN_REFUSED':
      return 403
    case 'NOT_FOUND':
      return 404
    case 'KEY_DESTROYED':
      return 410
    default:
      return 400
  }
}
