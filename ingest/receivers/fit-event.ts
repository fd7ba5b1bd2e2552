import { z } from 'zod'
import type { EventFields } from '../../schemas/event/event.ts'
import {
  type EventField,
  eventFields,
  type FieldSpec,
  fieldGroup,
  groupOf,
  isEventField,
} from '../../schemas/event/fields.ts'
import { isValidField } from '../../schemas/event/valid-field.ts'
import type { FieldDraft } from '../mappings/mapping.ts'

/** Arguments, result and raw record are kept to this size each, in bytes of UTF-8. */
export const maxCaptureBytes = 128 * 1024
/** Clear fields stand in the leaf (8 KiB with ids, times and commitments that are added later). */
const maxClearBytes = 6 * 1024
const maxNotes = 32

/** Fields that an event cannot do without: never given up for room in the leaf. */
const kept: ReadonlySet<string> = new Set([
  'event.class',
  'record.disposition',
  'record.notes',
  'record.reason',
  'mapping.id',
  'source.id',
  'source.certificate',
  'source.epoch',
  'source.seq',
  'source.prev',
  'time.occurred',
  'time.observed',
  'outcome.status',
  'gen_ai.tool.name',
  'mcp.server.name',
])

/** Arguments and result that were measured before, in bytes of JSON. */
interface MeasuredBytes {
  readonly args: unknown
  readonly argsBytes: number | undefined
  readonly result: unknown
  readonly resultBytes: number | undefined
}

/** What is known about the values of a draft already, and need not be found out again. */
export interface KnownValues {
  readonly measured?: MeasuredBytes | undefined
  /** Values that are what the schemas of their fields allow; the same value under its field is not checked again. */
  readonly checked?: FieldDraft | undefined
}

/**
 * Makes an event of a draft: what the schema would refuse is cut or left out field by field, each with a note, so
 * that a record is never lost because of one field.
 */
export function fitEvent(
  draft: FieldDraft,
  notes: readonly string[],
  { measured, checked }: KnownValues = {},
): EventFields {
  const taken = [...notes]
  const fitted: Fitted = {}
  for (const field of Object.keys(draft)) {
    if (!isEventField(field)) continue
    const value = draft[field]
    if (value === undefined || value === null || value === '') continue
    const isChecked = checked !== undefined && checked[field] === value
    const fit = fitField(field, value, isChecked, taken)
    if (fit !== undefined) fitted[field] = fit
  }
  const argumentsField = 'gen_ai.tool.call.arguments'
  const argsBytes = fitted[argumentsField] === measured?.args ? measured?.argsBytes : undefined
  fitCapture(fitted, argumentsField, 'arguments.size_bytes', 'arguments.capture', argsBytes)
  const resultField = 'gen_ai.tool.call.result'
  const resultBytes = fitted[resultField] === measured?.result ? measured?.resultBytes : undefined
  fitCapture(fitted, resultField, 'result.size_bytes', 'result.capture', resultBytes)
  fitRaw(fitted, taken)
  fitLeaf(fitted, taken)
  if (taken.length > 0) {
    fitted['record.notes'] = [...new Set(taken.map((note) => note.slice(0, 128)))].slice(
      0,
      maxNotes,
    )
  }
  return asFields(fitted)
}

type Fitted = { [F in EventField]?: unknown }

/** The cast is safe: every value passed the schema of its field, or was made here to fit it. */
function asFields(fields: Fitted): EventFields {
  return fields as EventFields
}

function fitField(field: EventField, value: unknown, isChecked: boolean, notes: string[]): unknown {
  const spec: FieldSpec = eventFields[field]
  if (spec.type === 'json') return fitJson(field, value, notes)
  if (field === 'raw.record') return value
  if (isChecked || isValidField(field, value)) return value
  const longest = maxLength(spec.schema)
  if (typeof value === 'string' && longest !== undefined && value.length > longest) {
    const cut = cutText(value, longest)
    if (isValidField(field, cut)) {
      notes.push(`${field}:cut`)
      return cut
    }
  }
  if (spec.type === 'list' && Array.isArray(value)) {
    const valid = value.filter((entry) => isValidField(field, [entry])).slice(0, 256)
    if (isValidField(field, valid)) {
      notes.push(`${field}:cut`)
      return valid
    }
  }
  notes.push(`${field}:invalid`)
  return undefined
}

