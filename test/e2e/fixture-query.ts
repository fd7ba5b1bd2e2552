import type { EventFields } from '../../schemas/event/event.ts'
import { isEventField } from '../../schemas/event/fields.ts'
import type { Query, QueryTarget, QueryValue } from '../../schemas/query/query.ts'

/** Whether an event matches a query: plain and slow, on a few hundred events. */
export function matches(query: Query, event: EventFields): boolean {
  switch (query.kind) {
    case 'all':
      return true
    case 'and':
      return query.terms.every((term) => matches(term, event))
    case 'or':
      return query.terms.some((term) => matches(term, event))
    case 'not':
      return !matches(query.term, event)
    case 'exists':
      return valuesOf(query.target, event).length > 0
    case 'text':
      return JSON.stringify(event).toLowerCase().includes(query.value.text.toLowerCase())
    case 'range':
      return valuesOf(query.target, event).some(
        (value) =>
          (query.low === undefined || compare(value, query.low.text) >= 0) &&
          (query.high === undefined || compare(value, query.high.text) <= 0),
      )
    case 'condition':
      return valuesOf(query.target, event).some((value) =>
        query.values.some((wanted) => holds(query.comparison, value, wanted)),
      )
  }
}

function holds(comparison: string, value: string, wanted: QueryValue): boolean {
  const order = compare(value, wanted.text)
  switch (comparison) {
    case '>':
      return order > 0
    case '>=':
      return order >= 0
    case '<':
      return order < 0
    case '<=':
      return order <= 0
    default:
      return wanted.kind === 'wildcard' ? wildcard(wanted.text).test(value) : value === wanted.text
  }
}

function wildcard(text: string): RegExp {
  const parts = text.split('*').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 'is')
}

function compare(a: string, b: string): number {
  const difference = Number(a) - Number(b)
  return Number.isNaN(difference) ? a.localeCompare(b) : difference
}

function valuesOf(target: QueryTarget, event: EventFields): string[] {
  if (target.kind === 'path') {
    let value: unknown =
      event[target.root === 'result' ? 'gen_ai.tool.call.result' : 'gen_ai.tool.call.arguments']
    for (const key of target.path.split('.')) {
      value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
    }
    return value === undefined ? [] : [String(value)]
  }
  if (!isEventField(target.field)) return []
  const value = event[target.field]
  if (value === undefined) return []
  return Array.isArray(value) ? value.map(String) : [String(value)]
}
