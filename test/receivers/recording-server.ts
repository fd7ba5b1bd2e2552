import Fastify, { type FastifyInstance } from 'fastify'
import type { EventBus, PackedBatch } from '../../ingest/bus/event-bus.ts'
import type { ReceiverCounts, ReceiverDeps } from '../../ingest/receivers/receiver-deps.ts'
import { registerReceivers } from '../../ingest/receivers/register-receivers.ts'
import { SourceIntake } from '../../ingest/receivers/source-intake.ts'
import type { BusPosition } from '../../ledger/segment.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { defaultRedactionPolicy } from '../../schemas/redaction-policy.ts'
import { defaultSourceQuota, type SourceQuota } from '../../schemas/source-quota.ts'

export const nowMs = Date.parse('2026-11-24T13:20:00.000Z')
export const sourceKey = 'sts-test'

export interface RecordingServer {
  readonly app: FastifyInstance
  readonly deps: ReceiverDeps
  readonly batches: PackedBatch[]
  readonly counts: ReceiverCounts[]
  readonly clock: { nowMs: number }
  events(): ObservedEvent[]
}

/** Receivers on a Fastify server, over a bus that keeps what it is given and hands out receipts for it. */
export function startRecordingServer(
  options: {
    durable?: boolean
    publishError?: Error
    quota?: SourceQuota
    deps?: Partial<ReceiverDeps>
  } = {},
): RecordingServer {
  const batches: PackedBatch[] = []
  const clock = { nowMs }
  const counts: ReceiverCounts[] = []
  const firstOf = new Map<string, number>()
  let size = 0
  const bus: EventBus = {
    durable: options.durable ?? false,
    async publish(batch): Promise<BusPosition> {
      if (options.publishError !== undefined) throw options.publishError
      const offset = String(batches.push(batch) - 1)
      firstOf.set(offset, size)
      size += batch.events.length
      return { topic: 't', incarnation: 'i', partition: 0, offset }
    },
    consume: () => Promise.reject(new Error('not consumed here')),
    lag: async () => 0,
    close: async () => undefined,
  }
  const app = Fastify({ logger: false })
  const deps: ReceiverDeps = {
    authenticate: async (token) =>
      token === sourceKey ? { sourceId: 's1', logId: 'main' } : undefined,
    bus,
    intake: new SourceIntake(
      () => options.quota ?? defaultSourceQuota,
      () => clock.nowMs,
    ),
    waitForReceipt: ({ offset }) => {
      const first = firstOf.get(offset) ?? 0
      const count = batches[Number(offset)]?.events.length ?? 0
      return Promise.resolve({
        log: 'main',
        leaves: [{ first, count }],
        treeSize: first + count,
        root: String(first + count).padStart(64, '0'),
        duplicates: 0,
      })
    },
    committed: (_sourceId, _logId, epoch) =>
      [
        { epoch: 'e1', seq: 41 },
        { epoch: 'e0', seq: 7 },
      ].filter((mark) => epoch === undefined || mark.epoch === epoch),
    tokenKey: () => new Uint8Array(32).fill(7),
    redactionPolicy: () => defaultRedactionPolicy,
    clock: () => clock.nowMs,
    logger: app.log,
    onCounted: (each) => counts.push(each),
    ...options.deps,
  }
  registerReceivers(app, deps)
  return {
    app,
    deps,
    batches,
    counts,
    clock,
    events: () => batches.flatMap((batch) => batch.events),
  }
}

export const authorization = { authorization: `Bearer ${sourceKey}` }
