import { setTimeout as sleep } from 'node:timers/promises'
import { isSealtrailError } from '../../schemas/errors.ts'
import type { ColumnarClient } from './columnar-client.ts'

export interface RepeatedInsert {
  readonly client: ColumnarClient
  /** Name under which the insert runs: no other one may have it. */
  readonly writer: string
  readonly insert: () => Promise<void>
  /** Whether the table holds the rows already. Asked before each repeat. */
  readonly isStored: () => Promise<boolean>
  readonly onFailure?: (error: unknown) => void
  /** When to give up; never when absent. */
  readonly giveUpAfterMs?: number
  readonly signal?: AbortSignal
}

const firstBackoffMs = 100
const maxBackoffMs = 5000

/**
 * Repeats an insert until it is done. A token alone does not make a repeat safe: the engine keeps its tokens of an
 * encrypted table in a file that it does not flush, and after a kill -9 takes the repeat of a stored insert for a new
 * one. So the try before is ended first, and then the table is asked.
 *
 * @throws the last error when it gives up, or the reason of the signal.
 */
export async function insertUntilDone(options: RepeatedInsert): Promise<void> {
  const { client, writer, signal } = options
  const giveUpAtMs = performance.now() + (options.giveUpAfterMs ?? Number.POSITIVE_INFINITY)
  let backoffMs = firstBackoffMs
  for (let repeat = false; ; repeat = true) {
    try {
      if (repeat) {
        await client.fence(writer)
        if (await options.isStored()) return
      }
      await options.insert()
      return
    } catch (error) {
      signal?.throwIfAborted()
      if (performance.now() > giveUpAtMs && isSealtrailError(error)) throw error
      options.onFailure?.(error)
      await sleep(backoffMs, undefined, signal === undefined ? {} : { signal })
      backoffMs = Math.min(backoffMs * 2, maxBackoffMs)
    }
  }
}
