import { hex } from '../../schemas/bytes.ts'
import type { ErrorCode } from '../../schemas/errors.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import {
  isTimestamp,
  normaliseTimestamp,
  type Timestamp,
  timestampFromMs,
} from '../../schemas/event/timestamp.ts'
import {
  findDuplicateKey,
  type JsonValue,
  maxJsonDepth,
} from '../../schemas/leaf/canonical-json.ts'
import { sentDigest } from '../../schemas/source-chain.ts'
import type { Digest } from '../../schemas/tlog/digest.ts'
import {
  type DecodedRecord,
  type FieldDraft,
  isJsonObject,
  isRefusal,
  type MappedEvent,
  type Mapping,
  type MappingRefusal,
} from '../mappings/mapping.ts'
import { decodeOtlpRecord } from '../mappings/otlp-decode.ts'
import { leftoverAttributes, otlpBaseFields } from '../mappings/otlp-fields.ts'
import { canonicalised, mayLackCanonicalForm } from '../mappings/read-value.ts'
import type { Redactor } from '../redaction/redactor.ts'
import { byteLength, fitEvent } from './fit-event.ts'
import { jsonBytes } from './json-bytes.ts'
import type { ReadableRecord, ReceivedRecord, UnreadableRecord } from './received-record.ts'
import {
  countMembers,
  hasInexactNumber,
  hasUnsafeInteger,
  type JsonShape,
  jsonShape,
} from './scan-json.ts'

/** Why a record was kept as rejected. Names field and rule, never the value. */
export interface RecordProblem {
  /** Ordinal of the record within the request, from 0. */
  readonly record: number
  readonly code: ErrorCode
  readonly field: string | undefined
  readonly reason: string
}

export interface ReceivedRequest {
  /** Every record of the request, in order; one record may hold several events. */
  readonly events: readonly ObservedEvent[]
  /** Digest of the record of each event as it was sent; set when one of them is numbered or has an id of its source. */
  readonly sentDigests: readonly string[] | undefined
  readonly records: number
  readonly mapped: number
  readonly unmapped: number
  readonly rejected: number
  readonly problems: readonly RecordProblem[]
}

export interface ReceiveContext {
  readonly sourceId: string
  /** Name of the certificate that the source is bound to, and showed. */
  readonly certificate?: string | undefined
  /** `source.format` where a mapping does not know better. */
  readonly format: string
  readonly nowMs: number
  readonly redactor: Redactor
  readonly mappings: readonly Mapping[]
  readonly digest: Digest
}

/** What all records of one call have in common. */
interface TurnContext extends ReceiveContext {
  readonly observed: Timestamp
  /** Latest time of an event that is taken for one. */
  readonly latest: Timestamp
}

type Disposition = 'mapped' | 'unmapped' | 'rejected'

/** Clocks of sources run ahead; what is further than this is no clock. */
const maxAheadMs = 3_600_000
const maxReason = 512

/**
 * Turns the records of one request into events: maps what is recognised, keeps the rest raw as unmapped or rejected,
 * redacts everything. Nothing is dropped.
 */
export function receiveRecords(
  records: readonly ReceivedRecord[],
  context: ReceiveContext,
): ReceivedRequest {
  const counts: Record<Disposition, number> = { mapped: 0, unmapped: 0, rejected: 0 }
  const events: ObservedEvent[] = []
  const digests: string[] = []
  const problems: RecordProblem[] = []
  const turn: TurnContext = {
    ...context,
    observed: timestampFromMs(context.nowMs),
    latest: timestampFromMs(context.nowMs + maxAheadMs),
  }
  for (const [ordinal, record] of records.entries()) {
    const { disposition, made, problem } = receiveRecord(record, turn)
    counts[disposition]++
    const digest = record.readable ? digestOf(record, made, context.digest) : ''
    for (const event of made) {
      events.push(event)
      digests.push(digest)
    }
    if (problem !== undefined) problems.push({ record: ordinal, ...problem })
  }
  return {
    events,
    sentDigests: digests.some((digest) => digest !== '') ? digests : undefined,
    records: records.length,
    ...counts,
    problems,
  }
}

