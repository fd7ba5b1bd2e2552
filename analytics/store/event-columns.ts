import type { CommittedLeaf } from '../../ledger/committed.ts'
import { systemLogId } from '../../ledger/log-id.ts'
import type { Call } from '../../schemas/call.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import {
  type EventField,
  eventFieldNames,
  eventFields,
  type FieldSpec,
} from '../../schemas/event/fields.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { flattenJson } from './flatten-json.ts'
import type { SparseRow } from './native-block.ts'
import {
  absentByte,
  type ColumnKind,
  type ColumnValue,
  type RowBinaryWriter,
} from './row-binary.ts'
import { searchText } from './search-text.ts'

/**
 * Columns of the projection, generated from the field catalogue. Which fields an event had stands in `present`: a
 * column cannot tell an absent text from an empty one, and an empty list of scopes is a statement. Event columns plus
 * `present` therefore give back the event exactly.
 */
export interface Column {
  readonly name: string
  readonly type: string
  readonly kind: ColumnKind
  readonly codec: string | undefined
  /** Byte that stands for an absent value in RowBinary. */
  readonly absent: number
}

/** Fields of few different values; the engine keeps a dictionary for them. */
const lowCardinality: ReadonlySet<EventField> = new Set([
  'event.class',
  'log.id',
  'record.disposition',
  'mapping.id',
  'time.source',
  'source.id',
  'source.product',
  'source.format',
  'source.vantage',
  'source.trust',
  'source.completeness',
  'source.numbering',
  'source.signal',
  'mcp.method.name',
  'mcp.protocol.version',
  'mcp.direction',
  'jsonrpc.request.id_type',
  'network.transport',
  'mcp.client.name',
  'mcp.client.version',
  'user.issuer',
  'user.auth_method',
  'auth.token.issuer',
  'auth.credential_type',
  'auth.challenge.error',
  'elevation.outcome',
  'mcp.server.name',
  'mcp.server.version',
  'gen_ai.tool.name',
  'tool.exposed_name',
  'tool.definition_hash',
  'gen_ai.prompt.name',
  'arguments.capture',
  'outcome.status',
  'rpc.response.status_code',
  'error.type',
  'outcome.decision',
  'outcome.decision_by',
  'outcome.policy_id',
  'result.capture',
  'result.trust',
  'gen_ai.request.model',
  'raw.encoding',
  'finding.detector',
  'finding.severity',
  'admin.action',
])

/** Present in every event of a log (RecordedEvent), so no null is needed. */
const alwaysPresent: ReadonlySet<EventField> = new Set(['time.occurred', 'time.recorded'])

const columnByField: ReadonlyMap<EventField, string> = new Map(
  eventFieldNames.map((field) => [field, field.replaceAll('.', '_')]),
)
const fieldByColumn: ReadonlyMap<string, EventField> = new Map(
  eventFieldNames.map((field) => [field.replaceAll('.', '_'), field]),
)

/** Column of a field: dots become underscores, e.g. `gen_ai_tool_name`. */
export function columnOf(field: EventField): string {
  return columnByField.get(field) ?? field.replaceAll('.', '_')
}

/** Field of a column; undefined for columns that are no field. */
export function fieldOfColumn(column: string): EventField | undefined {
  return fieldByColumn.get(column)
}

/** ClickHouse type of a field's column. */
export function columnType(field: EventField): string {
  const spec: FieldSpec = eventFields[field]
  switch (spec.type) {
    case 'string':
    case 'keyword':
      return lowCardinality.has(field) ? 'LowCardinality(String)' : 'String'
    case 'timestamp':
      return alwaysPresent.has(field) ? "DateTime64(9, 'UTC')" : "Nullable(DateTime64(9, 'UTC'))"
    case 'integer':
      return 'Nullable(Int64)'
    case 'number':
      return 'Nullable(Float64)'
    case 'boolean':
      return 'Nullable(UInt8)'
    case 'list':
      return 'Array(String)'
    case 'json':
      return 'String'
  }
}

function columnKind(field: EventField): ColumnKind {
  const spec: FieldSpec = eventFields[field]
  switch (spec.type) {
    case 'timestamp':
      return alwaysPresent.has(field) ? 'time' : 'nullable_time'
    case 'integer':
      return 'nullable_int64'
    case 'number':
      return 'nullable_float64'
    case 'boolean':
      return 'nullable_bool'
    case 'list':
      return 'strings'
    default:
      return 'string'
  }
}

const zstd = 'ZSTD(1)'
const rising = 'Delta, ZSTD(1)'

function column(name: string, type: string, kind: ColumnKind, codec?: string): Column {
  return { name, type, kind, codec, absent: absentByte(kind) }
}

const fieldColumns: readonly Column[] = eventFieldNames
  .filter((field) => field !== 'log.id')
  .map((field) => {
    const type = columnType(field)
    const codec = type.includes('DateTime64') ? rising : type.startsWith('Low') ? undefined : zstd
    return column(columnOf(field), type, columnKind(field), codec)
  })

const derivedColumns: readonly Column[] = [
  column('present', 'Array(LowCardinality(String))', 'strings', zstd),
  column('argument_paths', 'Array(String)', 'strings', zstd),
  column('argument_values', 'Array(String)', 'strings', zstd),
  column('search_text', 'String', 'string', zstd),
]

/** Columns that `observations` and `calls` share: what the event says, and what is derived from it. */
export const eventColumns: readonly Column[] = [...fieldColumns, ...derivedColumns]

