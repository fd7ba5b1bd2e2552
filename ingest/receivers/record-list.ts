import { SealtrailError } from '../../schemas/errors.ts'
import type { ReceivedRecord } from './received-record.ts'

/** Most records of one request: an empty record costs two bytes of a body and about a kilobyte of the ledger. */
export const maxRequestRecords = 10_000
/** Most characters of all records: OTLP names resource and scope once, and each record is kept with its own copy. */
export const maxRecordChars = 32 * 1024 * 1024

/** Records of one request, bounded: a small body must not unfold into more than the process can hold. */
export class RecordList {
  readonly records: ReceivedRecord[] = []
  private chars = 0

  /**
   * @param chars of the record that `make` builds: a list that is full builds no more.
   * @throws SealtrailError `BODY_TOO_LARGE`
   */
  add(chars: number, make: () => ReceivedRecord): void {
    this.chars += chars
    if (this.records.length >= maxRequestRecords) {
      throw tooLarge(`the request holds more than ${maxRequestRecords} records`)
    }
    if (this.chars > maxRecordChars) {
      throw tooLarge(
        `the records of the request, each with its resource and scope, have more than ${maxRecordChars} characters`,
      )
    }
    this.records.push(make())
  }
}

function tooLarge(message: string): SealtrailError {
  return new SealtrailError('BODY_TOO_LARGE', message, {
    hint: 'Send fewer records in a request; a batch of 500 is a good size.',
  })
}
