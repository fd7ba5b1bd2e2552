import type { PathAction, PathRule } from '../../schemas/redaction-policy.ts'

/** Path rules of a policy, ready to be asked for each value of an event. */
export interface PathRules {
  /** Action of the first rule that matches a JSON pointer (RFC 6901); undefined when none does. */
  actionAt(pointer: string): PathAction | undefined
  /** Whether a rule goes into the raw record: without one, a record that lost a value loses its raw form as well. */
  readonly intoRaw: boolean
}

/** undefined for no rules, so that events without a policy pay nothing. */
export function compilePathRules(rules: readonly PathRule[]): PathRules | undefined {
  if (rules.length === 0) return undefined
  const compiled = rules.map(({ path, action }) => ({ segments: path.split('/').slice(1), action }))
  return {
    actionAt(pointer) {
      const path = pointer.split('/').slice(1)
      return compiled.find(({ segments }) => matches(segments, 0, path, 0))?.action
    },
    intoRaw: compiled.some(({ segments }) => segments[0] === 'raw.record'),
  }
}

/** `*` is one segment, `**` any number. Paths are at most some hundred characters, so backtracking is bounded. */
function matches(
  pattern: readonly string[],
  at: number,
  path: readonly string[],
  from: number,
): boolean {
  const segment = pattern[at]
  if (segment === undefined) return from === path.length
  if (segment !== '**') {
    const found = path[from]
    return (
      found !== undefined &&
      (segment === '*' || segment === found) &&
      matches(pattern, at + 1, path, from + 1)
    )
  }
  for (let next = from; next <= path.length; next++) {
    if (matches(pattern, at + 1, path, next)) return true
  }
  return false
}
