import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'

const firstBackoffMs = 100
const maxBackoffMs = 5000

/**
 * Repeats an insert until it is done: the ledger does not go away, and its token makes each repeat safe.
 *
 * @throws the reason of the signal, when that is aborted.
 */
export async function insertUntilDone(
  logger: Logger,
  logId: string,
  signal: AbortSignal,
  insert: () => Promise<void>,
): Promise<void> {
  for (let backoffMs = firstBackoffMs; ; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
    try {
      await insert()
      return
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ err: error, logId }, 'an insert into the columnar store is repeated')
      await sleep(backoffMs, undefined, { signal })
    }
  }
}
