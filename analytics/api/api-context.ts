import type { FastifyBaseLogger } from 'fastify'
import type { LedgerReader } from '../../ledger/committed.ts'
import type { Control } from '../../ledger/control/control.ts'
import type { Keyring } from '../../ledger/keyring.ts'
import type { LedgerAppender } from '../../ledger/ledger-appender.ts'
import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { PayloadStore } from '../../ledger/payload-store.ts'
import type { Signer } from '../../ledger/signer.ts'
import type { LogAnchoring } from '../../schemas/api/anchors.ts'
import type { IntegrityReply, LogIntegrity, VerifyProgress } from '../../schemas/api/integrity.ts'
import type { RecordedEvent } from '../../schemas/event/event.ts'
import type { RedactionPolicy } from '../../schemas/redaction-policy.ts'
import type { IntakeOfSource } from '../../schemas/source-quota.ts'
import type { HashReader } from '../../schemas/tlog/merkle.ts'
import type { Eraser } from '../erasure/eraser.ts'
import type { ColumnarClient } from '../store/columnar-client.ts'
import type { ExportShelf } from './export-shelf.ts'
import type { IdentityProvider } from './identity-provider.ts'
import type { InspectedValue } from './redaction-preview.ts'
import type { SessionStore } from './session-store.ts'

/** The tree of a log as the API needs it for proofs. */
export type LogTree = HashReader & { readonly size: number }

/** Everything that routes use, wired in cli/. */
export interface ApiContext {
  readonly version: string
  readonly clock: () => number
  readonly logger: FastifyBaseLogger
  /** The tenant's log that people read; `_system` is reached by admins. */
  readonly logId: string
  readonly control: Control
  readonly sessions: SessionStore
  /** The identity provider that people may sign in with; absent where there is none. */
  readonly identityProvider?: IdentityProvider | undefined
  readonly reader: LedgerReader
  readonly storage: LedgerStorage
  readonly payloads: PayloadStore
  readonly keyring: Keyring
  readonly signer: Signer
  readonly appender: LedgerAppender
  readonly columnar: ColumnarClient
  tree(logId: string): LogTree
  /** RFC 6962 root over all durable leaves. */
  root(logId: string): Uint8Array
  /** Leaves of a log that are in the columnar store. */
  indexed(logId: string): number
  /** Leaves of a log that the detectors have passed. */
  judged(logId: string): number
  /** Resolves when the columnar store reached the tree size, or the time is over. */
  waitUntilIndexed(logId: string, treeSize: number, timeoutMs: number): Promise<boolean>
  projection(logId: string): LogIntegrity['projection']
  columnarState(): IntegrityReply['columnar']
  rebuildState(): IntegrityReply['rebuild']
  bus(): Promise<IntegrityReply['bus']>
  /** What an operator must see to now, in sentences. */
  warnings(): string[]
  /** Signs what is committed now. */
  publishCheckpoints(): Promise<void>
  /** What anchors outside hold of a log. */
  anchoring(logId: string): LogAnchoring
  /** Puts the newest checkpoint outside now; resolves when the anchors answered, or the time is over. */
  settleAnchors(logId: string, timeoutMs: number): Promise<void>
  /** Recomputes a log from stored bytes. */
  verify(logId: string): AsyncIterable<VerifyProgress>
  /** What a source sent since this process began; undefined when nothing. */
  intakeOf(sourceId: string): IntakeOfSource | undefined
  /** What a redaction policy would replace in a stored event. Pure. */
  inspectRedaction(event: RecordedEvent, policy: RedactionPolicy): readonly InspectedValue[]
  readonly eraser: Eraser
  /** Evidence bundles until they are fetched. */
  readonly exports: ExportShelf
}
