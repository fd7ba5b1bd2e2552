import { z } from 'zod'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { RecentMap } from '../recent-map.ts'

const maxSessions = 4096
const maxTokensPerSession = 8192
/** Over all sessions; about 30 bytes each. */
const maxTokens = 2_000_000
const maxResultChars = 65_536
const maxResultDepth = 16
const minTokenChars = 6

/** Words of a session: those learnt last, and those before them. Hash to the leaf that held the word first. */
interface Words {
  recent: Map<number, number>
  former: Map<number, number>
}

const Hashes = z.array(z.tuple([z.number(), z.number()]))

/** Recent and former words of each session, the session unused for longest first. */
export const ResultMemoryState = z.array(z.tuple([z.string(), z.tuple([Hashes, Hashes])]))
export type ResultMemoryState = z.infer<typeof ResultMemoryState>

/**
 * Remembers the words of earlier results of a session, so that a value can be traced to the result that supplied it.
 * Words of at least six characters, as 32-bit hashes; bounded a session (the older half goes first, so that nobody can
 * fill it up beforehand) and over all sessions (the session unused for longest goes).
 */
export class ResultMemory {
  private held = 0
  private readonly sessions = new RecentMap<Words>(maxSessions, (words) => {
    this.held -= sizeOf(words)
  })

  learn(session: string, leafIndex: number, result: JsonValue | undefined): void {
    if (result === undefined) return
    const known = this.sessions.use(session, () => ({ recent: new Map(), former: new Map() }))
    this.held -= sizeOf(known)
    for (const text of texts(result)) {
      for (const token of words(text)) {
        const hash = hashOf(token)
        if (known.recent.has(hash)) continue
        if (known.recent.size >= maxTokensPerSession / 2) {
          known.former = known.recent
          known.recent = new Map()
        }
        known.recent.set(hash, known.former.get(hash) ?? leafIndex)
      }
    }
    this.held += sizeOf(known)
    while (this.held > maxTokens && this.sessions.evictOldest()) {}
  }

  save(): ResultMemoryState {
    return this.sessions.save(({ recent, former }) => [[...recent], [...former]])
  }

  /** Takes over what was saved, into an empty memory. */
  restore(saved: ResultMemoryState): void {
    this.sessions.restore(saved, ([recent, former]) => ({
      recent: new Map(recent),
      former: new Map(former),
    }))
    for (const [, words] of this.sessions.entries()) this.held += sizeOf(words)
  }

  /** Leaf of the earlier result that held this value word for word. */
  sourceOf(session: string, value: string): number | undefined {
    const text = value.trim().toLowerCase()
    if (text.length < minTokenChars || text.length > 256) return undefined
    const known = this.sessions.peek(session)
    const hash = hashOf(stripped(text))
    return known?.recent.get(hash) ?? known?.former.get(hash)
  }
}

function sizeOf({ recent, former }: Words): number {
  return recent.size + former.size
}

/** The strings of a result as they stand, without the escapes of JSON: an MCP result is text inside an object. */
function texts(value: JsonValue): string[] {
  const found: string[] = []
  let left = maxResultChars
  const walk = (each: JsonValue, depth: number): void => {
    if (left <= 0 || depth > maxResultDepth) return
    if (typeof each === 'string') {
      found.push(each.slice(0, left))
      left -= each.length
    } else if (typeof each === 'number') {
      found.push(String(each))
      left -= 8
    } else if (typeof each === 'object' && each !== null) {
      for (const inner of Object.values(each)) walk(inner, depth + 1)
    }
  }
  walk(value, 0)
  return found
}

/**
 * Addresses, URLs, paths and names as they stand; punctuation around them is dropped. What follows `=` or `:` in a
 * word counts on its own too (`to=a@b.example`, `mailto:a@b.example`).
 */
function* words(text: string): Iterable<string> {
  for (const match of text.toLowerCase().matchAll(/[^\s"'`<>(){}[\],;|\\]{6,256}/g)) {
    const word = stripped(match[0])
    if (word.length >= minTokenChars) yield word
    const inner = /[=:](?!\/\/)([^=:]{6,})$/.exec(word)?.[1]
    if (inner !== undefined) yield stripped(inner)
  }
}

function stripped(word: string): string {
  return word.replace(/^[^\p{L}\p{N}/~]+|[^\p{L}\p{N}]+$/gu, '')
}

/** FNV-1a over UTF-16 units, 32 bits. A chance hit among 8,192 words is 2 in a million. */
function hashOf(word: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193)
  return hash | 0
}
