import type { BusPosition } from '../../ledger/segment.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'

/** Records of one request, on their way from a receiver to the sequencer of one log. */
export interface PackedBatch {
  readonly version: 1
  readonly logId: string
  readonly sourceId: string
  /** Name of the chain key of the secret that this came under; absent: that of the source. */
  readonly chainKeyId?: string
  /** SHA-256 of the request body, or of the Idempotency-Key; with `ordinal` it identifies a record of this request. */
  readonly requestDigest: string
  /** Ordinal of the first event within the request. */
  readonly firstOrdinal: number
  /** Number of records in the whole request; the request is complete when the last of them is committed. */
  readonly requestCount: number
  /** Redacted, mapped or kept raw. At most 256, at most 512 KiB as JSON (one larger event travels alone). */
  readonly events: readonly ObservedEvent[]
  /** SHA-256 (hex) of each record as sent, where it has a number or an id of its source, else ''; see schemas/source-chain.ts. */
  readonly sentDigests?: readonly string[]
}

export const maxBatchEvents = 256
export const maxBatchBytes = 512 * 1024

export interface BusMessage {
  readonly position: BusPosition
  readonly batch: PackedBatch
}

/** A message that could not be opened. It is put on the record as rejected, with hash and size, never retried for ever. */
export interface PoisonMessage {
  readonly position: BusPosition
  readonly reason: string
  readonly sha256: string
  readonly sizeBytes: number
}

/** Messages that the bus had accepted and can no longer deliver: a gap, which is put on the record. */
export interface LostMessages {
  /** Of the last one that is lost; undefined when they stood in a topic that is no more. */
  readonly position: BusPosition | undefined
  /** How many; undefined when nobody can know. */
  readonly lost: number | undefined
  readonly reason: string
}

export type Delivered = BusMessage | PoisonMessage | LostMessages

/**
 * Called with messages of one partition, in order. Resolves once every batch is durable in the ledger; only then is
 * the position committed. A rejection means that nothing may be assumed: the messages are delivered again.
 */
export type BusHandler = (messages: readonly Delivered[]) => Promise<void>

/**
 * Carries packed batches from receivers to sequencers, at least once and in order a log.
 * Conformance: `test/conformance/event-bus.ts`. Implementations: in-process, Kafka.
 */
export interface EventBus {
  /** True when an accepted batch survives the death of this process. */
  readonly durable: boolean
  /**
   * Resolves with the position when the bus has accepted the batch (Kafka: acks=all, response checked).
   *
   * @throws SealtrailError `BUS_FULL` (retryable) when the bound of queued bytes is reached.
   * @throws SealtrailError `BUS_UNAVAILABLE` (retryable); the batch may or may not have been accepted.
   */
  publish(batch: PackedBatch): Promise<BusPosition>
  /**
   * Begins delivery to one handler. `committed` are the positions that the ledger already holds: messages at or below
   * them are skipped.
   */
  consume(handler: BusHandler, committed: readonly BusPosition[]): Promise<BusConsumer>
  /** Messages accepted but not yet handled, as far as this process knows. */
  lag(): Promise<number>
  close(): Promise<void>
}

export interface BusConsumer {
  /** Stops taking new messages and resolves when the handler is idle. */
  stop(): Promise<void>
  /** Resolves with the error when delivery ended for good; the process must then end too. */
  readonly failed: Promise<Error>
}
