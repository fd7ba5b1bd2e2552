import { z } from 'zod'
import { eventFields } from '../event/fields.ts'
import {
  type RedactionPolicy as Policy,
  pathActions,
  personalDataKinds,
} from '../redaction-policy.ts'

/** Fields that a path may begin with: what a sender fills and a person may not want to be stored. */
export const redactableFields: readonly string[] = Object.entries(eventFields)
  .filter(
    ([name, { group, setBy }]) => group !== 'clear' && setBy === 'source' && name !== 'redactions',
  )
  .map(([name]) => name)

const Path = z
  .string()
  .max(512)
  .regex(/^\/[^/]+(?:\/[^/]+)*$/, 'must be a path like /gen_ai.tool.call.arguments/customer/name')
  .refine((path) => path.isWellFormed(), 'is not well-formed text')
  .refine(
    (path) => path.split('/').filter((segment) => segment === '**').length <= 2,
    'has more than two **',
  )
  .superRefine((path, context) => {
    const field = path.split('/')[1] ?? ''
    if (redactableFields.includes(field)) return
    context.addIssue({
      code: 'custom',
      message: `must begin with a field that can be redacted, such as /gen_ai.tool.call.arguments, /user.email or /raw.record; ${JSON.stringify(field)} is none`,
    })
  })

/** See {@link Policy}. */
export const RedactionPolicy: z.ZodType<Policy> = z.strictObject({
  personalData: z
    .array(z.enum(personalDataKinds))
    .max(personalDataKinds.length)
    .refine((kinds) => new Set(kinds).size === kinds.length, 'names a kind twice'),
  paths: z
    .array(z.strictObject({ path: Path, action: z.enum(pathActions) }))
    .max(64, 'has more than 64 rules'),
  entropyHints: z.boolean(),
})

/** Whose policy: that of one source, or of all sources of the log that have none of their own. */
const Target = z
  .string()
  .regex(/^(?:default|[a-z0-9]{4,32})$/, 'must be default or the id of a source')

export const RedactionPolicyParams = z.strictObject({ target: Target })

/** `GET /api/v1/redaction-policies/:target`. */
export const RedactionPolicyReply = z.strictObject({
  policy: RedactionPolicy,
  /** `source`: its own; `log`: that of all sources; `built_in`: nobody set one. */
  origin: z.enum(['source', 'log', 'built_in']),
  /** Expected version for a change of this target's own policy; 0 when it has none. */
  version: z.int().nonnegative(),
})
export type RedactionPolicyReply = z.infer<typeof RedactionPolicyReply>

/** `POST /api/v1/redaction-policies/:target`. Null takes the own policy away. 409 VERSION_CONFLICT. */
export const SetRedactionPolicyRequest = z.strictObject({
  policy: RedactionPolicy.nullable(),
  expectedVersion: z.int().nonnegative(),
})
export type SetRedactionPolicyRequest = z.infer<typeof SetRedactionPolicyRequest>

const maxPreviewEvents = 1000

/**
 * `POST /api/v1/redaction-policies/:target/preview`: what a policy would replace in the newest stored events of the
 * source (all sources for `default`). Nothing is changed.
 */
export const PreviewRedactionRequest = z.strictObject({
  policy: RedactionPolicy,
  events: z.int().min(1).max(maxPreviewEvents).default(200),
})
export type PreviewRedactionRequest = z.infer<typeof PreviewRedactionRequest>

export const RedactionPreview = z.strictObject({
  /** Stored events that were looked at. */
  events: z.int().nonnegative(),
  /** Those in which something would be replaced. */
  changed: z.int().nonnegative(),
  /** By rule and action, most frequent first. */
  counts: z.array(
    z.strictObject({ rule: z.string(), action: z.string(), values: z.int(), events: z.int() }),
  ),
  /** A few events of each rule, with the paths. Values are not repeated here: the event shows them. */
  examples: z.array(
    z.strictObject({
      eventId: z.string(),
      path: z.string(),
      rule: z.string(),
      action: z.string(),
    }),
  ),
})
export type RedactionPreview = z.infer<typeof RedactionPreview>
