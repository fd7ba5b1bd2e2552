import { z } from 'zod'

/** Why data is erased: GDPR Article 17(1)(a) to (f), or another reason of the controller. */
export const ErasureGround = z.enum([
  'no_longer_necessary',
  'consent_withdrawn',
  'objection',
  'unlawful_processing',
  'legal_obligation',
  'child',
  'other',
])
export type ErasureGround = z.infer<typeof ErasureGround>

/** In words, for screens, reports and verifiers. */
export const groundText: Readonly<Record<ErasureGround, string>> = {
  no_longer_necessary: 'no longer necessary (GDPR Art. 17(1)(a))',
  consent_withdrawn: 'consent withdrawn (GDPR Art. 17(1)(b))',
  objection: 'objection (GDPR Art. 17(1)(c))',
  unlawful_processing: 'unlawful processing (GDPR Art. 17(1)(d))',
  legal_obligation: 'legal obligation to erase (GDPR Art. 17(1)(e))',
  child: 'data of a child (GDPR Art. 17(1)(f))',
  other: 'other ground',
}

/** Why a request is refused: GDPR Article 17(3)(a) to (e). */
export const ErasureException = z.enum([
  'freedom_of_expression',
  'legal_duty_to_keep',
  'public_health',
  'archiving_or_research',
  'legal_claims',
])
export type ErasureException = z.infer<typeof ErasureException>

/** In words. */
export const exceptionText: Readonly<Record<ErasureException, string>> = {
  freedom_of_expression: 'freedom of expression and information (GDPR Art. 17(3)(a))',
  legal_duty_to_keep: 'legal duty to keep (GDPR Art. 17(3)(b))',
  public_health: 'public health (GDPR Art. 17(3)(c))',
  archiving_or_research: 'archiving or research (GDPR Art. 17(3)(d))',
  legal_claims: 'legal claims (GDPR Art. 17(3)(e))',
}

/** Whose data: a user of an issuer, else an e-mail address, else a source; see `subjectOf` in ledger/subject.ts. */
export const Subject = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('user'),
    id: z.string().min(1).max(256),
    issuer: z.string().max(256).default(''),
  }),
  z.strictObject({ kind: z.literal('email'), email: z.string().min(3).max(256) }),
  z.strictObject({ kind: z.literal('source'), id: z.string().min(1).max(256) }),
])
export type Subject = z.infer<typeof Subject>

const leafIndexes = z.array(z.int().nonnegative())

/**
 * `admin.details` of a leaf `erase` (a subject) or `shred` (one event) in the log whose data went. It names nobody: a
 * root key has a keyed hash for a name.
 */
export const ErasureDetails = z.strictObject({
  ground: ErasureGround,
  /** Root keys that were destroyed: every payload sealed under one of them is closed for good. */
  keyIds: z.array(z.string().max(64)).max(64),
  /** Leaves whose payloads were overwritten: of a shredded event, and texts of Sealtrail's own about an erased subject. */
  leaves: leafIndexes,
  /** Events of the subject when it was erased. */
  events: z.int().nonnegative(),
  /** Number of the request in the register of whoever erases; never a name. */
  reference: z.string().max(64).exactOptional(),
  /** Who approved it besides the actor, as the actor stated. */
  approver: z.string().max(64).exactOptional(),
})
export type ErasureDetails = z.infer<typeof ErasureDetails>

/** Actions (`admin.action`) of these leaves. */
export const erasureActions = ['erase', 'shred'] as const
export type ErasureAction = (typeof erasureActions)[number]
