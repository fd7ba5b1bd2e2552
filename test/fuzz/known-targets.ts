import type { FuzzTarget } from './fuzz-target.ts'
import { bodyEncoding } from './targets/body-encoding.ts'
import { ledgerByteTargets } from './targets/ledger-bytes.ts'
import { mcpObserver } from './targets/mcp-observer.ts'
import { receivedRecordTargets } from './targets/received-records.ts'
import { textTargets } from './targets/texts.ts'

/** Every decoder of bytes that somebody else wrote. */
export const knownTargets: readonly FuzzTarget[] = [
  ...receivedRecordTargets,
  bodyEncoding,
  mcpObserver,
  ...ledgerByteTargets,
  ...textTargets,
]