/** One request out of its parts, in order. */
export function joinReceived(parts: readonly ReceivedRequest[]): ReceivedRequest {
  const total = { records: 0, mapped: 0, unmapped: 0, rejected: 0 }
  const problems: RecordProblem[] = []
  for (const part of parts) {
    for (const problem of part.problems) {
      problems.push({ ...problem, record: problem.record + total.records })
    }
    total.records += part.records
    total.mapped += part.mapped
    total.unmapped += part.unmapped
    total.rejected += part.rejected
  }
  return {
    ...total,
    problems,
    events: parts.flatMap((part) => part.events),
    sentDigests: parts.some((part) => part.sentDigests !== undefined)
      ? parts.flatMap((part) => part.sentDigests ?? part.events.map(() => ''))
      : undefined,
  }
}

interface Outcome {
  readonly disposition: Disposition
  readonly made: readonly ObservedEvent[]
  readonly problem?: Omit<RecordProblem, 'record'>
}

function receiveRecord(record: ReceivedRecord, context: TurnContext): Outcome {
  if (!record.readable) return rejectBytes(record, context)
  const shape = jsonShape(record.text)
  const fault = structuralFault(record, shape)
  if (fault !== undefined) return rejectRecord(record, fault, context)
  const isOdd = shape.hasUnusualNumber || record.text.includes('\\')
  const sound = isOdd && mayLackCanonicalForm(record.text) ? repaired(record) : record
  const mapping = context.mappings.find((each) => each.recognise(sound))
  if (mapping === undefined) return keepUnmapped(sound, 'no mapping recognises the record', context)
  const result = mapRecord(mapping, sound)
  if (isRefusal(result)) {
    return rejectRecord(sound, { code: 'RECORD_INVALID', ...result }, context)
  }
  if (result.length === 0) {
    return keepUnmapped(sound, `${mapping.id} has no class for the record`, context)
  }
  return {
    disposition: 'mapped',
    made: result.map((event) => finish(event, sound, shape, mapping.id, context)),
  }
}

/** A mapping that fails on a record, which is a bug of ours, must not cost the records around it. */
function mapRecord(
  mapping: Mapping,
  record: ReadableRecord,
): readonly MappedEvent[] | MappingRefusal {
  try {
    return mapping.map(record)
  } catch {
    return { field: undefined, reason: `${mapping.id} failed on the record` }
  }
}

function structuralFault(
  { text, value }: ReadableRecord,
  { depth, members }: JsonShape,
): Omit<RecordProblem, 'record'> | undefined {
  if (depth > maxJsonDepth) {
    return {
      code: 'RECORD_INVALID',
      field: undefined,
      reason: `is nested deeper than ${maxJsonDepth} levels`,
    }
  }
  const duplicate = countMembers(value) === members ? undefined : findDuplicateKey(text)
  return duplicate === undefined
    ? undefined
    : { code: 'RECORD_INVALID', field: duplicate, reason: 'stands twice in one object' }
}

function repaired(record: ReadableRecord): ReadableRecord {
  const value = canonicalised(record.value)
  if (value === record.value) return record
  const replaced = true
  if (record.otlp === undefined || !isJsonObject(value)) return { ...record, value, replaced }
  const inner = value.logRecord ?? value.span
  return isJsonObject(inner)
    ? {
        ...record,
        value,
        replaced,
        otlp: decodeOtlpRecord(record.otlp.signal, value.resource, value.scope, inner),
      }
    : { ...record, value, replaced }
}

function finish(
  event: MappedEvent,
  record: ReadableRecord,
  { hasUnusualNumber }: JsonShape,
  mappingId: string,
  context: TurnContext,
): ObservedEvent {
  const { text } = record
  const notes = [...event.notes]
  if (hasUnusualNumber && hasUnsafeInteger(text)) notes.push('numbers:beyond_2^53')
  if (record.replaced === true) notes.push('values:replaced')
  const checked = event.checked === true ? event.fields : undefined
  const isExact = !hasUnusualNumber || !hasInexactNumber(text)
  if (event.whole && notes.length === 0 && !hasRaw(event.fields) && isExact) {
    const own = { 'raw.size_bytes': byteLength(text) }
    const made = complete(mappedDraft(event.fields, mappingId, own), notes, context, checked)
    if (isWhole(made)) return made
  }
  const own = rawFields(event.fields, text)
  return complete(mappedDraft(event.fields, mappingId, own), notes, context, checked)
}

