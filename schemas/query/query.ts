/** Half-open range of UTF-16 offsets in the query text. */
export interface Span {
  readonly from: number
  readonly until: number
}

export type Comparison = '=' | '!=' | '>' | '>=' | '<' | '<='

/**
 * A value as written. `wildcard` values hold `*`; quoting turns wildcards off.
 */
export interface QueryValue {
  readonly text: string
  readonly kind: 'exact' | 'wildcard'
  readonly span: Span
}

/** Where a condition looks: a canonical field, or a path into arguments or result. */
export type QueryTarget =
  | { readonly kind: 'field'; readonly field: string }
  | { readonly kind: 'path'; readonly root: 'arguments' | 'result'; readonly path: string }

/** A parsed query. Precedence NOT > AND > OR; adjacency is AND. */
export type Query =
  | { readonly kind: 'all' }
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Query[] }
  | { readonly kind: 'not'; readonly term: Query }
  | {
      readonly kind: 'condition'
      readonly target: QueryTarget
      readonly comparison: Comparison
      /** Any of these, for `=` and `!=`; exactly one otherwise. */
      readonly values: readonly QueryValue[]
      readonly span: Span
    }
  | {
      readonly kind: 'range'
      readonly target: QueryTarget
      readonly low: QueryValue | undefined
      readonly high: QueryValue | undefined
      readonly lowInclusive: boolean
      readonly highInclusive: boolean
      readonly span: Span
    }
  | { readonly kind: 'exists'; readonly target: QueryTarget; readonly span: Span }
  | { readonly kind: 'text'; readonly value: QueryValue; readonly span: Span }

/** Limits that keep a query cheap to parse and to compile. */
export const maxQueryChars = 4096
export const maxQueryDepth = 32
export const maxQueryConditions = 256

/** Short names for the fields that people type most. Every canonical field name works too. */
export const queryAliases: Readonly<Record<string, readonly string[]>> = {
  id: ['event.id'],
  class: ['event.class'],
  disposition: ['record.disposition'],
  user: ['user.name', 'user.email', 'user.id'],
  client: ['mcp.client.name', 'mcp.client.id'],
  agent: ['gen_ai.agent.name', 'gen_ai.agent.id'],
  server: ['mcp.server.name'],
  tool: ['gen_ai.tool.name'],
  method: ['mcp.method.name'],
  outcome: ['outcome.status'],
  scope: ['auth.scopes.granted', 'auth.scopes.required', 'auth.scopes.requested'],
  workflow: ['workflow.id'],
  source: ['source.id'],
  host: ['host.name'],
  latency: ['duration_ms'],
  error: ['error.type', 'error.message'],
  trace: ['trace_id'],
  conversation: ['gen_ai.conversation.id'],
  definition: ['tool.definition_hash'],
  product: ['source.product'],
  mapping: ['mapping.id'],
}
