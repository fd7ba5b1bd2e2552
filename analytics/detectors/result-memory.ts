import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { RecentMap } from './novelty.ts'

const maxSessions = 512
const maxTokensPerSession = 4096
const maxResultChars = 65_536
const minTokenChars = 6

/**
 * Remembers the words of earlier results of a session, so that a value can be traced to the result that supplied it.
 * Words of at least six characters; bounded a session and over all sessions.
 */
export class ResultMemory {
  private readonly sessions = new RecentMap<Map<string, number>>(maxSessions)

  learn(session: string, leafIndex: number, result: JsonValue | undefined): void {
    if (result === undefined) return
    const tokens = this.sessions.use(session, () => new Map())
    for (const token of words(textOf(result))) {
      if (tokens.size >= maxTokensPerSession) return
      if (!tokens.has(token)) tokens.set(token, leafIndex)
    }
  }

  /** Leaf of the earlier result that held this value word for word. */
  sourceOf(session: string, value: string): number | undefined {
    return this.sessions.peek(session)?.get(value.trim().toLowerCase())
  }
}

function textOf(value: JsonValue): string {
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, maxResultChars)
}

/** Addresses, URLs, paths and names as they stand; punctuation around them is dropped. */
function* words(text: string): Iterable<string> {
  for (const match of text.toLowerCase().matchAll(/[^\s"'`<>(){}[\],;\\]{6,256}/g)) {
    const word = match[0].replace(/^[^a-z0-9/~]+|[^a-z0-9]+$/g, '')
    if (word.length >= minTokenChars) yield word
  }
}
