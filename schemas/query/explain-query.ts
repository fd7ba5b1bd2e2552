import type { Query, QueryTarget, QueryValue } from './query.ts'

const comparisonWords = {
  '=': 'is',
  '!=': 'is not',
  '>': 'is above',
  '>=': 'is at least',
  '<': 'is below',
  '<=': 'is at most',
} as const

/** The query in plain English, so that a person sees how it was understood. */
export function explainQuery(query: Query): string {
  switch (query.kind) {
    case 'all':
      return 'everything'
    case 'and':
    case 'or':
      return query.terms.map((term) => nested(term)).join(` ${query.kind} `)
    case 'not':
      return `not ${nested(query.term)}`
    case 'condition': {
      const values = query.values.map(shown)
      return `${name(query.target)} ${comparisonWords[query.comparison]} ${values.join(' or ')}`
    }
    case 'range': {
      const low = query.low === undefined ? 'anything' : shown(query.low)
      const high = query.high === undefined ? 'anything' : shown(query.high)
      return `${name(query.target)} is between ${low} and ${high}`
    }
    case 'exists':
      return `${name(query.target)} is known`
    case 'text':
      return `the text holds ${shown(query.value)}`
  }
}

function nested(query: Query): string {
  const text = explainQuery(query)
  return query.kind === 'and' || query.kind === 'or' ? `(${text})` : text
}

function name(target: QueryTarget): string {
  return target.kind === 'field' ? target.field : `${target.root}.${target.path}`
}

function shown(value: QueryValue): string {
  return JSON.stringify(value.text)
}
