import type { ObservedEvent } from '../schemas/event/event.ts'
import type { Receipt } from '../schemas/receipt.ts'

/** Port for what Sealtrail itself puts on the record: findings, administration, access. The sequencer implements it. */
export interface LedgerAppender {
  /**
   * Resolves when the events are durable.
   *
   * @param options.validate called inside the sequencer's turn, right before the commit, with the size of the log: a
   *   command checks its expected version against the fold there and throws to abort; nothing is then written.
   */
  append(
    logId: string,
    events: readonly ObservedEvent[],
    options?: { validate?: (treeSize: number) => void },
  ): Promise<Receipt>
}