function maxLength(schema: z.ZodType): number | undefined {
  return schema instanceof z.ZodString ? (schema.maxLength ?? undefined) : undefined
}

/** Arguments and result are cut by {@link fitCapture}; of the other JSON fields only what fits is kept. */
function fitJson(field: EventField, value: unknown, notes: string[]): unknown {
  if (field === 'gen_ai.tool.call.arguments' || field === 'gen_ai.tool.call.result') return value
  const limit = eventFields[field].group === 'clear' ? 1024 : maxCaptureBytes
  if (byteLength(JSON.stringify(value)) <= limit) return value
  notes.push(`${field}:too_large`)
  return undefined
}

function fitCapture(
  fields: Fitted,
  content: 'gen_ai.tool.call.arguments' | 'gen_ai.tool.call.result',
  size: 'arguments.size_bytes' | 'result.size_bytes',
  capture: 'arguments.capture' | 'result.capture',
  measuredBytes: number | undefined,
): void {
  const value = fields[content]
  if (value === undefined) return
  const sizeBytes = measuredBytes ?? byteLength(JSON.stringify(value))
  fields[size] ??= sizeBytes
  if (sizeBytes <= maxCaptureBytes) {
    if (fields[capture] === undefined || fields[capture] === 'absent') fields[capture] = 'full'
    return
  }
  // Cut JSON is no JSON: its beginning is kept as a string.
  fields[content] = cutJson(JSON.stringify(value))
  fields[capture] = 'truncated'
}

function cutJson(text: string): string {
  let cut = cutText(text, maxCaptureBytes)
  for (let excess = 1; excess > 0; ) {
    const bytes = byteLength(JSON.stringify(cut))
    excess = bytes - maxCaptureBytes
    if (excess > 0) cut = cutText(cut, Math.floor((cut.length * maxCaptureBytes) / bytes) - 16)
  }
  return cut
}

function fitRaw(fields: Fitted, notes: string[]): void {
  const raw = fields['raw.record']
  if (typeof raw !== 'string') return
  if (byteLength(raw) <= maxCaptureBytes) return
  let cut = cutText(raw, maxCaptureBytes)
  while (byteLength(cut) > maxCaptureBytes) cut = cutText(cut, Math.floor(cut.length * 0.9))
  // Base64 is read in groups of four.
  if (fields['raw.encoding'] === 'base64') cut = cut.slice(0, cut.length - (cut.length % 4))
  fields['raw.record'] = cut
  notes.push('raw.record:cut')
}

/** Gives up the longest clear fields that the event can do without until the rest has room in a leaf. */
function fitLeaf(fields: Fitted, notes: string[]): void {
  if (roughClearBytes(fields) < maxClearBytes) return
  const clear = Object.keys(fields)
    .filter(isEventField)
    .filter((field) => fieldGroup(field) === 'clear')
    .map((field) => ({
      field,
      bytes: byteLength(JSON.stringify(fields[field])) + field.length + 4,
    }))
  let total = clear.reduce((sum, { bytes }) => sum + bytes, 0)
  if (total <= maxClearBytes) return
  for (const { field, bytes } of clear.sort((a, b) => b.bytes - a.bytes)) {
    if (total <= maxClearBytes) return
    if (kept.has(field)) continue
    delete fields[field]
    total -= bytes
    notes.push(`${field}:no_room`)
  }
}

/** Never less than the clear fields take: most events are far from the bound, and need no exact figure. */
function roughClearBytes(fields: Fitted): number {
  let bytes = 0
  for (const field of Object.keys(fields)) {
    if (groupOf(field) !== 'clear') continue
    const value = fields[field as EventField]
    // Escaped, a UTF-16 unit takes at most six bytes.
    bytes += field.length + 32
    if (typeof value === 'string') bytes += 6 * value.length
    else if (typeof value === 'object') bytes += 6 * JSON.stringify(value).length
  }
  return bytes
}

/** At most this many UTF-16 units, without cutting a character in two. */
export function cutText(text: string, length: number): string {
  const cut = text.slice(0, length)
  const last = cut.charCodeAt(cut.length - 1)
  return last >= 0xd800 && last <= 0xdbff ? cut.slice(0, -1) : cut
}

export function byteLength(text: string): number {
  return Buffer.byteLength(text)
}
