import type { EventRow } from '../../schemas/api/search.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { type EventField, eventFieldNames } from '../../schemas/event/fields.ts'
import { canonicalJson, type JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { cellFields } from '../format/cell-fields.ts'

/** A value that the server shows otherwise than the ledger has it. */
export interface WrongCell {
  /** Name of the field, or of the part of a finding. */
  readonly field: string
  /** undefined: the row leaves out what the ledger has. */
  readonly shown: string | undefined
  /** undefined: the ledger has no such field, or its group is withheld. */
  readonly recorded: string | undefined
}

const neverLeftOut: ReadonlySet<EventField> = new Set(Object.values(cellFields).flat())

/**
 * Compares a row with the event that the leaf and its openings spell: every cell that the row brings, and every cell
 * of the results that it should have brought. A group that is erased or withheld is not in `event`, so its cells must
 * not be in the row either.
 */
export function compareCells(
  row: Pick<EventRow, 'event' | 'cut'>,
  event: EventFields,
): { readonly compared: number; readonly wrong: readonly WrongCell[] } {
  const wrong: WrongCell[] = []
  let compared = 0
  for (const field of eventFieldNames) {
    const shown = row.event[field]
    const recorded = event[field]
    if (shown === undefined && (recorded === undefined || !neverLeftOut.has(field))) continue
    compared++
    if (
      shown !== undefined &&
      recorded !== undefined &&
      sameCell(shown, recorded, row.cut.includes(field))
    )
      continue
    wrong.push({ field, shown: shownText(shown), recorded: shownText(recorded) })
  }
  return { compared, wrong }
}

/** What differs, in a sentence a person can act on. */
export function describeWrong(wrong: readonly WrongCell[]): string {
  return wrong
    .map(({ field, shown, recorded }) => {
      const is = shown === undefined ? 'left out' : `shown as ${quoted(shown)}`
      return recorded === undefined
        ? `${field} is ${is}, and the leaf has no such field or it is withheld`
        : `${field} is ${is}, the leaf says ${quoted(recorded)}`
    })
    .join('; ')
}

/** Lists cut longer texts to this many UTF-16 code units, and never shorter. */
const cutChars = 512

/** A cut text must be the beginning of the whole one, as far as lists go; anything else must be equal. */
function sameCell(shown: unknown, recorded: unknown, cut: boolean): boolean {
  if (cut) {
    return (
      typeof shown === 'string' && shown.length === cutChars && textOf(recorded).startsWith(shown)
    )
  }
  return typeof shown === typeof recorded && textOf(shown) === textOf(recorded)
}

/** Strings as they are, everything else as canonical JSON. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : canonicalJson(asJson(value))
}

function shownText(value: unknown): string | undefined {
  return value === undefined ? undefined : textOf(value)
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}

/** The cast is safe: `canonicalJson` refuses what is no JSON. */
function asJson(value: unknown): JsonValue {
  return value as JsonValue
}
