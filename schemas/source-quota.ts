/** How much one source may send. */
export type SourceQuota = {
  readonly eventsPerSecond: number
  /** Of bodies as they are unpacked. */
  readonly bytesPerSecond: number
  /** Raw bytes of unmapped and rejected records a day (UTC). Past it their hash and size are kept, not their bytes. */
  readonly rejectedBytesPerDay: number
}

/** Generous: one source that runs wild must not fill the disk of all, and none that is busy be stopped. */
export const defaultSourceQuota: SourceQuota = {
  eventsPerSecond: 50_000,
  bytesPerSecond: 64 * 1024 * 1024,
  rejectedBytesPerDay: 1024 * 1024 * 1024,
}

/** What a source delivered since this process began, and how much of its quota it uses. */
export interface IntakeOfSource {
  readonly requests: number
  readonly records: number
  readonly duplicates: number
  /** Requests that were refused because of the quota. */
  readonly refused: number
  /** Raw bytes of unmapped and rejected records of this day (UTC). */
  readonly rejectedBytesToday: number
  /** Records of which only hash and size were kept, of this day. */
  readonly hashedToday: number
  /** Means over the last minute, roughly. */
  readonly eventsPerSecond: number
  readonly bytesPerSecond: number
}