function mappedDraft(fields: FieldDraft, mappingId: string, own: FieldDraft): FieldDraft {
  return {
    'source.trust': 'asserted',
    ...fields,
    'record.disposition': 'mapped',
    'mapping.id': mappingId,
    ...own,
  }
}

/** True when nothing of the draft was cut or left out. */
function isWhole(event: ObservedEvent): boolean {
  return (
    event['record.notes'] === undefined &&
    event['arguments.capture'] !== 'truncated' &&
    event['result.capture'] !== 'truncated'
  )
}

function hasRaw(fields: FieldDraft): boolean {
  return typeof fields['raw.record'] === 'string' && fields['raw.record'] !== ''
}

/** A collector may send the message that it saw as `raw.record`; else the record itself is the raw one. */
function rawFields(fields: FieldDraft, text: string): FieldDraft {
  const raw = fields['raw.record']
  return typeof raw === 'string' && raw !== ''
    ? {
        'raw.record': raw,
        'raw.size_bytes': fields['raw.size_bytes'] ?? byteLength(raw),
        'raw.encoding': fields['raw.encoding'] ?? 'utf8',
      }
    : { 'raw.record': text, 'raw.size_bytes': byteLength(text), 'raw.encoding': 'utf8' }
}

function keepUnmapped(record: ReadableRecord, reason: string, context: TurnContext): Outcome {
  const draft: FieldDraft = {
    'source.trust': 'asserted',
    ...(record.otlp === undefined
      ? {}
      : {
          ...otlpBaseFields(record.otlp),
          attributes: leftoverAttributes(record.otlp, new Set()),
        }),
    'event.class': 'other',
    'record.disposition': 'unmapped',
    'record.reason': reason,
    ...numberingOf(record),
    ...rawFields({}, record.text),
  }
  return { disposition: 'unmapped', made: [complete(draft, [], context)] }
}

function rejectRecord(
  record: ReadableRecord,
  problem: Omit<RecordProblem, 'record'>,
  context: TurnContext,
): Outcome {
  const safe = redactedProblem(problem, context.redactor)
  const draft: FieldDraft = {
    'event.class': 'other',
    'record.disposition': 'rejected',
    'record.reason': reasonText(safe),
    ...numberingOf(record),
    ...rawFields({}, record.text.toWellFormed()),
  }
  return { disposition: 'rejected', made: [complete(draft, [], context)], problem: safe }
}

/** A record of a numbered source that is not mapped keeps its number: it is no gap. */
function numberingOf({ value, otlp }: DecodedRecord): FieldDraft {
  if (otlp !== undefined || !isJsonObject(value)) return {}
  const { 'source.epoch': epoch, 'source.seq': seq, 'source.prev': prev } = value
  return typeof epoch === 'string' && typeof seq === 'number'
    ? { 'source.epoch': epoch, 'source.seq': seq, 'source.prev': prev }
    : {}
}

/** Bytes are redacted as Latin-1, in which each byte is a character, and kept as base64 unless they are UTF-8. */
function rejectBytes(record: UnreadableRecord, context: TurnContext): Outcome {
  const bytes = Buffer.from(record.bytes)
  const isText = record.code !== 'ENCODING_INVALID'
  const { text, redactions } = context.redactor.redactText(
    bytes.toString(isText ? 'utf8' : 'latin1'),
  )
  const problem = { code: record.code, field: undefined, reason: record.reason }
  const draft: FieldDraft = {
    'event.class': 'other',
    'record.disposition': 'rejected',
    'record.reason': reasonText(problem),
    'raw.record': isText ? text : Buffer.from(text, 'latin1').toString('base64'),
    'raw.encoding': isText ? 'utf8' : 'base64',
    'raw.size_bytes': bytes.length,
    ...(redactions.length === 0
      ? {}
      : {
          redactions: redactions.slice(0, 128).map((entry) => ({ ...entry, path: '/raw.record' })),
          'redaction.count': redactions.length,
        }),
  }
  return { disposition: 'rejected', made: [complete(draft, [], context)], problem }
}

