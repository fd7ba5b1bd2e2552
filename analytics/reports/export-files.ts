import type { EventFields } from '../../schemas/event/event.ts'
import { type EventField, eventFieldNames, eventFields } from '../../schemas/event/fields.ts'

/** Columns of the CSV: everything that is not a whole document; those are in the NDJSON. */
const csvFields: readonly EventField[] = eventFieldNames.filter((field) => {
  const { type } = eventFields[field]
  return field === 'gen_ai.tool.call.arguments' || (type !== 'json' && field !== 'raw.record')
})

export function csvHeader(): string {
  return csvLine(['leaf_index', ...csvFields])
}

export function csvRow(leafIndex: number, event: EventFields): string {
  return csvLine([
    String(leafIndex),
    ...csvFields.map((field) => {
      const value = event[field]
      if (value === undefined) return ''
      return typeof value === 'string'
        ? value
        : Array.isArray(value)
          ? value.join(' ')
          : JSON.stringify(value)
    }),
  ])
}

/** RFC 4180 line. Cells that a spreadsheet would take for a formula are prefixed with an apostrophe. */
export function csvLine(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

const formulaStart = /^\s*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]/

function csvCell(text: string): string {
  const safe = text
    .split(/(\r\n|\n|\r)/)
    .map((part) => (formulaStart.test(part) && part.trim() !== '' ? `'${part}` : part))
    .join('')
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
