import type { LedgerStorage } from '../../ledger/ledger-storage.ts'
import type { Segment } from '../../ledger/segment.ts'
import { decodeSegment, encodeSegment } from '../../ledger/storage/segment-codec.ts'
import { SealtrailError } from '../../schemas/errors.ts'

const maxKeyBytes = 1024
const maxValueBytes = 16 * 1024 * 1024

/**
 * What immudb is, as far as the contract touches it: keys with revisions, a set of several keys with the precondition
 * KeyMustNotExist, reads at revision 1, no scan that may be trusted for completeness. The data outlives the client.
 */
export class ImmudbDouble {
  private readonly revisions = new Map<string, Uint8Array[]>()

  async setAll(
    entries: readonly { key: string; value: Uint8Array }[],
    mustNotExist: boolean,
  ): Promise<void> {
    // The round trip: another client may commit meanwhile.
    await new Promise((resolve) => setImmediate(resolve))
    for (const { key, value } of entries) {
      if (Buffer.byteLength(key) > maxKeyBytes || value.length > maxValueBytes)
        throw new Error('entry too large')
      if (mustNotExist && this.revisions.has(key))
        throw new Error('precondition failed: key must not exist')
    }
    for (const { key, value } of entries) {
      this.revisions.set(key, [...(this.revisions.get(key) ?? []), value.slice()])
    }
  }

  async getAtRevision(key: string, revision: number): Promise<Uint8Array | undefined> {
    await new Promise((resolve) => setImmediate(resolve))
    return this.revisions.get(key)?.[revision - 1]
  }

  async revisionCount(key: string): Promise<number> {
    return this.revisions.get(key)?.length ?? 0
  }
}

/** LedgerStorage as a server implementation would keep it: segments as keys, found by following `nextIndex`. */
export function openImmudbStorage(database: ImmudbDouble): LedgerStorage {
  const segmentKey = (logId: string, from: number) => `s/${logId}/${String(from).padStart(16, '0')}`
  const checkpointKey = (logId: string, size: number) =>
    `c/${logId}/${String(size).padStart(16, '0')}`
  const logs = new Set<string>()
  const sizes = new Map<string, number[]>()

  async function* read(logId: string, fromIndex: number): AsyncIterable<Segment> {
    for (let at = 0; ; ) {
      const bytes = await database.getAtRevision(segmentKey(logId, at), 1)
      if (bytes === undefined) return
      const segment = decodeSegment(bytes)
      if (segment.nextIndex > fromIndex) yield segment
      at = segment.nextIndex
    }
  }
  async function size(logId: string): Promise<number> {
    let next = 0
    for await (const segment of read(logId, 0)) next = segment.nextIndex
    return next
  }
  return {
    async appendSegment(logId, segment) {
      const at = await size(logId)
      if (segment.fromIndex !== at)
        throw new SealtrailError('LEDGER_CONFLICT', `log ${logId} continues at ${at}`)
      try {
        await database.setAll(
          [{ key: segmentKey(logId, segment.fromIndex), value: encodeSegment(segment) }],
          true,
        )
      } catch (cause) {
        throw new SealtrailError(
          'LEDGER_CONFLICT',
          `index ${segment.fromIndex} of ${logId} is taken`,
          { cause },
        )
      }
      logs.add(logId)
    },
    async readSegment(logId, fromIndex) {
      const bytes = await database.getAtRevision(segmentKey(logId, fromIndex), 1)
      return bytes === undefined ? undefined : decodeSegment(bytes)
    },
    readSegments: read,
    async *readHeaders(logId) {
      for await (const { leaves: _, ...header } of read(logId, 0)) yield header
    },
    size,
    async writeCheckpoint(logId, treeSize, note) {
      const key = checkpointKey(logId, treeSize)
      const stored = await database.getAtRevision(key, 1)
      if (stored !== undefined && Buffer.from(stored).toString() === note) return
      try {
        await database.setAll([{ key, value: Buffer.from(note) }], true)
      } catch (cause) {
        throw new SealtrailError(
          'LEDGER_CONFLICT',
          `log ${logId} has another checkpoint of size ${treeSize}`,
          { cause },
        )
      }
      sizes.set(logId, [...(sizes.get(logId) ?? []), treeSize])
    },
    async readCheckpoint(logId, treeSize) {
      const bytes = await database.getAtRevision(checkpointKey(logId, treeSize), 1)
      return bytes === undefined ? undefined : Buffer.from(bytes).toString()
    },
    checkpointSizes: async (logId) => [...(sizes.get(logId) ?? [])],
    logIds: async () => [...logs].sort(),
    close: async () => undefined,
  }
}
