import type { SealedGroup } from '../../schemas/event/fields.ts'

/** Who asks, as far as a query must know it. Added outside the compiled expression: no query text can widen it. */
export interface QueryScope {
  readonly logId: string
  /** Sealed groups that may be shown, filtered and counted. */
  readonly groups: ReadonlySet<SealedGroup>
  readonly signal: AbortSignal
}
