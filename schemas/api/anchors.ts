import { z } from 'zod'

/** One place outside that keeps checkpoints of a log, and how far it covers the log. */
export const AnchorCoverage = z.strictObject({
  kind: z.enum(['directory', 'webhook', 'bucket', 'witness']),
  /** Path, address, or key name of the witness. */
  target: z.string(),
  /** Leaves below this are covered; 0 when none is. */
  coveredSize: z.int().nonnegative(),
  /** Root at that size, hex; null when none is covered. */
  root: z.string().nullable(),
  /** When the place took it; null when it never did. */
  coveredAt: z.string().nullable(),
  /** What the place answered: path, version, cosignature, first words of a reply. */
  answer: z.string().nullable(),
  /** `waiting`: the newest checkpoint is on its way. `failing`: `problem` says why, and it is tried again. */
  state: z.enum(['current', 'waiting', 'failing', 'contradicts']),
  problem: z.string().nullable(),
  /** Verifier key of a witness, as the policy pins it; null for other kinds. */
  verifierKey: z.string().nullable(),
})
export type AnchorCoverage = z.infer<typeof AnchorCoverage>

/** What is covered outside of the machine, of one log. */
export const LogAnchoring = z.strictObject({
  /** Leaves below this are held by an anchor, or cosigned by a quorum of witnesses. */
  witnessedSize: z.int().nonnegative(),
  anchors: z.array(AnchorCoverage),
  /** Newest checkpoint that witnesses cosigned, with their lines; null when none is. */
  cosigned: z
    .strictObject({
      size: z.int().positive(),
      note: z.string(),
      witnesses: z.array(z.strictObject({ name: z.string(), at: z.string() })),
      /** Whether the policy is satisfied. */
      quorum: z.boolean(),
    })
    .nullable(),
  /** What an anchor holds against the log; nothing is signed while it does. */
  contradiction: z.string().nullable(),
})
export type LogAnchoring = z.infer<typeof LogAnchoring>
