import type { EventRow } from '../../schemas/api/search.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { type EventField, eventFieldNames } from '../../schemas/event/fields.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'

/** A cell that a row shows otherwise than the ledger has it. */
export interface WrongCell {
  readonly field: EventField
  readonly shown: string
  /** undefined: the ledger has no such field, or its group is withheld. */
  readonly recorded: string | undefined
}

/**
 * Compares every cell that a row shows with the event that the leaf and its openings spell. Erased and withheld
 * groups leave a row with less, never with more: a cell without its field in the ledger is wrong.
 */
export function compareCells(
  row: Pick<EventRow, 'event' | 'cut'>,
  event: EventFields,
): { readonly compared: number; readonly wrong: readonly WrongCell[] } {
  const wrong: WrongCell[] = []
  let compared = 0
  for (const field of eventFieldNames) {
    const shown = row.event[field]
    if (shown === undefined) continue
    const recorded = event[field]
    compared++
    if (recorded !== undefined && sameCell(shown, recorded, row.cut.includes(field))) continue
    wrong.push({
      field,
      shown: textOf(shown),
      recorded: recorded === undefined ? undefined : textOf(recorded),
    })
  }
  return { compared, wrong }
}

/** A cut text must be the beginning of the whole one; anything else must be equal. */
function sameCell(shown: unknown, recorded: unknown, cut: boolean): boolean {
  if (cut) return typeof shown === 'string' && shown !== '' && textOf(recorded).startsWith(shown)
  return typeof shown === typeof recorded && textOf(shown) === textOf(recorded)
}

/** Strings as they are, everything else as canonical JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : canonicalJson(asJson(value))
}

/** The cast is safe: `canonicalJson` refuses what is no JSON. */
function asJson(value: unknown): JsonValue {
  return value as JsonValue
}
