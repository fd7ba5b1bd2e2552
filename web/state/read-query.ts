import { isSealtrailError } from '../../schemas/errors.ts'
import { explainQuery } from '../../schemas/query/explain-query.ts'
import { parseQuery } from '../../schemas/query/parse-query.ts'
import type { Span } from '../../schemas/query/query.ts'

export interface QueryReading {
  /** The query in plain English; empty when there is a problem. */
  readonly explained: string
  readonly problem?: { readonly message: string; readonly span: Span | undefined }
}

/** How the query is understood, or what is wrong with it and where. */
export function readQuery(text: string): QueryReading {
  try {
    return { explained: explainQuery(parseQuery(text)) }
  } catch (error) {
    const span = isSealtrailError(error) ? error.details?.span : undefined
    const message = error instanceof Error ? error.message : String(error)
    return { explained: '', problem: { message, span: isSpan(span) ? span : undefined } }
  }
}

function isSpan(value: unknown): value is Span {
  return typeof value === 'object' && value !== null && 'from' in value && 'until' in value
}
