import { rmSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import type { BusMessage } from '../../ingest/bus/event-bus.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { hex } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { rootOf } from '../../schemas/tlog/merkle.ts'
import {
  aToolCall,
  type Interposer,
  openEmbeddedLedger,
  temporaryDirectory,
} from '../fixtures/embedded-ledger.ts'

/** What changes something outside of memory. Reads may be cut anywhere without a trace. */
const effects = new Set([
  'keyring.sync',
  'payloads.put',
  'payloads.sweep',
  'storage.appendSegment',
  'storage.writeCheckpoint',
  'signer.sign',
])

/** Calls every effect through, writes its name down, and dies at one of them: before it happened, or just after. */
function dyingAt(step: number, when: 'before' | 'after') {
  const done: string[] = []
  let dead = false
  const interpose: Interposer = (name, part) =>
    new Proxy(part, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        const effect = `${name}.${String(property)}`
        return (...args: unknown[]) => {
          if (dead) throw new Error('the process is dead')
          if (!effects.has(effect)) return Reflect.apply(value, target, args)
          return (async () => {
            const dies = done.length === step
            done.push(effect)
            if (dies) dead = true
            if (dies && when === 'before') throw new Error(`died before ${effect}`)
            const result: unknown = await Reflect.apply(value, target, args)
            if (dies) throw new Error(`died after ${effect}`)
            return result
          })()
        }
      },
    })
  return { interpose, done, isDead: () => dead }
}

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})
async function directory(): Promise<string> {
  const path = await temporaryDirectory()
  directories.push(path)
  return path
}

const byNumber = (seq: number): ObservedEvent =>
  aToolCall({
    'source.epoch': 'e',
    'source.seq': seq,
    'gen_ai.tool.call.arguments': { path: `n${seq}` },
  })
const byRequest = (path: string): ObservedEvent =>
  aToolCall({ 'gen_ai.tool.call.arguments': { path } })

/** Three rounds of a sender who numbers, one who does not, and one who sends a request in two batches. */
const rounds: readonly (readonly BusMessage[])[] = [
  [
    message(0, 'collector', 'c0', [byNumber(0), byNumber(1)]),
    message(1, 'gateway', 'g0', [byRequest('g0')]),
  ],
  [
    message(2, 'gateway', 'cut', [byRequest('cut0')], 0, 2),
    message(3, 'gateway', 'cut', [byRequest('cut1')], 1, 2),
  ],
  [
    message(4, 'collector', 'c1', [byNumber(2)]),
    message(5, 'other', 'g0', [byRequest('other'), byRequest('other')]),
  ],
]
const everything = ['n0', 'n1', 'g0', 'cut0', 'cut1', 'n2', 'other', 'other']

function message(
  offset: number,
  sourceId: string,
  requestDigest: string,
  events: readonly ObservedEvent[],
  firstOrdinal = 0,
  requestCount = events.length,
): BusMessage {
  return {
    position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset) },
    batch: {
      version: 1,
      logId: 'main',
      sourceId,
      requestDigest,
      firstOrdinal,
      requestCount,
      events: events.map((event) => ({ ...event, 'source.id': sourceId })),
    },
  }
}

async function storedPaths(
  ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>,
): Promise<string[]> {
  const paths: string[] = []
  for await (const leaves of ledger.reader.read('main', 0, await ledger.reader.size('main'))) {
    for (const { event, opened } of leaves) {
      const args = event['gen_ai.tool.call.arguments']
      if (opened !== 'full' || typeof args !== 'object' || args === null || !('path' in args))
        throw new Error(`leaf is ${opened} and has no path`)
      paths.push(String(args.path))
    }
  }
  return paths
}

/** Sends all rounds as a sender does who hears nothing of what failed; gives the paths that were acknowledged. */
async function send(ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>): Promise<BusMessage[]> {
  const acknowledged: BusMessage[] = []
  for (const round of rounds) {
    await Promise.all(
      round.map((one) =>
        ledger.sequencer.handle([one]).then(
          () => acknowledged.push(one),
          () => undefined,
        ),
      ),
    )
    await ledger.sequencer.publishCheckpoints()
  }
  return acknowledged
}