function redactedProblem(
  problem: Omit<RecordProblem, 'record'>,
  redactor: Redactor,
): Omit<RecordProblem, 'record'> {
  // The name of an unknown or duplicate field is content of the sender too.
  const field = problem.field?.slice(0, 256).toWellFormed()
  return {
    ...problem,
    field: field === undefined ? undefined : redactor.redactText(field).text.slice(0, 128),
  }
}

function reasonText({ code, field, reason }: Omit<RecordProblem, 'record'>): string {
  return `${code}: ${field === undefined ? '' : `${field} `}${reason}`.slice(0, maxReason)
}

/**
 * What every event carries, then redaction, then the bounds of the schema. Full sizes are those before redaction.
 *
 * @param draft of this event alone: what is missing is set in it
 * @param checked values that are what the schemas of their fields allow
 */
function complete(
  draft: FieldDraft,
  notes: readonly string[],
  context: TurnContext,
  checked?: FieldDraft,
): ObservedEvent {
  const allNotes = [...notes]
  const { observed } = context
  const occurred = occurredTime(draft['time.occurred'], context.latest, allNotes)
  const args = draft['gen_ai.tool.call.arguments']
  const result = draft['gen_ai.tool.call.result']
  const measured = { args, argsBytes: bytesOf(args), result, resultBytes: bytesOf(result) }
  draft['arguments.size_bytes'] ??= measured.argsBytes
  draft['result.size_bytes'] ??= measured.resultBytes
  draft['source.format'] ??= context.format
  draft['source.id'] = context.sourceId
  if (context.certificate !== undefined) draft['source.certificate'] = context.certificate
  draft['time.observed'] = validTime(draft['time.observed']) ?? observed
  draft['time.occurred'] = occurred ?? observed
  draft['time.source'] = occurred === undefined ? 'inferred' : (draft['time.source'] ?? 'source')
  const redacted = context.redactor.redactEvent(draftAsEvent(draft))
  return asObserved(fitEvent(redacted, allNotes, { measured, checked }))
}

function validTime(value: unknown): Timestamp | undefined {
  return typeof value === 'string' && isTimestamp(value) ? value : undefined
}

/** Fields of a draft come out of a JSON parser. */
function bytesOf(value: unknown): number | undefined {
  return value === undefined ? undefined : jsonBytes(value as JsonValue)
}

/** The cast is safe: the redactor walks any values, and `fitEvent` checks every field afterwards. */
function draftAsEvent(draft: FieldDraft): ObservedEvent {
  return draft as ObservedEvent
}

/** The cast is safe: `complete` sets the fields that an observed event always has, and none of them is given up. */
function asObserved(fields: ReturnType<typeof fitEvent>): ObservedEvent {
  return fields as ObservedEvent
}

function occurredTime(value: unknown, latest: Timestamp, notes: string[]): Timestamp | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  const time = normaliseTimestamp(value)
  if (time === undefined) {
    notes.push('time.occurred:invalid')
    return undefined
  }
  if (time <= latest) return time
  notes.push('time.occurred:clamped')
  return latest
}

/** Digest of a record whose number or id says whether it came before; '' for others. */
function digestOf(
  { value, text }: ReadableRecord,
  made: readonly ObservedEvent[],
  digest: Digest,
): string {
  const isNumbered = made.some((event) => event['source.seq'] !== undefined)
  const isNamed = made.some((event) => event['source.event.id'] !== undefined)
  if (!isNumbered && !isNamed) return ''
  try {
    return sentDigest(digest, value)
  } catch {
    // No canonical form (a lone surrogate): a chain cannot be checked over this record, its content be compared.
    return isNumbered ? '' : hex(digest(Buffer.from(text)))
  }
}

/** SHA-256, hex, under which the sequencer knows a request again: of its body, or of the key that the sender chose. */
export function requestDigest(
  digest: Digest,
  body: Uint8Array,
  idempotencyKey: string | undefined,
): string {
  const input =
    idempotencyKey === undefined ? body : Buffer.from(`idempotency-key\n${idempotencyKey}`)
  return hex(digest(input))
}
