import type { JsonValue } from '../../schemas/leaf/canonical-json.ts'
import { decodeOtlpRecords, isOtlpExport } from './decode-otlp-records.ts'
import type { ReceivedRecord } from './received-record.ts'
import { RecordList } from './record-list.ts'
import { arrayElements, jsonErrorOffset, lineOf } from './scan-json.ts'

export interface DecodedBody {
  readonly records: readonly ReceivedRecord[]
  /** Set when the body as a whole could not be read; it is then kept as the one record. */
  readonly malformed: { readonly line: number; readonly offset: number } | undefined
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Records of a JSON body: one object, or a list of them. An OTLP export counts as its records.
 *
 * @throws SealtrailError `BODY_TOO_LARGE` when there are too many.
 */
export function decodeJsonBody(body: Uint8Array): DecodedBody {
  const text = decode(body)
  if (text === undefined) return { records: [notUtf8(body)], malformed: undefined }
  const value = parse(text)
  if (value === undefined) {
    const offset = jsonErrorOffset(text)
    const line = lineOf(text, offset)
    return {
      records: [
        {
          readable: false,
          bytes: body,
          code: 'RECORD_INVALID',
          reason: `is not JSON from line ${line}, offset ${offset}`,
        },
      ],
      malformed: { line, offset },
    }
  }
  const list = new RecordList()
  if (Array.isArray(value)) {
    for (const { from, until } of arrayElements(text, 0)) readRecord(list, text.slice(from, until))
  } else readRecord(list, text, value)
  return { records: list.records, malformed: undefined }
}

/**
 * Records of newline-delimited JSON. Lines are cut at the byte 0x0A, which stands in no other UTF-8 character; blank
 * lines are no records; a line that cannot be read does not spoil the others.
 *
 * @throws SealtrailError `BODY_TOO_LARGE` when there are too many.
 */
export function decodeNdjsonBody(body: Uint8Array): DecodedBody {
  const list = new RecordList()
  let line = 0
  for (let from = 0; from < body.length; ) {
    const newline = body.indexOf(0x0a, from)
    const until = newline < 0 ? body.length : newline
    line++
    const bytes = body.subarray(from, until)
    if (!isBlankLine(bytes)) readLine(list, bytes, line)
    from = until + 1
  }
  return { records: list.records, malformed: undefined }
}

function readLine(list: RecordList, bytes: Uint8Array, line: number): void {
  const text = decode(bytes)
  const value = text === undefined ? undefined : parse(text)
  if (text === undefined) list.add(bytes.length, () => notUtf8(bytes))
  else if (value !== undefined) readRecord(list, text.trim(), value)
  else {
    const reason = `is not JSON: line ${line}, offset ${jsonErrorOffset(text)} of the line`
    list.add(bytes.length, () => ({ readable: false, bytes, code: 'RECORD_INVALID', reason }))
  }
}

function readRecord(list: RecordList, text: string, parsed?: JsonValue): void {
  const value: JsonValue = parsed === undefined ? JSON.parse(text) : parsed
  if (isOtlpExport(value)) decodeOtlpRecords(text, list)
  else list.add(text.length, () => ({ readable: true, text, value }))
}

function isBlankLine(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09)
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function parse(text: string): JsonValue | undefined {
  try {
    const value: JsonValue = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

function notUtf8(bytes: Uint8Array): ReceivedRecord {
  return { readable: false, bytes, code: 'ENCODING_INVALID', reason: 'is not valid UTF-8' }
}
