import type { DecodedRecord } from '../mappings/mapping.ts'

/** One record of a request, as far as its bytes could be read. */
export type ReceivedRecord = ReadableRecord | UnreadableRecord

export interface ReadableRecord extends DecodedRecord {
  readonly readable: true
  /** The record exactly as it was sent. */
  readonly text: string
  /** Set when `value` differs from the text in what no event can hold: lone surrogates, numbers beyond a double. */
  readonly replaced?: true
}

/** Bytes that are no record: kept as rejected, with the reason, and redacted like any other. */
export interface UnreadableRecord {
  readonly readable: false
  readonly bytes: Uint8Array
  readonly code: 'RECORD_INVALID' | 'ENCODING_INVALID'
  /** What is wrong and where; never content. */
  readonly reason: string
}
