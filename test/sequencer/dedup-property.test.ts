import { rm } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BusMessage, PackedBatch } from '../../ingest/bus/event-bus.ts'
import { DedupState } from '../../ingest/sequencer/dedup.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { hex, utf8 } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import {
  aToolCall,
  type Interposer,
  openEmbeddedLedger,
  temporaryDirectory,
} from '../fixtures/embedded-ledger.ts'

/** What a sender may do, in any order and as often as it likes. */
type Step =
  | { kind: 'numbered'; epoch: string; from: number; count: number }
  | { kind: 'request'; request: number; cutAt: number }
  | { kind: 'identified'; records: readonly { id: number; content: number }[] }
  | { kind: 'restart' }
  /** The next commit fails, and the process with it: before or after its segment is in the log. */
  | { kind: 'crash'; effect: boolean }
  | { kind: 'hours'; hours: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('numbered' as const),
      epoch: fc.constantFrom('a', 'b'),
      from: fc.nat(12),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('request' as const),
      request: fc.nat(3),
      cutAt: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('identified' as const),
      records: fc.array(fc.record({ id: fc.nat(3), content: fc.nat(2) }), {
        minLength: 1,
        maxLength: 4,
      }),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'restart' }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('crash' as const), effect: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('hours' as const),
      hours: fc.integer({ min: 1, max: 2 }),
    }),
  },
)

const recordsOfRequest = 6

/** A ledger whose process dies where a step says so, and comes back. */
class CrashingLedger {
  private readonly directory: string
  private ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>
  private nowMs: number
  private crash: 'before' | 'after' | undefined
  private offset = 0

  private constructor(directory: string, ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>) {
    this.directory = directory
    this.ledger = ledger
    this.nowMs = ledger.clock.nowMs
  }

  static async open(directory: string): Promise<CrashingLedger> {
    const crashing = new CrashingLedger(directory, await openEmbeddedLedger(directory))
    await crashing.restart()
    return crashing
  }

  get reader() {
    return this.ledger.reader
  }

  async restart(): Promise<void> {
    await this.ledger.close().catch(() => undefined)
    const interpose: Interposer = (name, part) =>
      name !== 'storage'
        ? part
        : new Proxy(part, {
            get: (target, property) => {
              const value: unknown = Reflect.get(target, property)
              if (typeof value !== 'function') return value
              if (property !== 'appendSegment') return value.bind(target)
              return async (...args: unknown[]) => {
                const { crash } = this
                this.crash = undefined
                if (crash === 'before') throw new Error('died before the commit')
                await Reflect.apply(value, target, args)
                if (crash === 'after') throw new Error('died after the commit')
              }
            },
          })
    this.ledger = await openEmbeddedLedger(this.directory, interpose)
    this.ledger.clock.nowMs = this.nowMs
  }

  crashNext(when: 'before' | 'after'): void {
    this.crash = when
  }

  hoursPass(hours: number): void {
    this.nowMs += hours * 3_600_000
    this.ledger.clock.nowMs = this.nowMs
  }

  /** False when the sender got no answer. */
  async send(batch: Omit<PackedBatch, 'version' | 'logId' | 'sourceId'>): Promise<boolean> {
    const message: BusMessage = {
      position: { topic: 't', incarnation: 'i', partition: 0, offset: String(this.offset++) },
      batch: { version: 1, logId: 'main', sourceId: 'gateway', ...batch },
    }
    try {
      await this.ledger.sequencer.handle([message])
      return true
    } catch {
      await this.restart()
      return false
    }
  }

  async close(): Promise<void> {
    await this.ledger.close().catch(() => undefined)
  }
}

const marked = (marker: string, fields: Partial<ObservedEvent> = {}) =>
  aToolCall({ 'gen_ai.tool.call.id': marker, ...fields })
const digestOf = (text: string) => hex(sha256(utf8(text)))

