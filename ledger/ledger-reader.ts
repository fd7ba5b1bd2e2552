import { setImmediate as nextTurn } from 'node:timers/promises'
import { hex } from '../schemas/bytes.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { openLeaf, type ParsedLeaf, parseLeaf, verifyOpening } from '../schemas/leaf/open-leaf.ts'
import { leafHash } from '../schemas/tlog/merkle.ts'
import type { CommittedLeaf, LedgerReader } from './committed.ts'
import type { Keyring } from './keyring.ts'
import type { LedgerStorage } from './ledger-storage.ts'
import type { PayloadStore } from './payload-store.ts'
import { openPayload } from './payloads/sealed-payload.ts'
import { sha256 } from './sha256.ts'

export interface LedgerReaderParts {
  readonly storage: LedgerStorage
  readonly payloads: PayloadStore
  readonly keyring: Keyring
}

/** Reads logs from stored bytes, checking each payload against its leaf. */
export function createLedgerReader(parts: LedgerReaderParts): LedgerReader {
  return new StoredLedgerReader(parts)
}

/** Leaves opened before whoever waits for an answer gets his turn: a few milliseconds. */
const leavesATurn = 32

class StoredLedgerReader implements LedgerReader {
  private readonly parts: LedgerReaderParts

  constructor(parts: LedgerReaderParts) {
    this.parts = parts
  }

  size(logId: string): Promise<number> {
    return this.parts.storage.size(logId)
  }

  logIds(): Promise<string[]> {
    return this.parts.storage.logIds()
  }

  async *read(logId: string, from: number, until: number): AsyncIterable<readonly CommittedLeaf[]> {
    if (from >= until) return
    for await (const segment of this.parts.storage.readSegments(logId, from)) {
      const first = Math.max(from, segment.fromIndex)
      const last = Math.min(until, segment.nextIndex)
      if (first >= last) return
      const payloads = await this.parts.payloads.getRange(logId, first, last)
      const leaves: CommittedLeaf[] = []
      for (let index = first; index < last; index++) {
        const leaf = segment.leaves[index - segment.fromIndex]
        if (leaf === undefined)
          throw new SealtrailError('LEDGER_CORRUPT', `leaf ${index} of ${logId} is missing`)
        leaves.push(this.openOne(logId, index, leaf, payloads[index - first]))
        if (leaves.length % leavesATurn === 0) await nextTurn()
      }
      yield leaves
      if (segment.nextIndex >= until) return
    }
  }

  async readOne(logId: string, index: number): Promise<CommittedLeaf | undefined> {
    for await (const leaves of this.read(logId, index, index + 1)) return leaves[0]
    return undefined
  }

  private openOne(
    logId: string,
    index: number,
    leaf: Uint8Array,
    payload: Uint8Array | undefined,
  ): CommittedLeaf {
    try {
      return openCommitted(logId, index, leaf, payload, (keyId) =>
        this.parts.keyring.openingKey(logId, keyId),
      )
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new SealtrailError('LEDGER_CORRUPT', `leaf ${index} of ${logId}: ${why}`, { cause })
    }
  }
}

/** Opens one leaf with its payload and checks both against the commitments. */
export function openCommitted(
  logId: string,
  index: number,
  leaf: Uint8Array,
  payload: Uint8Array | undefined,
  keyOf: (keyId: string) => Uint8Array | undefined,
): CommittedLeaf {
  const { event, opened } = openParsed(parseLeaf(leaf), payload, keyOf)
  const hash = Uint8Array.from(leafHash(sha256, leaf))
  return { logId, index, leaf, leafHash: hash, event, opened }
}

/**
 * The event of a leaf with its payload, both checked against the commitments.
 *
 * @throws SealtrailError `PAYLOAD_MISSING`, `LEDGER_CORRUPT`
 */
export function openParsed(
  leaf: ParsedLeaf,
  payload: Uint8Array | undefined,
  keyOf: (keyId: string) => Uint8Array | undefined,
): Pick<CommittedLeaf, 'event' | 'opened'> {
  if (leaf.payload === undefined) return { event: openLeaf(leaf, []), opened: 'full' }
  if (payload === undefined) return { event: openLeaf(leaf, []), opened: 'erased' }
  if (hex(sha256(payload)) !== leaf.payload.sha256) {
    throw new SealtrailError('PAYLOAD_MISSING', 'the payload is not the one that the leaf names')
  }
  const openings = openPayload(payload, keyOf)
  if (openings === 'destroyed') return { event: openLeaf(leaf, []), opened: 'erased' }
  for (const opening of openings) {
    if (!verifyOpening(sha256, leaf, opening)) {
      throw new SealtrailError(
        'PAYLOAD_MISSING',
        `group ${opening.group} is not what the leaf commits to`,
      )
    }
  }
  return { event: openLeaf(leaf, openings), opened: 'full' }
}
