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
import { hasInexactNumber, hasUnsafeInteger, jsonDepth } from './scan-json.ts'

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
  /** `source.format` where a mapping does not know better. */
  readonly format: string
  readonly nowMs: number
  readonly redactor: Redactor
  readonly mappings: readonly Mapping[]
  readonly digest: Digest
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
  for (const [ordinal, record] of records.entries()) {
    const { disposition, made, problem } = receiveRecord(record, context)
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

function receiveRecord(record: ReceivedRecord, context: ReceiveContext): Outcome {
  if (!record.readable) return rejectBytes(record, context)
  const fault = structuralFault(record.text)
  if (fault !== undefined) return rejectRecord(record, fault, context)
  const sound = mayLackCanonicalForm(record.text) ? repaired(record) : record
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
    made: result.map((event) => finish(event, sound, mapping.id, context)),
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

function structuralFault(text: string): Omit<RecordProblem, 'record'> | undefined {
  if (jsonDepth(text) > maxJsonDepth) {
    return {
      code: 'RECORD_INVALID',
      field: undefined,
      reason: `is nested deeper than ${maxJsonDepth} levels`,
    }
  }
  const duplicate = findDuplicateKey(text)
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
  mappingId: string,
  context: ReceiveContext,
): ObservedEvent {
  const notes = [...event.notes]
  if (hasUnsafeInteger(record.text)) notes.push('numbers:beyond_2^53')
  if (record.replaced === true) notes.push('values:replaced')
  const draft: FieldDraft = {
    'source.trust': 'asserted',
    ...event.fields,
    'record.disposition': 'mapped',
    'mapping.id': mappingId,
  }
  const { text } = record
  if (event.whole && notes.length === 0 && !hasRaw(event.fields) && !hasInexactNumber(text)) {
    const made = complete({ ...draft, 'raw.size_bytes': byteLength(text) }, notes, context)
    if (isWhole(made)) return made
  }
  return complete({ ...draft, ...rawFields(event.fields, text) }, notes, context)
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

function keepUnmapped(record: ReadableRecord, reason: string, context: ReceiveContext): Outcome {
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
  context: ReceiveContext,
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
function rejectBytes(record: UnreadableRecord, context: ReceiveContext): Outcome {
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

/** What every event carries, then redaction, then the bounds of the schema. Full sizes are those before redaction. */
function complete(
  draft: FieldDraft,
  notes: readonly string[],
  context: ReceiveContext,
): ObservedEvent {
  const allNotes = [...notes]
  const observed = timestampFromMs(context.nowMs)
  const occurred = occurredTime(draft['time.occurred'], context.nowMs, allNotes)
  const measured = new Map<unknown, number>()
  const sized = {
    ...draft,
    'arguments.size_bytes':
      draft['arguments.size_bytes'] ?? measure(draft['gen_ai.tool.call.arguments'], measured),
    'result.size_bytes':
      draft['result.size_bytes'] ?? measure(draft['gen_ai.tool.call.result'], measured),
    'source.format': draft['source.format'] ?? context.format,
    'source.id': context.sourceId,
    'time.observed': validTime(draft['time.observed']) ?? observed,
    'time.occurred': occurred ?? observed,
    'time.source': occurred === undefined ? 'inferred' : (draft['time.source'] ?? 'source'),
  }
  return asObserved(fitEvent(context.redactor.redactEvent(draftAsEvent(sized)), allNotes, measured))
}

function validTime(value: unknown): Timestamp | undefined {
  return typeof value === 'string' && isTimestamp(value) ? value : undefined
}

/** Fields of a draft come out of a JSON parser. */
function measure(value: unknown, measured: Map<unknown, number>): number | undefined {
  if (value === undefined) return undefined
  const bytes = jsonBytes(value as JsonValue)
  measured.set(value, bytes)
  return bytes
}

/** The cast is safe: the redactor walks any values, and `fitEvent` checks every field afterwards. */
function draftAsEvent(draft: FieldDraft): ObservedEvent {
  return draft as ObservedEvent
}

/** The cast is safe: `complete` sets the fields that an observed event always has, and none of them is given up. */
function asObserved(fields: ReturnType<typeof fitEvent>): ObservedEvent {
  return fields as ObservedEvent
}

function occurredTime(value: unknown, nowMs: number, notes: string[]): Timestamp | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  const time = normaliseTimestamp(value)
  if (time === undefined) {
    notes.push('time.occurred:invalid')
    return undefined
  }
  const latest = timestampFromMs(nowMs + maxAheadMs)
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
