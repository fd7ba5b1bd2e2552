import { parseQuery } from '../../schemas/query/parse-query.ts'
import { queryAliases } from '../../schemas/query/query.ts'

/** A condition of a query as it is written, with its half-open range of UTF-16 offsets. */
export interface QueryTerm {
  readonly text: string
  readonly from: number
  readonly until: number
}

/**
 * The conditions that a query joins by AND, so that each can be shown and removed by itself. A query with OR at the
 * top is one condition, and so is one that cannot be parsed.
 */
export function queryTerms(query: string): readonly QueryTerm[] {
  const words = topLevelWords(query)
  if (hasOr(words) || !isValid(query)) {
    const text = query.trim()
    if (text === '') return []
    const from = query.indexOf(text)
    return [{ text, from, until: from + text.length }]
  }
  const terms: QueryTerm[] = []
  let begin: number | undefined
  for (const [at, word] of words.entries()) {
    if (/^(?:AND|&&)$/i.test(word.text)) continue
    begin ??= word.from
    const next = words[at + 1]
    // `NOT x` and `latency > 2` are several words and one condition.
    const goesOn =
      /^NOT$/i.test(word.text) ||
      (next !== undefined && (/^(?:!=|[<>=])/.test(next.text) || /[<>=:]$/.test(word.text)))
    if (goesOn && next !== undefined) continue
    terms.push({ text: query.slice(begin, word.until), from: begin, until: word.until })
    begin = undefined
  }
  return terms
}

/** True when two conditions ask the same, however they are written: `server:mail` and `mcp.server.name:"mail"`. */
export function sameTerm(a: string, b: string): boolean {
  return a === b || meaningOf(a) === meaningOf(b)
}

/** The condition among those of the query that asks the same. */
export function termIn(query: string, term: string): QueryTerm | undefined {
  return queryTerms(query).find(({ text }) => sameTerm(text, term))
}

/** The parsed condition without its places in the text; the text itself when it cannot be parsed. */
function meaningOf(term: string): string {
  try {
    return JSON.stringify(parseQuery(term), (key, value: unknown) =>
      key === 'span' ? undefined : value,
    )
  } catch {
    return term
  }
}

/** True when the query says something of the class of events: then those that Sealtrail wrote are found too. */
export function namesClass(query: string): boolean {
  return meaningOf(query).includes('"field":"event.class"')
}

/** The query with one more condition. A condition that says the opposite goes; one that is there stays single. */
export function withTerm(query: string, term: string): string {
  const trimmed = query.trim()
  if (trimmed === '') return term
  if (termIn(trimmed, term) !== undefined) return trimmed
  const contrary = termIn(trimmed, term.startsWith('-') ? term.slice(1) : `-${term}`)
  const base = contrary === undefined ? trimmed : withoutTerm(trimmed, contrary)
  if (base === '') return term
  return isValid(base) && hasOr(topLevelWords(base)) ? `(${base}) ${term}` : `${base} ${term}`
}

/** The query without one of its {@link queryTerms}. */
export function withoutTerm(query: string, term: QueryTerm): string {
  const before = query.slice(0, term.from).replace(/\s*(?:\b(?:AND|&&)\s*)?$/i, '')
  const after = query.slice(term.until).replace(/^\s*(?:(?:AND\b|&&)\s*)?/i, '')
  return `${before} ${after}`.trim()
}

const shortNames: ReadonlyMap<string, string> = new Map(
  Object.entries(queryAliases).flatMap(([alias, fields]) =>
    fields.length === 1 && fields[0] !== undefined ? [[fields[0], alias] as const] : [],
  ),
)

/** A condition for a value. What could be read as syntax is quoted, so that values stay values. */
export function termOf(field: string, value: string): string {
  const name = shortNames.get(field) ?? field
  const plain = /^[\w./@-]+$/.test(value) && !/^(?:AND|OR|NOT|TO)$/i.test(value)
  if (plain) return `${name}:${value}`
  return `${name}:"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`
}

function isValid(query: string): boolean {
  try {
    parseQuery(query)
    return true
  } catch {
    return false
  }
}

function hasOr(words: readonly QueryTerm[]): boolean {
  return words.some(({ text }) => /^(?:OR|\|\|)$/i.test(text))
}

/** Words outside of quotes, groups and ranges. */
function topLevelWords(query: string): QueryTerm[] {
  const words: QueryTerm[] = []
  let from: number | undefined
  let depth = 0
  let quoted = false
  for (let at = 0; at <= query.length; at++) {
    const char = query[at]
    if (char === undefined || (/\s/.test(char) && depth <= 0 && !quoted)) {
      if (from !== undefined) words.push({ text: query.slice(from, at), from, until: at })
      from = undefined
      continue
    }
    from ??= at
    if (quoted) {
      if (char === '\\') at++
      else if (char === '"') quoted = false
    } else if (char === '"') quoted = true
    else if ('([{'.includes(char)) depth++
    else if (')]}'.includes(char)) depth--
  }
  return words
}
