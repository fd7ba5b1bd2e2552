import type { PathAction, PathRule } from '../../schemas/redaction-policy.ts'

/** Path rules of a policy, ready to be asked for each value of an event. */
export interface PathRules {
  /** Action of the first rule that matches a JSON pointer (RFC 6901); undefined when none does. */
  actionAt(pointer: string): PathAction | undefined
  /** Whether a rule goes into the raw record: without one, a record that lost a value loses its raw form as well. */
  readonly intoRaw: boolean
}

/** A place in the path of a rule: what comes next there. */
interface Place {
  /** `*` is any one segment, `**` any number; undefined at the end, where the rule matches. */
  readonly segment: string | undefined
  readonly next: Place | undefined
  readonly rule: number
  /** The last step that came here: no place counts twice in one. */
  step: number
}

/** undefined for no rules, so that events without a policy pay nothing. */
export function compilePathRules(rules: readonly PathRule[]): PathRules | undefined {
  if (rules.length === 0) return undefined
  const walk = new Walk(rules.map(({ path }, rule) => placesOf(path.split('/').slice(1), rule)))
  return {
    actionAt(pointer) {
      const rule = walk.ruleAt(pointer)
      return rule === undefined ? undefined : rules[rule]?.action
    },
    intoRaw: rules.some(({ path }) => path.split('/')[1] === 'raw.record'),
  }
}

function placesOf(segments: readonly string[], rule: number): Place {
  const last: Place = { segment: undefined, next: undefined, rule, step: 0 }
  return segments.reduceRight((next, segment) => ({ segment, next, rule, step: 0 }), last)
}

/**
 * Follows all rules at once, segment by segment. The values of a list ask one after the other: where the rules stand at
 * the list is kept, so that a value costs one step, and not the depth at which a sender put it to the power of the `**`.
 */
class Walk {
  /** Where the rules stand at a pointer and at those above it, the innermost last. */
  private readonly open: { readonly pointer: string; readonly places: readonly Place[] }[]
  private steps = 0

  constructor(first: readonly Place[]) {
    this.steps++
    const places: Place[] = []
    for (const place of first) this.enter(place, places)
    this.open = [{ pointer: '', places }]
  }

  /** Number of the first rule that matches. */
  ruleAt(pointer: string): number | undefined {
    const cut = pointer.lastIndexOf('/')
    const places = this.step(this.placesAt(pointer.slice(0, cut)), pointer.slice(cut + 1))
    return places.find(({ segment }) => segment === undefined)?.rule
  }

  private placesAt(pointer: string): readonly Place[] {
    for (;;) {
      const inner = this.open.at(-1)
      if (inner === undefined) return []
      if (inner.pointer === pointer) return inner.places
      if (pointer.startsWith(`${inner.pointer}/`)) {
        const end = pointer.indexOf('/', inner.pointer.length + 1)
        const below = end < 0 ? pointer : pointer.slice(0, end)
        const places = this.step(inner.places, below.slice(inner.pointer.length + 1))
        this.open.push({ pointer: below, places })
      } else if (this.open.length === 1) return []
      else this.open.pop()
    }
  }

  private step(places: readonly Place[], segment: string): readonly Place[] {
    this.steps++
    const reached: Place[] = []
    for (const place of places) {
      if (place.segment === '**') this.enter(place, reached)
      else if (place.segment === '*' || place.segment === segment) this.enter(place.next, reached)
    }
    return reached
  }

  /** `**` may stand for nothing, so that what comes after it is reached with it. Places stay in the order of the rules. */
  private enter(place: Place | undefined, reached: Place[]): void {
    for (let each = place; each !== undefined && each.step !== this.steps; each = each.next) {
      each.step = this.steps
      reached.push(each)
      if (each.segment !== '**') return
    }
  }
}
