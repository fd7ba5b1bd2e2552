import { z } from 'zod'

/** What a sender gets for records that are durable: they are in a committed segment of the log. */
export const Receipt = z.strictObject({
  log: z.string(),
  /** Leaf ranges that hold the records, ascending. */
  leaves: z.array(z.strictObject({ first: z.int().nonnegative(), count: z.int().positive() })),
  treeSize: z.int().nonnegative(),
  /** Root at `treeSize`, hex. Published under a signed checkpoint within about a second. */
  root: z.string(),
  /** Records that were in the log already and were not appended again. */
  duplicates: z.int().nonnegative(),
})
export type Receipt = z.infer<typeof Receipt>
