import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import type { HashTree } from '../../schemas/tlog/merkle.ts'

/** A tree that outlives the process, with what its owner wants to remember of the same moment. */
export interface SavedTree extends HashTree {
  /** What was saved last, when it was opened; undefined when there is nothing, or nothing whole. */
  readonly saved: { readonly beside: unknown } | undefined
  /**
   * Makes the tree as it is at the time of the call durable. Whoever appends meanwhile need not wait. One at a time.
   *
   * @param beside JSON, given back as {@link saved} at the next start
   */
  save(beside: JsonValue): Promise<void>
  /** Forgets everything: the tree is empty. */
  clear(): void
  close(): Promise<void>
}
