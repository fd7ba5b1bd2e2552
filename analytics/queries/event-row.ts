import type { EventRow } from '../../schemas/api/search.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import { EventFields } from '../../schemas/event/event.ts'
import {
  type EventField,
  eventFieldNames,
  eventFields,
  type SealedGroup,
} from '../../schemas/event/fields.ts'
import { columnOf } from '../store/event-columns.ts'

/** Longest text in a list; whole texts come with the event. */
const listTextChars = 512

/** Fields of the list view. Results, raw records and attributes are only in the drawer, from the ledger itself. */
const hiddenInLists: ReadonlySet<EventField> = new Set([
  'raw.record',
  'gen_ai.tool.call.result',
  'attributes',
  'tool.list',
  'redactions',
  'finding.explanation',
])

/** Fields that a list shows to somebody who may see these groups. */
export function listFields(groups: ReadonlySet<SealedGroup>): readonly EventField[] {
  return eventFieldNames.filter((field) => {
    const group = eventFields[field].group
    return !hiddenInLists.has(field) && (group === 'clear' || groups.has(group))
  })
}

/**
 * SELECT list for rows: one column a field as `out_<column>` (an alias that is a column's name would replace it in WHERE), JSON texts cut in the engine so that a page of
 * rows stays small.
 */
export function rowSelect(fields: readonly EventField[]): string {
  const columns = fields.map((field) => {
    const column = columnOf(field)
    const type = eventFields[field].type
    if (type === 'json' || type === 'string') {
      return `substringUTF8(${column}, 1, ${listTextChars + 1}) AS out_${column}`
    }
    if (type === 'timestamp') return `toString(${column}) AS out_${column}`
    return `${column} AS out_${column}`
  })
  return ['log_id', 'toString(leaf_index) AS out_leaf_index', 'present', ...columns].join(', ')
}

export type StoredRow = Readonly<Record<string, unknown>>

/** Reads a stored row back into canonical fields. What a field of JSON type lost to cutting is shown as text. */
export function readRow(row: StoredRow, fields: readonly EventField[]): EventRow {
  const present = new Set(readStrings(row['present']))
  const event: Record<string, unknown> = {}
  const cut: string[] = []
  for (const field of fields) {
    if (!present.has(field)) continue
    const raw = row[`out_${columnOf(field)}`]
    const value = readValue(field, raw)
    if (value === undefined) continue
    if (typeof raw === 'string' && raw.length > listTextChars && isLong(field)) cut.push(field)
    event[field] = value
  }
  const parsed = EventFields.safeParse(event)
  if (!parsed.success) {
    throw new SealtrailError(
      'STORE_UNAVAILABLE',
      'the columnar store holds a row that is no event',
      {
        hint: 'Run sealtrail rebuild.',
      },
    )
  }
  return {
    logId: String(row['log_id']),
    leafIndex: Number(row['out_leaf_index']),
    eventId: parsed.data['event.id'] ?? '',
    event: parsed.data,
    cut,
    findings: readStrings(row['finding_ids']),
  }
}

function isLong(field: EventField): boolean {
  const type = eventFields[field].type
  return type === 'json' || type === 'string'
}

function readValue(field: EventField, raw: unknown): unknown {
  if (raw === null || raw === undefined) return undefined
  switch (eventFields[field].type) {
    case 'integer':
    case 'number':
      return Number(raw)
    case 'boolean':
      return raw === true || raw === 1 || raw === '1' || raw === 'true'
    case 'timestamp':
      return `${String(raw).replace(' ', 'T')}Z`
    case 'list':
      return readStrings(raw)
    case 'json':
      return readJson(String(raw))
    default:
      return typeof raw === 'string'
        ? raw.slice(0, isLong(field) ? listTextChars : raw.length)
        : raw
  }
}

/** A JSON text, parsed when it is whole, else its beginning as text. */
function readJson(text: string): unknown {
  if (text.length > listTextChars) return text.slice(0, listTextChars)
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function readStrings(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}
