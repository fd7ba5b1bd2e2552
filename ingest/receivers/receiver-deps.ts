import type { FastifyBaseLogger } from 'fastify'
import type { BusPosition } from '../../ledger/segment.ts'
import type { Receipt } from '../../schemas/receipt.ts'
import type { RedactionPolicy } from '../../schemas/redaction-policy.ts'
import type { ShownCertificate } from '../../schemas/source-certificate.ts'
import type { EventBus } from '../bus/event-bus.ts'
import type { SourceIntake } from './source-intake.ts'

/** Who sends, as its key or its certificate says. */
export interface SourceIdentity {
  readonly sourceId: string
  readonly logId: string
  /** Name of the certificate that the source is bound to, and showed. */
  readonly certificate?: string
  /** Name of the chain key of the secret that it shows; absent: that of the source. */
  readonly chainKeyId?: string
}

/** What became of the records of one request, for metrics and quotas. */
export interface ReceiverCounts {
  readonly sourceId: string
  readonly logId: string
  /** `native`, `otlp_logs`, `otlp_traces` or `otlp_metrics`. */
  readonly receiver: string
  readonly records: number
  readonly mapped: number
  readonly unmapped: number
  readonly rejected: number
  readonly duplicates: number
  readonly bodyBytes: number
}

/** What the receivers need from the rest of the process. */
export interface ReceiverDeps {
  /**
   * Source that a key belongs to, or a certificate where that is enough; undefined when the key is unknown or revoked,
   * or there is none.
   *
   * @throws SealtrailError `CREDENTIALS_INVALID` when the certificate is not the one that the source must show
   */
  authenticate(
    token: string | undefined,
    shown: ShownCertificate,
  ): Promise<SourceIdentity | undefined>
  /** Quotas, and what may be received at once. */
  readonly intake: SourceIntake
  readonly bus: EventBus
  /** Resolves when a batch is durable in the ledger; undefined where this process cannot know (receiver behind Kafka). */
  waitForReceipt(position: BusPosition, timeoutMs: number): Promise<Receipt> | undefined
  /** High-water marks of a numbered source, the epoch heard last first; of one epoch only where it is named. */
  committed(
    sourceId: string,
    logId: string,
    epoch: string | undefined,
  ): readonly { readonly epoch: string; readonly seq: number }[]
  /** Token key of a log: redaction tokens are HMACs under it. */
  tokenKey(logId: string): Uint8Array
  /** What is replaced in the records of a source beside credentials. */
  redactionPolicy(sourceId: string, logId: string): RedactionPolicy
  /** Unix time in milliseconds. */
  clock(): number
  readonly logger: Pick<FastifyBaseLogger, 'info' | 'warn' | 'error'>
  onCounted?(counts: ReceiverCounts): void
  /** How long a sender waits for its receipt. Default 30 s. */
  readonly receiptTimeoutMs?: number
}
