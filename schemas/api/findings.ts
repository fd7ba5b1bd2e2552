import { z } from 'zod'
import { Explanation, Severity } from '../finding.ts'
import { EventRow } from './search.ts'

export const FindingRow = z.strictObject({
  findingId: z.string(),
  /** Event id and leaf of the finding itself: a finding is evidence too. */
  eventId: z.string(),
  leafIndex: z.int().nonnegative(),
  detector: z.string(),
  severity: Severity,
  p: z.number(),
  occurredAt: z.string(),
  recordedAt: z.string(),
  sentence: z.string(),
  entity: z.strictObject({ kind: z.string(), value: z.string() }),
  subject: z.string(),
})
export type FindingRow = z.infer<typeof FindingRow>

/** A finding in the list: that it was found stays when its text is erased; what it said, and about whom, is null then. */
export const ListedFinding = z.strictObject({
  ...FindingRow.shape,
  sentence: FindingRow.shape.sentence.nullable(),
  entity: FindingRow.shape.entity.nullable(),
  subject: FindingRow.shape.subject.nullable(),
})
export type ListedFinding = z.infer<typeof ListedFinding>

/** `GET /api/v1/findings`. Newest first. */
export const FindingsRequest = z.strictObject({
  from: z.string(),
  until: z.string(),
  severity: Severity.optional(),
  detector: z.string().max(128).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(200),
})
export type FindingsRequest = z.infer<typeof FindingsRequest>
export const FindingsReply = z.strictObject({
  rows: z.array(ListedFinding),
  total: z.int().nonnegative(),
})
export type FindingsReply = z.infer<typeof FindingsReply>

/** `GET /api/v1/findings/:findingId`. 410 `KEY_DESTROYED` when its text was erased. */
export const FindingDetail = z.strictObject({
  finding: FindingRow,
  explanation: Explanation,
  evidence: z.array(EventRow),
})
export type FindingDetail = z.infer<typeof FindingDetail>
