import type {
  FindingDetail,
  FindingRow,
  FindingsReply,
  FindingsRequest,
  ListedFinding,
} from '../../schemas/api/findings.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { Explanation, Severity } from '../../schemas/finding.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import { engineTime } from './conditions.ts'
import { eventsAt } from './find-event.ts'
import type { QueryScope } from './query-scope.ts'

type StoredFinding = Readonly<Record<string, unknown>>

const columns = `finding_id, event_id, toString(leaf_index) AS out_leaf_index, detector, severity, p,
  toString(occurred_at) AS out_occurred_at, toString(recorded_at) AS out_recorded_at, sentence, explanation,
  arrayMap(x -> toString(x), evidence) AS out_evidence`

/** Findings of a time range, newest first. */
export async function listFindings(
  client: ColumnarClient,
  request: FindingsRequest,
  scope: QueryScope,
): Promise<FindingsReply> {
  refuseWithoutText(scope)
  const conditions = [
    'log_id = {log_id:String}',
    "occurred_at >= {from:String}::DateTime64(9, 'UTC')",
    "occurred_at < {until:String}::DateTime64(9, 'UTC')",
  ]
  const params: Record<string, unknown> = {
    log_id: scope.logId,
    from: engineTime(request.from, 'from'),
    until: engineTime(request.until, 'until'),
  }
  if (request.severity !== undefined) {
    conditions.push('severity = {severity:String}')
    params['severity'] = request.severity
  }
  if (request.detector !== undefined) {
    conditions.push('detector = {detector:String}')
    params['detector'] = request.detector
  }
  const where = conditions.join(' AND ')
  const [rows, totals] = await Promise.all([
    client.query<StoredFinding>(
      `SELECT ${columns} FROM findings WHERE ${where} ORDER BY occurred_at DESC, leaf_index DESC LIMIT {limit:UInt32}`,
      { ...params, limit: request.limit },
      { signal: scope.signal },
    ),
    client.query<{ n: string }>(
      `SELECT toString(count()) AS n FROM findings WHERE ${where}`,
      params,
      { signal: scope.signal },
    ),
  ])
  return { rows: rows.map(readListed), total: Number(totals[0]?.n ?? 0) }
}

/** One finding with explanation and evidence. @throws SealtrailError `NOT_FOUND` */
export async function findFinding(
  client: ColumnarClient,
  findingId: string,
  scope: QueryScope,
): Promise<FindingDetail> {
  refuseWithoutText(scope)
  const [row] = await client.query<StoredFinding>(
    `SELECT ${columns} FROM findings WHERE log_id = {log_id:String} AND finding_id = {finding_id:String} LIMIT 1`,
    { log_id: scope.logId, finding_id: findingId },
    { signal: scope.signal },
  )
  if (row === undefined) throw new SealtrailError('NOT_FOUND', `there is no finding ${findingId}`)
  if (isErased(row)) {
    throw new SealtrailError('KEY_DESTROYED', 'the text of this finding was erased', {
      hint: 'That it was found, when, by which detector and with which evidence stays: see its event.',
    })
  }
  const evidence = Array.isArray(row['out_evidence']) ? row['out_evidence'].map(Number) : []
  return {
    finding: readFinding(row),
    explanation: Explanation.parse(JSON.parse(String(row['explanation']))),
    evidence: await eventsAt(client, evidence, scope),
  }
}

/** A sentence quotes arguments; whoever may not see them gets a typed refusal. */
function refuseWithoutText(scope: QueryScope): void {
  if (!scope.groups.has('text') || !scope.groups.has('arguments')) {
    throw new SealtrailError('PERMISSION_DENIED', 'your role may not read findings')
  }
}

/** Its columns are emptied when its payload is overwritten, or closed with the key it was sealed under. */
function isErased(row: StoredFinding): boolean {
  return String(row['explanation']) === ''
}

function readListed(row: StoredFinding): ListedFinding {
  if (isErased(row)) return { ...clearPart(row), sentence: null, entity: null, subject: null }
  return readFinding(row)
}

function readFinding(row: StoredFinding): FindingRow {
  const { entity, subject } = Explanation.parse(JSON.parse(String(row['explanation'])))
  return { ...clearPart(row), sentence: String(row['sentence']), entity, subject }
}

/** What stays of a finding whatever is erased. */
function clearPart(row: StoredFinding) {
  return {
    findingId: String(row['finding_id']),
    eventId: String(row['event_id']),
    leafIndex: Number(row['out_leaf_index']),
    detector: String(row['detector']),
    severity: Severity.parse(row['severity']),
    p: Number(row['p']),
    occurredAt: `${String(row['out_occurred_at']).replace(' ', 'T')}Z`,
    recordedAt: `${String(row['out_recorded_at']).replace(' ', 'T')}Z`,
  }
}
