import { z } from 'zod'

/** RFC 9457 problem details. `code` is from schemas/errors.ts; record, field and reason are set for bad records. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  hint: z.string().optional(),
  instance: z.string().optional(),
  /** Ordinal of the record within the request, from 0. */
  record: z.int().optional(),
  field: z.string().optional(),
  reason: z.string().optional(),
  /** Where in a query the problem is: half-open range of UTF-16 offsets. */
  span: z.strictObject({ from: z.int(), until: z.int() }).optional(),
})
export type Problem = z.infer<typeof Problem>
