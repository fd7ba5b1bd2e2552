import { parentPort } from 'node:worker_threads'
import { decodeEntryBundle } from '../../schemas/tlog/tiles.ts'
import { checkPayloads } from './check-payloads.ts'
import type { PackedFindings, PackedPayloads } from './payload-workers.ts'

/** Entry of a thread of `payload-workers.ts`: one answer to each message. */
parentPort?.on('message', (packed: PackedPayloads) => {
  let at = 0
  const payloads = Array.from(packed.lengths, (length) => {
    at += length
    return length === 0 ? undefined : packed.payloads.subarray(at - length, at)
  })
  const found: PackedFindings = {
    id: packed.id,
    ...checkPayloads({
      logId: packed.logId,
      fromIndex: packed.fromIndex,
      leaves: decodeEntryBundle(packed.leaves, packed.lengths.length),
      payloads,
      keyOf: (keyId) => packed.keys.get(keyId) ?? 'lost',
    }),
  }
  parentPort?.postMessage(found)
})
