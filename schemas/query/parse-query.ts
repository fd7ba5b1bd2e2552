import { SealtrailError } from '../errors.ts'
import { eventFieldNames, isEventField } from '../event/fields.ts'
import {
  type Comparison,
  maxQueryChars,
  maxQueryConditions,
  maxQueryDepth,
  type Query,
  type QueryTarget,
  type QueryValue,
  queryAliases,
  type Span,
} from './query.ts'

/**
 * Parses the query language: `field:value`, comparisons, ranges, wildcards, phrases, free text, AND OR NOT.
 *
 * ```
 * query = and { ("OR" | "||") and }     and  = not { ["AND" | "&&"] not }
 * not   = { "NOT" | "!" | "-" } prim    prim = "(" query ")" | condition | text
 * condition = field ":" ( value | "(" value { ["OR" | ","] value } ")" | range | "*" ) | field comparison value
 * range = ("[" | "{") value "TO" value ("]" | "}")
 * ```
 *
 * `-` negates only before a field, a group or a quote, so that `rm -rf` is two words. A value runs to white space or
 * a closing parenthesis that it did not open, so that `url:https://x/y?a=1` is one value.
 *
 * @throws SealtrailError `QUERY_INVALID` with `details.span`.
 */
export function parseQuery(text: string): Query {
  if (text.length > maxQueryChars) {
    throw invalid(`the query is longer than ${maxQueryChars} characters`, {
      from: maxQueryChars,
      until: text.length,
    })
  }
  return new Parser(text).parse()
}

const comparisons: readonly Comparison[] = ['!=', '>=', '<=', '>', '<', '=']
const fieldStart = /[A-Za-z_]/
const fieldChar = /[\w.[\]$@-]/
const blank = /\s/

class Parser {
  private readonly text: string
  private at = 0
  private conditions = 0

  constructor(text: string) {
    this.text = text
  }

  parse(): Query {
    this.skipBlank()
    if (this.at === this.text.length) return { kind: 'all' }
    const query = this.or(0)
    this.skipBlank()
    if (this.at < this.text.length) {
      throw invalid('this closing parenthesis has no opening one', this.spanFrom(this.at, 1))
    }
    return query
  }

  private or(depth: number): Query {
    if (depth > maxQueryDepth) {
      throw invalid(`the query is nested deeper than ${maxQueryDepth}`, this.spanFrom(this.at, 1))
    }
    const terms = [this.and(depth)]
    while (this.keyword('OR') || this.symbol('||')) terms.push(this.and(depth))
    return joined('or', terms)
  }

  private and(depth: number): Query {
    const terms = [this.not(depth)]
    for (;;) {
      if (this.keyword('AND') || this.symbol('&&')) {
        terms.push(this.not(depth))
        continue
      }
      this.skipBlank()
      if (this.ended() || this.peekKeyword('OR') || this.text.startsWith('||', this.at)) break
      terms.push(this.not(depth))
    }
    return joined('and', terms)
  }

  private not(depth: number): Query {
    let negated = false
    for (;;) {
      this.skipBlank()
      if (this.keyword('NOT')) negated = !negated
      else if (this.text[this.at] === '!' && this.text[this.at + 1] !== '=') {
        this.at++
        negated = !negated
      } else if (this.text[this.at] === '-' && this.negatesAt(this.at + 1)) {
        this.at++
        negated = !negated
      } else break
    }
    const term = this.primary(depth)
    return negated ? { kind: 'not', term } : term
  }

  /** True when a field, a group or a quote begins here: what `-` may negate. */
  private negatesAt(at: number): boolean {
    const char = this.text[at]
    return char === '(' || char === '"' || this.conditionHead(at) !== undefined
  }

  private primary(depth: number): Query {
    this.skipBlank()
    if (this.at >= this.text.length) {
      throw invalid('something is missing at the end', { from: this.at, until: this.at })
    }
    if (this.text[this.at] === '(') {
      const open = this.at++
      const query = this.or(depth + 1)
      this.skipBlank()
      if (this.text[this.at] !== ')') {
        throw invalid('this parenthesis is not closed', this.spanFrom(open, 1))
      }
      this.at++
      return query
    }
    if (++this.conditions > maxQueryConditions) {
      throw invalid(
        `the query has more than ${maxQueryConditions} conditions`,
        this.spanFrom(this.at, 1),
      )
    }
    const head = this.conditionHead(this.at)
    return head === undefined ? this.freeText() : this.condition(head)
  }

