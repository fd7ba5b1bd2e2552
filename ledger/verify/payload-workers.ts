import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { encodeEntryBundle } from '../../schemas/tlog/tiles.ts'
import { keyIdOf } from '../payloads/sealed-payload.ts'
import {
  checkPayloads,
  type KeyState,
  type PayloadBatch,
  type PayloadChecker,
  type PayloadFindings,
} from './check-payloads.ts'

/** A batch as it goes to another thread: few buffers, the large one handed over, not copied. */
export interface PackedPayloads {
  readonly id: number
  readonly logId: string
  readonly fromIndex: number
  readonly leaves: Uint8Array
  /** Bytes of each payload; 0 where the leaf has none. */
  readonly lengths: Uint32Array
  readonly payloads: Uint8Array<ArrayBuffer>
  readonly keys: ReadonlyMap<string, KeyState>
}

export interface PackedFindings extends PayloadFindings {
  readonly id: number
}

interface Thread {
  readonly worker: Worker
  readonly waiting: Map<number, { done: (found: PayloadFindings) => void; fail: () => void }>
}

/** A log of fewer leaves is checked before the threads would have started. */
const worthThreadsLeaves = 20_000

/**
 * Threads for a log of this size, as many as this machine has processors unless there are fewer to be had; undefined
 * where they are not worth their start.
 */
export function payloadWorkersFor(
  leaves: number,
  most = availableParallelism(),
): ReturnType<typeof openPayloadWorkers> | undefined {
  return leaves < worthThreadsLeaves
    ? undefined
    : openPayloadWorkers(Math.min(most, availableParallelism()))
}

/**
 * Checks payloads on other threads. What a thread did not answer before it died is checked on this one.
 *
 * @param count of threads
 */
export function openPayloadWorkers(
  count: number,
  start: () => Worker = startPayloadWorker,
): PayloadChecker & { close(): Promise<void> } {
  return new PayloadWorkers(Array.from({ length: count }, start))
}

class PayloadWorkers implements PayloadChecker {
  private threads: Thread[]
  private next = 0

  constructor(workers: readonly Worker[]) {
    this.threads = workers.map((worker) => {
      const thread: Thread = { worker, waiting: new Map() }
      worker.on('message', ({ id, ...found }: PackedFindings) => {
        thread.waiting.get(id)?.done(found)
        thread.waiting.delete(id)
      })
      const lost = () => {
        this.threads = this.threads.filter((each) => each !== thread)
        for (const { fail } of thread.waiting.values()) fail()
        thread.waiting.clear()
      }
      worker.once('error', lost)
      worker.once('exit', lost)
      return thread
    })
  }

  async check(batch: PayloadBatch): Promise<PayloadFindings> {
    const [thread] = this.threads.toSorted((a, b) => a.waiting.size - b.waiting.size)
    if (thread === undefined) return checkPayloads(batch)
    const packed = pack(this.next++, batch)
    return new Promise((resolve) => {
      thread.waiting.set(packed.id, {
        done: resolve,
        fail: () => resolve(checkPayloads(batch)),
      })
      thread.worker.postMessage(packed, [packed.payloads.buffer])
    })
  }

  async close(): Promise<void> {
    for (const { worker } of this.threads) await worker.terminate()
  }
}

function pack(
  id: number,
  { logId, fromIndex, leaves, payloads, keyOf }: PayloadBatch,
): PackedPayloads {
  const lengths = Uint32Array.from(payloads, (payload) => payload?.length ?? 0)
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0))
  const keys = new Map<string, KeyState>()
  let at = 0
  for (const payload of payloads) {
    if (payload === undefined) continue
    bytes.set(payload, at)
    at += payload.length
    const keyId = keyIdOf(payload)
    if (!keys.has(keyId)) keys.set(keyId, keyOf(keyId))
  }
  return { id, logId, fromIndex, leaves: encodeEntryBundle(leaves), lengths, payloads: bytes, keys }
}

/** One thread, idle until it is asked. */
export function startPayloadWorker(): Worker {
  return new Worker(new URL('./payload-worker.mjs', import.meta.url))
}
