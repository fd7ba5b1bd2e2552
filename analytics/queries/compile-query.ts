import { SealtrailError } from '../../schemas/errors.ts'
import {
  type EventField,
  eventFields,
  type FieldType,
  isEventField,
  type SealedGroup,
  sealedGroups,
} from '../../schemas/event/fields.ts'
import { normaliseTimestamp, timestampFromMs } from '../../schemas/event/timestamp.ts'
import type { Comparison, Query, QueryTarget, QueryValue, Span } from '../../schemas/query/query.ts'
import { columnOf } from '../store/event-columns.ts'
import { searchTokens } from '../store/search-text.ts'

/** A condition in SQL with bound parameters. Text of a query never becomes SQL text. */
export interface CompiledQuery {
  readonly sql: string
  readonly params: Readonly<Record<string, unknown>>
}

export interface CompileOptions {
  /** Sealed groups that may be asked about. */
  readonly groups: ReadonlySet<SealedGroup>
  /** Now, Unix milliseconds, for `now-1h`. */
  readonly nowMs: number
}

/**
 * Compiles a parsed query to a ClickHouse condition over the columns that `observations` and `calls` share.
 *
 * Column names come from the field catalogue alone; every value is a bound parameter.
 *
 * @throws SealtrailError `QUERY_INVALID` with the span of what does not fit the type of its field.
 * @throws SealtrailError `PERMISSION_DENIED` when the query asks about a field that the person may not see: a count
 *   would tell what a cell may not.
 */
export function compileQuery(query: Query, options: CompileOptions): CompiledQuery {
  return new Compiler(options).compile(query)
}

/** True when the query itself says which classes it wants; otherwise self-traffic is hidden. */
export function namesClass(query: Query): boolean {
  switch (query.kind) {
    case 'and':
    case 'or':
      return query.terms.some(namesClass)
    case 'not':
      return namesClass(query.term)
    case 'condition':
    case 'range':
    case 'exists':
      return query.target.kind === 'field' && query.target.field === 'event.class'
    default:
      return false
  }
}

class Compiler {
  private readonly options: CompileOptions
  private readonly params: Record<string, unknown> = {}
  private count = 0

  constructor(options: CompileOptions) {
    this.options = options
  }

  compile(query: Query): CompiledQuery {
    return { sql: this.expression(query), params: this.params }
  }

  private expression(query: Query): string {
    switch (query.kind) {
      case 'all':
        return '1'
      case 'and':
      case 'or':
        return `(${query.terms.map((term) => this.expression(term)).join(` ${query.kind.toUpperCase()} `)})`
      case 'not':
        return `NOT ${this.expression(query.term)}`
      case 'text':
        return this.text(query.value)
      case 'exists':
        return this.exists(query.target, query.span)
      case 'range':
        return this.range(query)
      case 'condition':
        return this.condition(query.target, query.comparison, query.values, query.span)
    }
  }

  private condition(
    target: QueryTarget,
    comparison: Comparison,
    values: readonly QueryValue[],
    span: Span,
  ): string {
    if (target.kind === 'path') return this.path(target, comparison, values, span)
    const field = this.permitted(target.field, span)
    const column = columnOf(field)
    const type = eventFields[field].type
    const parts = values.map((value) => this.compare(column, field, type, comparison, value))
    return parts.length === 1 ? (parts[0] ?? '0') : `(${parts.join(' OR ')})`
  }

  private compare(
    column: string,
    field: EventField,
    type: FieldType,
    comparison: Comparison,
    value: QueryValue,
  ): string {
    switch (type) {
      case 'integer':
      case 'number': {
        const number = readNumber(field, value)
        return `ifNull(${column} ${comparison} ${this.bind(number, 'Float64')}, 0)`
      }
      case 'timestamp':
        return `ifNull(${column} ${comparison} ${this.bind(this.instant(value), 'String')}::DateTime64(9, 'UTC'), 0)`
      case 'boolean': {
        if (comparison !== '=')
          throw wrong(`${field} is true or false and takes no ${comparison}`, value.span)
        return `ifNull(${column} = ${this.bind(readBoolean(field, value) ? 1 : 0, 'UInt8')}, 0)`
      }
      case 'list':
        if (comparison !== '=')
          throw wrong(`${field} is a list and takes no ${comparison}`, value.span)
        return value.kind === 'wildcard'
          ? `arrayExists(x -> x LIKE ${this.bind(likePattern(value.text), 'String')}, ${column})`
          : `has(${column}, ${this.bind(value.text, 'String')})`
      default:
        if (comparison !== '=') {
          return `ifNull(${column} ${comparison} ${this.bind(value.text, 'String')}, 0)`
        }
        return value.kind === 'wildcard'
          ? `ifNull(${column} LIKE ${this.bind(likePattern(value.text), 'String')}, 0)`
          : `ifNull(${column} = ${this.bind(value.text, 'String')}, 0)`
    }
  }

  /** Arguments are flattened into parallel arrays when they are projected, so that no query parses JSON. */
  private path(
    target: QueryTarget & { kind: 'path' },
    comparison: Comparison,
    values: readonly QueryValue[],
    span: Span,
  ): string {
    this.demandIndexedPath(target, span)
    if (comparison !== '=') throw wrong('a path takes = or a wildcard', span)
    const path = this.bind(target.path, 'String')
    const parts = values.map((value) => {
      const test =
        value.kind === 'wildcard'
          ? `v LIKE ${this.bind(likePattern(value.text), 'String')}`
          : `v = ${this.bind(value.text, 'String')}`
      return `arrayExists((p, v) -> p = ${path} AND ${test}, argument_paths, argument_values)`
    })
    return `(has(argument_paths, ${path}) AND (${parts.join(' OR ')}))`
  }