  /** A field name and its operator at this place; undefined for plain text. */
  private conditionHead(
    at: number,
  ): { name: string; from: number; operator: string; after: number } | undefined {
    if (!fieldStart.test(this.text[at] ?? '')) return undefined
    let end = at
    while (end < this.text.length && fieldChar.test(this.text[end] ?? '')) end++
    const name = this.text.slice(at, end)
    if (this.text[end] === ':') {
      // A scheme such as https:// is text, not a field.
      if (this.text.startsWith('//', end + 1) && !isQueryName(name)) return undefined
      return { name, from: at, operator: ':', after: end + 1 }
    }
    let operatorAt = end
    while (blank.test(this.text[operatorAt] ?? '')) operatorAt++
    const operator = comparisons.find((each) => this.text.startsWith(each, operatorAt))
    // `a < b` is a comparison only for a known field; otherwise it is three words of text.
    if (operator === undefined || !isQueryName(name)) return undefined
    return { name, from: at, operator, after: operatorAt + operator.length }
  }

  private condition(head: { name: string; from: number; operator: string; after: number }): Query {
    const nameSpan = { from: head.from, until: head.from + head.name.length }
    const targets = targetsOf(head.name, nameSpan)
    this.at = head.after
    let comparison: Comparison = '='
    if (head.operator === ':') {
      const nested = comparisons.find((each) => this.text.startsWith(each, this.at))
      if (nested !== undefined) {
        comparison = nested
        this.at += nested.length
      }
    } else {
      comparison = comparisons.find((each) => each === head.operator) ?? '='
    }
    if (head.operator !== ':' || comparison !== '=') this.skipBlank()
    const char = this.text[this.at]
    if (head.operator === ':' && comparison === '=' && (char === '[' || char === '{')) {
      return this.range(head.from, targets)
    }
    if (comparison === '=' && char === '*' && this.valueEndsAt(this.at + 1)) {
      this.at++
      const span = { from: head.from, until: this.at }
      return anyOf(targets, (target) => ({ kind: 'exists', target, span }))
    }
    const values = char === '(' ? this.valueList() : [this.value()]
    const span = { from: head.from, until: this.at }
    const [first] = values
    if (
      comparison !== '=' &&
      comparison !== '!=' &&
      (values.length !== 1 || first?.kind === 'wildcard')
    ) {
      throw invalid(`${comparison} takes one value without *`, span)
    }
    if (comparison === '!=') {
      return {
        kind: 'not',
        term: anyOf(targets, (target) => ({
          kind: 'condition',
          target,
          comparison: '=',
          values,
          span,
        })),
      }
    }
    return anyOf(targets, (target) => ({ kind: 'condition', target, comparison, values, span }))
  }

  private range(from: number, targets: readonly QueryTarget[]): Query {
    const lowInclusive = this.text[this.at++] === '['
    this.skipBlank()
    const low = this.rangeEnd()
    if (!this.keyword('TO'))
      throw invalid('a range needs TO between its ends', this.spanFrom(this.at, 1))
    this.skipBlank()
    const high = this.rangeEnd()
    this.skipBlank()
    const close = this.text[this.at]
    if (close !== ']' && close !== '}')
      throw invalid('this range is not closed', { from, until: this.at })
    this.at++
    const span = { from, until: this.at }
    return anyOf(targets, (target) => ({
      kind: 'range',
      target,
      low,
      high,
      lowInclusive,
      highInclusive: close === ']',
      span,
    }))
  }