describe('the sequencer, when the process dies', () => {
  test('keys are durable before payloads, payloads before the segment, the segment before the signature', async () => {
    const never = dyingAt(-1, 'before')
    const ledger = await openEmbeddedLedger(await directory(), never.interpose)
    await send(ledger)
    await ledger.close()
    const oneTurn = [
      'keyring.sync',
      'payloads.put',
      'storage.appendSegment',
      'signer.sign',
      'storage.writeCheckpoint',
    ]
    expect(never.done).toEqual(['payloads.sweep', ...oneTurn, ...oneTurn, ...oneTurn])
  })

  for (const when of ['before', 'after'] as const) {
    for (let step = 1; step <= 15; step++) {
      test(`${when} effect ${step}: what it acknowledged is there once, and sent again all is there once`, async () => {
        const path = await directory()
        const dying = dyingAt(step, when)
        const first = await openEmbeddedLedger(path, dying.interpose)
        const acknowledged = await send(first)
        expect(dying.isDead()).toBe(true)
        await first.close()

        const second = await openEmbeddedLedger(path)
        const stored = await storedPaths(second)
        const promised = acknowledged.flatMap(({ batch }) => batch.events).length
        expect(stored.length).toBeGreaterThanOrEqual(promised)
        expect(stored).toEqual(everything.slice(0, stored.length))

        await send(second)
        expect(await storedPaths(second)).toEqual(everything)
        expect(second.errors).toEqual([])
        expect(hex(second.sequencer.root('main'))).toBe(
          hex(rootOf(second.sequencer.tree('main'), sha256, everything.length)),
        )
        expect((await second.signer.lastSigned('main'))?.size).toBe(everything.length)
        await second.close()
      })
    }
  }

  test('a log that could not be read is tried again with the next batch', async () => {
    let failures = 1
    const flaky = await openEmbeddedLedger(await directory(), (name, part) =>
      name !== 'payloads'
        ? part
        : new Proxy(part, {
            get(target, property) {
              const value: unknown = Reflect.get(target, property, target)
              if (property !== 'sweep' || typeof value !== 'function') return value
              return (...args: unknown[]) => {
                if (failures-- > 0) throw new Error('EIO')
                return Reflect.apply(value, target, args)
              }
            },
          }),
    )
    await expect(flaky.sequencer.append('main', [byRequest('a')])).rejects.toThrow('EIO')
    await flaky.sequencer.append('main', [byRequest('b')])
    expect(await storedPaths(flaky)).toEqual(['b'])
    await flaky.close()
  })
})

describe('deduplication', () => {
  /** A sender's life: which of its records it sends again from where, and when the server is restarted. */
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), upTo: fc.nat(6) }) },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('again' as const), back: fc.nat(8) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  )

  test('whatever a numbered sender repeats, each record is stored once and in its order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const path = await directory()
        let ledger = await openEmbeddedLedger(path)
        let next = 0
        let offset = 0
        const post = (from: number, until: number) => {
          const events = Array.from({ length: until - from }, (_, i) => byNumber(from + i))
          const sent = message(offset, 'collector', `r${offset++}`, events)
          return ledger.sequencer.handle([sent])
        }
        for (const one of steps) {
          if (one.kind === 'restart') {
            await ledger.close()
            ledger = await openEmbeddedLedger(path)
          } else if (one.kind === 'send') {
            await post(next, next + one.upTo + 1)
            next += one.upTo + 1
          } else {
            // As after a lost reply: the spool sends from its oldest unacknowledged record on, and something new.
            await post(Math.max(0, next - one.back), next + 1)
            next++
          }
        }
        expect(await storedPaths(ledger)).toEqual(Array.from({ length: next }, (_, i) => `n${i}`))
        expect(ledger.sequencer.committedMarks('main', 'collector')[0]?.seq ?? -1).toBe(next - 1)
        await ledger.close()
      }),
      { numRuns: 25 },
    )
  })

  test('whatever requests are repeated and cut, each record is stored once', async () => {
    const request = fc.record({
      id: fc.nat(3),
      cutAfter: fc.nat(4),
      restart: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), async (requests) => {
        const path = await directory()
        let ledger = await openEmbeddedLedger(path)
        let offset = 0
        const reached = new Map<number, number>()
        for (const { id, cutAfter, restart } of requests) {
          if (restart) {
            await ledger.close()
            ledger = await openEmbeddedLedger(path)
          }
          // Four records in batches of two; a crash of the receiver may have cut it after either.
          const batches = [
            message(
              offset++,
              'gateway',
              `q${id}`,
              [byRequest(`q${id}/0`), byRequest(`q${id}/1`)],
              0,
              4,
            ),
            message(
              offset++,
              'gateway',
              `q${id}`,
              [byRequest(`q${id}/2`), byRequest(`q${id}/3`)],
              2,
              4,
            ),
          ].slice(0, cutAfter < 2 ? 1 : 2)
          await ledger.sequencer.handle(batches)
          reached.set(id, Math.max(reached.get(id) ?? 0, batches.length * 2))
        }
        const expected = [...reached].flatMap(([id, count]) =>
          Array.from({ length: count }, (_, i) => `q${id}/${i}`),
        )
        expect((await storedPaths(ledger)).toSorted()).toEqual(expected.toSorted())
        await ledger.close()
      }),
      { numRuns: 25 },
    )
  })
})
