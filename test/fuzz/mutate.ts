import fc from 'fast-check'
import { seeded } from '../fixtures/agent-history.ts'

const maxInputBytes = 64 * 1024

/** What breaks parsers: edges of numbers, names of prototypes, characters that end lines or encodings. */
const edges: readonly string[] = [
  ...['0', '-0', '-1', '1e999', '-1e-999', '9007199254740993', '18446744073709551616', '1E+2'],
  ...['0.1234567890123456789', '2147483648', 'NaN', 'Infinity', 'null', 'true', '""', '[]', '{}'],
  ...['"__proto__"', '"constructor"', '"toString"', '"hasOwnProperty"', '"\\ud800"', '"\\udc00x"'],
  ...['"\\u0000"', '"\\u2028"', '"é"', '"e\\u0301"', '"\\ufeff"', '\ufeff', '\u2028', '\0', '\r\n'],
  ...['\n', '\n\n', '"', '\\', '{', '[', ']', '}', ',', ':', '\t', '\u00a0', '\u{1f600}'],
]

export interface Mutator {
  next(corpus: readonly Uint8Array[]): Uint8Array
}

/** Mutates inputs: bytes anywhere, JSON by its values. All that it does follows from the seed. */
export function createMutator(seed: number, dictionary: readonly string[]): Mutator {
  const random = seeded(seed)
  const words = [...edges, ...dictionary].map((word) => Buffer.from(word))
  const values = fc.sample(fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' }), {
    seed,
    numRuns: 300,
  })
  const below = (limit: number): number => Math.floor(random() * limit)
  const pick = <T>(list: readonly T[]): T => {
    const picked = list[below(list.length)]
    if (picked === undefined) throw new RangeError('there is nothing to pick from')
    return picked
  }

  function mutateBytes(input: Buffer, corpus: readonly Uint8Array[]): Buffer {
    const at = below(input.length + 1)
    const until = Math.min(input.length, at + 1 + below(random() < 0.8 ? 16 : input.length + 1))
    const before = input.subarray(0, at)
    const after = input.subarray(at)
    switch (below(8)) {
      case 0: {
        const copy = Buffer.from(input)
        if (copy.length > 0)
          copy[at % copy.length] = (copy[at % copy.length] ?? 0) ^ (1 << below(8))
        return copy
      }
      case 1: {
        const copy = Buffer.from(input)
        if (copy.length > 0) copy[at % copy.length] = below(256)
        return copy
      }
      case 2:
        return Buffer.concat([before, input.subarray(until)])
      case 3:
        return Buffer.concat([before, input.subarray(at, until), after])
      case 4:
        return Buffer.concat([before, pick(words), after])
      case 5:
        return Buffer.concat([before, pick(words), input.subarray(until)])
      case 6: {
        const other = Buffer.from(pick(corpus))
        const from = below(other.length + 1)
        return Buffer.concat([before, other.subarray(from, from + below(512)), after])
      }
      default:
        return random() < 0.3
          ? Buffer.from(before)
          : repeated(before, input.subarray(at, until), after)
    }
  }

  function repeated(before: Uint8Array, part: Uint8Array, after: Uint8Array): Buffer {
    const times = Math.min(1 + below(400), Math.floor(maxInputBytes / Math.max(1, part.length)))
    return Buffer.concat([before, ...Array.from({ length: times }, () => part), after])
  }

  function mutateJson(input: Buffer): Buffer | undefined {
    let value: unknown
    try {
      value = JSON.parse(input.toString('utf8'))
    } catch {
      return undefined
    }
    let left = below(countNodes(value) + 1)
    const mutated = visit(value)
    return Buffer.from(JSON.stringify(mutated) ?? 'null')

    function visit(node: unknown): unknown {
      if (left-- === 0) return replaced(node)
      if (Array.isArray(node)) return node.map(visit)
      if (typeof node !== 'object' || node === null) return node
      // No assignment: a key named __proto__ is a key like any other.
      return Object.fromEntries(
        Object.entries(node).map(([key, each]) => {
          const renamed = left === 0 && random() < 0.3 ? keyFrom(dictionary) : key
          return [renamed, visit(each)]
        }),
      )
    }
  }

  function keyFrom(names: readonly string[]): string {
    return names.length === 0 || random() < 0.2
      ? pick(['__proto__', 'constructor', '', 'toString', '\ud800', 'a'.repeat(300)])
      : pick(names).replaceAll('"', '')
  }

  function replaced(node: unknown): unknown {
    switch (below(7)) {
      case 0:
        return pick(values)
      case 1:
        return [node, node]
      case 2:
        return { [keyFrom(dictionary)]: node }
      case 3:
        return typeof node === 'string'
          ? node.repeat(1 + below(2000)).slice(0, 40_000)
          : JSON.stringify(node)
      case 4:
        return pick([0, -1, 1e21, 2 ** 53, -(2 ** 63), 1.5, 5e-324])
      case 5: {
        let deep: unknown = node
        for (let depth = below(90); depth > 0; depth--)
          deep = depth % 2 === 0 ? [deep] : { a: deep }
        return deep
      }
      default:
        return typeof node === 'object' && node !== null && !Array.isArray(node)
          ? { ...node, [keyFrom(dictionary)]: pick(values) }
          : keyFrom(dictionary)
    }
  }

  return {
    next(corpus) {
      let input: Buffer = Buffer.from(pick(corpus))
      for (let times = 1 + below(4); times > 0; times--) {
        const asJson = random() < 0.6 ? mutateJson(input) : undefined
        input = asJson ?? mutateBytes(input, corpus)
        if (input.length > maxInputBytes) input = input.subarray(0, maxInputBytes)
      }
      return input
    },
  }
}

function countNodes(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce((sum: number, each) => sum + countNodes(each), 1)
}
