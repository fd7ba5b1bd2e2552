import { isSealtrailError } from '../../schemas/errors.ts'

/** A decoder of untrusted bytes, with what must hold whatever it is given. */
export interface FuzzTarget {
  readonly name: string
  /** Valid inputs: mutation begins here. */
  readonly corpus: readonly Uint8Array[]
  /** Words of the format, which random bytes would never spell. */
  readonly dictionary: readonly string[]
  /**
   * Decodes one input and checks what came out.
   *
   * @returns a signature of what happened (error code, branch taken): inputs with a new one are mutated further.
   * @throws anything where an invariant is broken
   */
  check(input: Uint8Array): string | Promise<string>
}

export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken'
}

export function ensure(holds: boolean, invariant: string): void {
  if (!holds) throw new InvariantBroken(invariant)
}

/** Result of a decoder, or why it refused. Any other error than ours is a finding. */
export function decodedOr<T>(decode: () => T): { value: T } | { refusal: string } {
  try {
    return { value: decode() }
  } catch (error) {
    if (!isSealtrailError(error)) throw error
    const cause = error.cause instanceof Error ? error.cause.message : ''
    const why = `${error.code} ${error.message.slice(0, 60)} ${cause.slice(0, 160)}`
    return { refusal: why.replaceAll(/\d+/g, 'n') }
  }
}