  private rangeEnd(): QueryValue | undefined {
    const value = this.value(/[\s\]}]/)
    return value.kind === 'wildcard' && value.text === '*' ? undefined : value
  }

  private valueList(): QueryValue[] {
    const open = this.at++
    const values: QueryValue[] = []
    for (;;) {
      this.skipBlank()
      while (this.text[this.at] === ',' || this.keyword('OR')) {
        if (this.text[this.at] === ',') this.at++
        this.skipBlank()
      }
      if (this.at >= this.text.length)
        throw invalid('this parenthesis is not closed', this.spanFrom(open, 1))
      if (this.text[this.at] === ')') break
      if (values.length >= maxQueryConditions) {
        throw invalid(`a list takes at most ${maxQueryConditions} values`, this.spanFrom(open, 1))
      }
      values.push(this.value(/[\s,)]/))
    }
    this.at++
    if (values.length === 0) throw invalid('this list is empty', { from: open, until: this.at })
    return values
  }

  private freeText(): Query {
    const value = this.value()
    return { kind: 'text', value, span: value.span }
  }

  private value(stop: RegExp = blank): QueryValue {
    const from = this.at
    if (this.text[from] === '"') return this.quoted(from)
    let open = 0
    while (this.at < this.text.length) {
      const char = this.text[this.at] ?? ''
      if (stop.test(char)) break
      if (char === '(') open++
      else if (char === ')' && open-- === 0) break
      this.at++
    }
    const text = this.text.slice(from, this.at)
    const span = { from, until: this.at }
    if (text === '') throw invalid('a value is missing here', span)
    return { text, kind: text.includes('*') ? 'wildcard' : 'exact', span }
  }

  private quoted(from: number): QueryValue {
    let text = ''
    for (this.at = from + 1; this.at < this.text.length; this.at++) {
      const char = this.text[this.at]
      if (char === '"') {
        this.at++
        return { text, kind: 'exact', span: { from, until: this.at } }
      }
      if (char === '\\' && this.at + 1 < this.text.length) this.at++
      text += this.text[this.at]
    }
    throw invalid('this quote is not closed', this.spanFrom(from, 1))
  }

  private valueEndsAt(at: number): boolean {
    const char = this.text[at]
    return char === undefined || blank.test(char) || char === ')'
  }

  private ended(): boolean {
    return this.at >= this.text.length || this.text[this.at] === ')'
  }

  private keyword(word: string): boolean {
    this.skipBlank()
    if (!this.peekKeyword(word)) return false
    this.at += word.length
    return true
  }

  private peekKeyword(word: string): boolean {
    const end = this.at + word.length
    const next = this.text[end]
    return (
      this.text.slice(this.at, end).toUpperCase() === word &&
      (next === undefined || blank.test(next) || next === '(' || next === ')' || next === '"')
    )
  }

  private symbol(symbol: string): boolean {
    this.skipBlank()
    if (!this.text.startsWith(symbol, this.at)) return false
    this.at += symbol.length
    return true
  }

  private skipBlank(): void {
    while (this.at < this.text.length && blank.test(this.text[this.at] ?? '')) this.at++
  }

  private spanFrom(from: number, length: number): Span {
    return { from, until: Math.min(from + length, this.text.length) }
  }
}

function joined(kind: 'and' | 'or', terms: readonly Query[]): Query {
  const [only] = terms
  return terms.length === 1 && only !== undefined ? only : { kind, terms }
}

function anyOf(targets: readonly QueryTarget[], make: (target: QueryTarget) => Query): Query {
  return joined('or', targets.map(make))
}

function isQueryName(name: string): boolean {
  return isEventField(name) || Object.hasOwn(queryAliases, name) || pathOf(name) !== undefined
}

function pathOf(name: string): QueryTarget | undefined {
  const match = /^(args|arguments|result)\.(.+)$/.exec(name)
  const path = match?.[2]
  if (match === null || path === undefined || isEventField(name)) return undefined
  return { kind: 'path', root: match[1] === 'result' ? 'result' : 'arguments', path }
}

function targetsOf(name: string, span: Span): readonly QueryTarget[] {
  const path = pathOf(name)
  if (path !== undefined) return [path]
  if (isEventField(name)) return [{ kind: 'field', field: name }]
  const alias = Object.hasOwn(queryAliases, name) ? queryAliases[name] : undefined
  if (alias !== undefined) return alias.map((field) => ({ kind: 'field', field }))
  const near = nearestName(name)
  throw invalid(
    `there is no field ${JSON.stringify(name)}${near === undefined ? '' : `; did you mean ${near}?`}`,
    span,
  )
}

/** Closest known name by shared prefix or containment: cheap, and good enough for a hint. */
function nearestName(name: string): string | undefined {
  const lower = name.toLowerCase()
  const known = [...Object.keys(queryAliases), ...eventFieldNames]
  return (
    known.find((each) => each.toLowerCase() === lower) ??
    known.find((each) => each.startsWith(lower)) ??
    known.find((each) => lower.length >= 3 && each.includes(lower))
  )
}

function invalid(message: string, span: Span): SealtrailError {
  return new SealtrailError('QUERY_INVALID', message, { details: { span } })
}
