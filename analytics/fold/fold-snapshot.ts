import { z } from 'zod'
import { Finding } from '../../schemas/finding.ts'
import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'

/** State of a fold after the leaves [0, leaves) of its log: what spares a start reading them again. */
export const FoldSnapshot = z.strictObject({
  /** {@link Fold.rules} of the fold that saved it. */
  rules: z.string(),
  leaves: z.int().positive(),
  /** Hex hash of the last of these leaves: the state is of this history and of no other. */
  leafHash: z.string(),
  /** Last leaf that changed a call; -1 when none did. Calls up to here must be in the columnar store. */
  lastCallLeaf: z.int().min(-1),
  /** Ids of findings that are leaves already, and findings that are none yet. */
  recorded: z.array(z.string()),
  pending: z.array(Finding),
  /** What {@link Fold.save} gave; checked by those who take it over. */
  state: z.custom<JsonValue>(),
})
export type FoldSnapshot = z.infer<typeof FoldSnapshot>

/**
 * Where snapshots are kept. They hold names and values of the log in plaintext: what is kept is encrypted, and whoever
 * erases a subject wipes it.
 */
export interface FoldSnapshots {
  /** The newest snapshot of a log; undefined when there is none that can be used. */
  load(logId: string): Promise<FoldSnapshot | undefined>
  /** Takes the place of the one before. */
  store(logId: string, snapshot: FoldSnapshot): Promise<void>
  /** Removes every snapshot, and overwrites what it held. The next start folds the log from its first leaf. */
  wipe(): Promise<void>
}