/** Columns of `observations`: one row a leaf, identified by (log_id, leaf_index). */
export const observationColumns: readonly Column[] = [
  column('log_id', 'LowCardinality(String)', 'string'),
  column('leaf_index', 'UInt64', 'uint64', rising),
  column('leaf_hash', 'FixedString(32)', 'hash', 'NONE'),
  ...eventColumns,
]

/**
 * Columns of `calls`. `leaf_index` is the first observation; `fold_leaf_index` the leaf up to which the fold had read
 * when it emitted the row.
 */
export const callColumns: readonly Column[] = [
  column('log_id', 'LowCardinality(String)', 'string'),
  column('leaf_index', 'UInt64', 'uint64', rising),
  column('fold_leaf_index', 'UInt64', 'uint64', rising),
  column('call_id', 'String', 'string', zstd),
  column('call_version', 'UInt32', 'uint32', zstd),
  column('sign', 'Int8', 'int8', zstd),
  column('observation_indexes', 'Array(UInt64)', 'uint64s', zstd),
  ...eventColumns,
]

/** Fields in the order of their columns; their position there. */
const rowFields: readonly EventField[] = eventFieldNames.filter((field) => field !== 'log.id')
const rowPosition: ReadonlyMap<string, number> = new Map(rowFields.map((field, at) => [field, at]))
const isJson: readonly boolean[] = rowFields.map((field) => eventFields[field].type === 'json')
/** Position of the first derived column. */
const derivedAt = rowFields.length

/** Where the values of one event are put in the order of their columns; empty between two calls. */
const places: (ColumnValue | undefined)[] = new Array(rowFields.length).fill(undefined)

/**
 * What a table may hold of an event. The details of administration are hashes of passwords, secrets of second factors
 * and the like: they stay in the ledger, sealed, and a table has only who did what to whom.
 */
function projectable(event: RecordedEvent): RecordedEvent {
  if (event['log.id'] !== systemLogId || event['admin.details'] === undefined) return event
  const { 'admin.details': _, ...rest } = event
  return rest
}

/**
 * What the columns of an event hold, by their position in {@link eventColumns}, derived from nothing but the event. An
 * empty list of a derived column counts as absent: both are the same bytes.
 */
export function toEventRow(event: RecordedEvent): SparseRow {
  // An event has thirty of 130 fields: going through its own ones takes a third of the time.
  for (const field of Object.keys(event)) {
    const at = rowPosition.get(field)
    const value: unknown = event[field as keyof RecordedEvent]
    if (at === undefined || value === undefined) continue
    places[at] = isJson[at] ? canonicalJson(jsonValue(value)) : scalar(value)
  }
  const present: string[] = event['log.id'] === undefined ? [] : ['log.id']
  const positions: number[] = []
  const values: ColumnValue[] = []
  for (let at = 0; at < places.length; at++) {
    const value = places[at]
    if (value === undefined) continue
    places[at] = undefined
    positions.push(at)
    values.push(value)
    present.push(rowFields[at] ?? '')
  }
  positions.push(derivedAt)
  values.push(present)
  const args = event['gen_ai.tool.call.arguments']
  const flat = args === undefined ? undefined : flattenJson(args)
  if (flat !== undefined && flat.paths.length > 0) {
    positions.push(derivedAt + 1, derivedAt + 2)
    values.push(flat.paths, flat.values)
  }
  positions.push(derivedAt + 3)
  values.push(searchText(event))
  return { positions, values }
}

/** Fields of type json hold JSON by their schema; canonicalJson refuses anything else. */
function jsonValue(value: unknown): JsonValue {
  return value as JsonValue
}

/** Fields of the other types hold these by their schemas. */
function scalar(value: unknown): ColumnValue {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    return value
  }
  return Array.isArray(value) ? value.map(String) : String(value)
}

/** An observation and the call of which it is the only one hold the same event: its row is made once. */
const eventRows = new WeakMap<RecordedEvent, SparseRow>()

function eventRowOf(event: RecordedEvent): SparseRow {
  let row = eventRows.get(event)
  if (row === undefined) {
    row = toEventRow(projectable(event))
    eventRows.set(event, row)
  }
  return row
}

function tableRow(lead: readonly ColumnValue[], event: RecordedEvent): SparseRow {
  const row = eventRowOf(event)
  const positions: number[] = []
  for (let at = 0; at < lead.length; at++) positions.push(at)
  for (const at of row.positions) positions.push(lead.length + at)
  return { positions, values: [...lead, ...row.values] }
}

/** The row of a leaf in {@link observationColumns}. */
export function observationRow(leaf: CommittedLeaf): SparseRow {
  return tableRow([leaf.logId, leaf.index, leaf.leafHash], leaf.event)
}

/** The row in {@link callColumns} of a state of a call, added (1) or taken back (-1). */
export function callRow(call: Call, sign: 1 | -1, foldLeafIndex: number): SparseRow {
  const { logId, observations, callId, version, event } = call
  return tableRow(
    [logId, observations[0] ?? 0, foldLeafIndex, callId, version, sign, observations],
    event,
  )
}

/** Appends a row in RowBinary, all columns: what the digest of a row is taken over. */
export function writeRow(
  writer: RowBinaryWriter,
  columns: readonly Column[],
  { positions, values }: SparseRow,
): void {
  let next = 0
  for (let at = 0; at < columns.length; at++) {
    const column = columns[at]
    if (column === undefined) continue
    const value = positions[next] === at ? values[next++] : undefined
    if (value === undefined) writer.writeAbsent(column.absent)
    else writer.write(column.kind, value)
  }
}