  private range(query: Query & { kind: 'range' }): string {
    const parts: string[] = []
    if (query.low !== undefined) {
      parts.push(
        this.condition(query.target, query.lowInclusive ? '>=' : '>', [query.low], query.span),
      )
    }
    if (query.high !== undefined) {
      parts.push(
        this.condition(query.target, query.highInclusive ? '<=' : '<', [query.high], query.span),
      )
    }
    return parts.length === 0 ? this.exists(query.target, query.span) : `(${parts.join(' AND ')})`
  }

  private demandIndexedPath(target: QueryTarget & { kind: 'path' }, span: Span): void {
    if (!this.options.groups.has(target.root)) throw denied(`${target.root}.${target.path}`)
    if (target.root !== 'arguments') {
      throw wrong('paths into results are not indexed; search results as text instead', span)
    }
  }

  private exists(target: QueryTarget, span: Span): string {
    if (target.kind === 'path') {
      this.demandIndexedPath(target, span)
      return `has(argument_paths, ${this.bind(target.path, 'String')})`
    }
    const field = this.permitted(target.field, span)
    return `has(present, ${this.bind(field, 'String')})`
  }

  /**
   * Free text looks for whole words, as the token index holds them; every word must occur. The indexed text holds words
   * of every sealed group, so whoever may not see all of them searches names of tools and servers only.
   */
  private text(value: QueryValue): string {
    const words = searchTokens(value.text)
    if (!sealedGroups.every((group) => this.options.groups.has(group))) {
      const pattern = this.bind(`%${escapeLike(value.text)}%`, 'String')
      return `(gen_ai_tool_name LIKE ${pattern} OR mcp_server_name LIKE ${pattern})`
    }
    if (words.length === 0)
      return `position(search_text, ${this.bind(value.text.toLowerCase(), 'String')}) > 0`
    const tokens = words.slice(0, 16).map((word) => this.bind(word, 'String'))
    const all = tokens.map((token) => `hasToken(search_text, ${token})`)
    // A phrase or anything with punctuation must also stand there as written.
    const exact = words.length > 1 || words[0] !== value.text.toLowerCase()
    if (value.kind === 'wildcard') {
      return `search_text LIKE ${this.bind(`%${likePattern(value.text.toLowerCase())}%`, 'String')}`
    }
    if (exact)
      all.push(`position(search_text, ${this.bind(value.text.toLowerCase(), 'String')}) > 0`)
    return `(${all.join(' AND ')})`
  }

  private permitted(name: string, span: Span): EventField {
    if (!isEventField(name)) throw wrong(`there is no field ${name}`, span)
    const group = eventFields[name].group
    if (group !== 'clear' && !this.options.groups.has(group)) throw denied(name)
    return name
  }

  private instant(value: QueryValue): string {
    const relative = /^now(?:-(\d{1,6})(s|m|h|d|w))?$/.exec(value.text)
    const text =
      relative === null
        ? normaliseTimestamp(value.text.length === 10 ? `${value.text}T00:00:00Z` : value.text)
        : timestampFromMs(
            // Nothing is older than the first instant that an event may carry.
            Math.max(0, this.options.nowMs - Number(relative[1] ?? 0) * unitMs(relative[2])),
          )
    if (text === undefined) {
      throw wrong('a time is RFC 3339, a date, or now-1h', value.span)
    }
    return text.replace('T', ' ').replace('Z', '')
  }

  private bind(value: unknown, type: string): string {
    const name = `q${this.count++}`
    this.params[name] = value
    return `{${name}:${type}}`
  }
}

const unitFactors: Readonly<Record<string, number>> = {
  us: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

function unitMs(unit: string | undefined): number {
  return unit === undefined ? 0 : (unitFactors[unit] ?? 0)
}

/** Numbers may carry a unit: durations for `duration_ms`, sizes for fields in bytes. */
function readNumber(field: EventField, value: QueryValue): number {
  const match = /^(-?\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(value.text)
  const number = Number(match?.[1])
  if (match === null || !Number.isFinite(number)) {
    throw wrong(`${field} is a number`, value.span)
  }
  const unit = match[2] ?? ''
  if (unit === '') return number
  const factor = field === 'duration_ms' ? unitFactors[unit] : sizeFactors[unit.toUpperCase()]
  if (factor === undefined) throw wrong(`${unit} is no unit of ${field}`, value.span)
  return number * factor
}

const sizeFactors: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
}

function readBoolean(field: EventField, value: QueryValue): boolean {
  if (value.text === 'true') return true
  if (value.text === 'false') return false
  throw wrong(`${field} is true or false`, value.span)
}

/** `*` of the query language as a LIKE pattern; `%`, `_` and backslash are literal. */
function likePattern(text: string): string {
  return escapeLike(text).replaceAll('*', '%')
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, (char) => `\\${char}`)
}

function wrong(message: string, span: Span): SealtrailError {
  return new SealtrailError('QUERY_INVALID', message, { details: { span } })
}

function denied(field: string): SealtrailError {
  return new SealtrailError('PERMISSION_DENIED', `your role may not ask about ${field}`)
}
