import type { CommittedLeaf } from '../../ledger/committed.ts'
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

/** Values of one event in the order of its columns; undefined for a field that it has not. */
export type EventRow = readonly (ColumnValue | undefined)[]

const none: readonly string[] = []

/** What the columns of an event hold, derived from nothing but the event. */
export function toEventRow(event: RecordedEvent): EventRow {
  const row: (ColumnValue | undefined)[] = new Array(rowFields.length).fill(undefined)
  // An event has thirty of 130 fields: going through its own ones takes a third of the time.
  for (const field of Object.keys(event)) {
    const at = rowPosition.get(field)
    const value: unknown = event[field as keyof RecordedEvent]
    if (at === undefined || value === undefined) continue
    row[at] = isJson[at] ? canonicalJson(jsonValue(value)) : scalar(value)
  }
  const present: string[] = event['log.id'] === undefined ? [] : ['log.id']
  for (let at = 0; at < rowFields.length; at++) {
    const field = rowFields[at]
    if (field !== undefined && row[at] !== undefined) present.push(field)
  }
  const args = event['gen_ai.tool.call.arguments']
  const flat = args === undefined ? undefined : flattenJson(args)
  row.push(present, flat?.paths ?? none, flat?.values ?? none, searchText(event))
  return row
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

/** Appends the row of a leaf in RowBinary: what is inserted, and what the digest of a row is taken over. */
export function writeObservation(writer: RowBinaryWriter, leaf: CommittedLeaf): void {
  writer.write('string', leaf.logId)
  writer.write('uint64', leaf.index)
  writer.write('hash', leaf.leafHash)
  writeEvent(writer, leaf.event)
}

/** Appends the row of a state of a call, added (1) or taken back (-1). */
export function writeCall(
  writer: RowBinaryWriter,
  call: Call,
  sign: 1 | -1,
  foldLeafIndex: number,
): void {
  writer.write('string', call.logId)
  writer.write('uint64', call.observations[0] ?? 0)
  writer.write('uint64', foldLeafIndex)
  writer.write('string', call.callId)
  writer.write('uint32', call.version)
  writer.write('int8', sign)
  writer.write('uint64s', call.observations)
  writeEvent(writer, call.event)
}

/** An observation and the call of which it is the only one hold the same event: it is encoded once. */
const encodedEvents = new WeakMap<RecordedEvent, Uint8Array>()

function writeEvent(writer: RowBinaryWriter, event: RecordedEvent): void {
  const known = encodedEvents.get(event)
  if (known !== undefined) {
    writer.append(known)
    return
  }
  const from = writer.sizeBytes
  const row = toEventRow(event)
  for (let at = 0; at < eventColumns.length; at++) {
    const column = eventColumns[at]
    if (column === undefined) continue
    const value = row[at]
    if (value === undefined) writer.writeAbsent(column.absent)
    else writer.write(column.kind, value)
  }
  encodedEvents.set(event, Buffer.from(writer.written(from)))
}