describe('deduplication', () => {
  test('each record is in the log once, whatever is repeated, cut, lost or restarted', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 14 }), async (steps) => {
        const directory = await temporaryDirectory()
        const ledger = await CrashingLedger.open(directory)
        try {
          const answered = new Set<string>()
          const sent = new Set<string>()
          let requests = 0
          for (const each of steps) await take(each)
          await check()

          async function take(each: Step): Promise<void> {
            if (each.kind === 'restart') return ledger.restart()
            if (each.kind === 'hours') return ledger.hoursPass(each.hours)
            if (each.kind === 'crash') return ledger.crashNext(each.effect ? 'after' : 'before')
            if (each.kind === 'request') return sendRequest(each.request, each.cutAt)
            const events =
              each.kind === 'numbered'
                ? Array.from({ length: each.count }, (_, i) =>
                    marked(`${each.epoch}/${each.from + i}`, {
                      'source.epoch': each.epoch,
                      'source.seq': each.from + i,
                    }),
                  )
                : each.records.map(({ id, content }) =>
                    marked(`id${id}/${content}`, { 'source.event.id': `id${id}` }),
                  )
            await send(events, {
              requestDigest: `other-${requests++}`,
              firstOrdinal: 0,
              requestCount: events.length,
              sentDigests: events.map((event) => digestOf(markerOf(event))),
            })
          }

          /** In two batches, as a long request travels; the second follows only when the first was answered. */
          async function sendRequest(request: number, cutAt: number): Promise<void> {
            const events = Array.from({ length: recordsOfRequest }, (_, i) =>
              marked(`r${request}/${i}`),
            )
            const parts = [events.slice(0, cutAt), events.slice(cutAt)]
            let firstOrdinal = 0
            for (const part of parts) {
              const taken = await send(part, {
                requestDigest: `request-${request}`,
                firstOrdinal,
                requestCount: events.length,
              })
              if (!taken) return
              firstOrdinal += part.length
            }
          }

          async function send(
            events: readonly ObservedEvent[],
            batch: Omit<PackedBatch, 'version' | 'logId' | 'sourceId' | 'events'>,
          ): Promise<boolean> {
            for (const event of events) sent.add(markerOf(event))
            const taken = await ledger.send({ ...batch, events })
            if (taken) for (const event of events) answered.add(markerOf(event))
            return taken
          }

          async function check(): Promise<void> {
            const found = new Map<string, number>()
            const conflicts = new Set<string>()
            let missing = 0
            let late = 0
            for await (const leaves of ledger.reader.read(
              'main',
              0,
              await ledger.reader.size('main'),
            )) {
              for (const { event } of leaves) {
                missing += event['source.missing'] ?? 0
                const notes = event['record.notes'] ?? []
                if (notes.includes('source.seq:late')) late++
                if (event['event.class'] !== 'tool_call') continue
                const marker = markerOf(event)
                found.set(marker, (found.get(marker) ?? 0) + 1)
                if (notes.includes('id.conflict')) conflicts.add(marker)
              }
            }
            expect([...found.values()].filter((times) => times > 1)).toEqual([])
            expect([...answered].filter((marker) => !found.has(marker))).toEqual([])
            expect([...found.keys()].filter((marker) => !sent.has(marker))).toEqual([])
            // Of each id the first content is no conflict, and every other one is.
            for (const id of ['id0', 'id1', 'id2', 'id3']) {
              const contents = [...found.keys()].filter((marker) => marker.startsWith(`${id}/`))
              expect(contents.filter((marker) => !conflicts.has(marker)).length).toBe(
                Math.min(1, contents.length),
              )
            }
            // What is said to be missing, less what came late, is what is missing.
            expect(missing - late).toBe(
              holes([...found.keys()], 'a') + holes([...found.keys()], 'b'),
            )
          }
        } finally {
          await ledger.close()
          await rm(directory, { recursive: true, force: true })
        }
      }),
      { numRuns: 15 },
    )
  })

  test('a source that sends much makes only itself forgotten', () => {
    const state = new DedupState(100)
    const remember = (sourceId: string, requests: string[], eventIds: string[]) =>
      state.apply([{ sourceId, requests, eventIds }])
    for (let i = 0; i < 40; i++) remember('quiet', [`q${i}:1`], [`q${i}:c`])
    for (let i = 0; i < 5000; i++) remember('loud', [`l${i}:1`], [`l${i}:c`])
    for (let i = 0; i < 40; i++) {
      expect(state.committedOf('quiet', [`q${i}`])).toBe(1)
      expect(state.contentOf('quiet', `q${i}`)).toBe('c')
    }
    const kept = Array.from({ length: 5000 }, (_, i) => state.committedOf('loud', [`l${i}`]))
    expect(kept.reduce((sum, each) => sum + each, 0)).toBe(60)
    expect(kept.slice(-60)).toEqual(Array.from({ length: 60 }, () => 1))
    // A third one finds room at the cost of the loud one.
    for (let i = 0; i < 30; i++) remember('new', [`n${i}:1`], [])
    expect(state.committedOf('new', ['n0'])).toBe(1)
    expect(state.committedOf('quiet', ['q20'])).toBe(1)
  })
})

function markerOf(event: ObservedEvent | { 'gen_ai.tool.call.id'?: string | undefined }): string {
  return event['gen_ai.tool.call.id'] ?? ''
}

/** Numbers below the highest that are not there. */
function holes(markers: readonly string[], epoch: string): number {
  const numbers = markers
    .filter((marker) => marker.startsWith(`${epoch}/`))
    .map((marker) => Number(marker.slice(epoch.length + 1)))
  return numbers.length === 0 ? 0 : Math.max(...numbers) + 1 - numbers.length
}
