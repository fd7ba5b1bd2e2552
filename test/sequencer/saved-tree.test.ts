import { cpSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { BusMessage } from '../../ingest/bus/event-bus.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { openStoredHashTree } from '../../ledger/tree/stored-hash-tree.ts'
import { hex } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { leafHash, MemoryHashTree, rootOf } from '../../schemas/tlog/merkle.ts'
import { aToolCall, openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'

const start = Date.parse('2026-11-24T12:00:00Z')

async function open(directory: string, nowMs = start) {
  let leavesRead = 0
  const ledger = await openEmbeddedLedger(
    directory,
    (name, part) =>
      name !== 'storage'
        ? part
        : new Proxy(part, {
            get(target, key) {
              if (key === 'readSegments') {
                return async function* (logId: string, from: number) {
                  for await (const segment of ledgerStorage(target).readSegments(logId, from)) {
                    leavesRead += segment.leaves.length
                    yield segment
                  }
                }
              }
              const value: unknown = Reflect.get(target, key)
              return typeof value === 'function' ? value.bind(target) : value
            },
          }),
    undefined,
    undefined,
    nowMs,
    undefined,
    (logId) => openStoredHashTree(join(directory, 'trees', logId)),
  )
  return { ...ledger, leavesRead: () => leavesRead }
}

type Storage = Awaited<ReturnType<typeof openEmbeddedLedger>>['storage']
function ledgerStorage(part: object): Storage {
  return part as Storage
}

let offset = 0
function message(events: readonly ObservedEvent[], requestDigest = `r${offset}`): BusMessage {
  return {
    position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset++) },
    batch: {
      version: 1,
      logId: 'main',
      sourceId: 'gateway',
      requestDigest,
      firstOrdinal: 0,
      requestCount: events.length,
      events,
    },
  }
}

const some = (count: number) => Array.from({ length: count }, () => aToolCall())
const signal = (seq: number, kind: 'open' | 'close') =>
  aToolCall({
    'event.class': 'source',
    'source.signal': kind,
    'source.epoch': 'e1',
    'source.seq': seq,
  })

/** Root of the leaves as the ledger holds them. */
async function rootOfLeaves(ledger: Awaited<ReturnType<typeof open>>): Promise<string> {
  const tree = new MemoryHashTree(sha256)
  for await (const { leaves } of ledger.storage.readSegments('main', 0))
    for (const leaf of leaves) tree.append(leafHash(sha256, leaf))
  return hex(rootOf(tree, sha256, tree.size))
}

test('after a restart no leaf is read, and everything is remembered', async () => {
  const directory = await temporaryDirectory()
  let ledger = await open(directory)
  await ledger.sequencer.handle([
    message(some(300), 'once'),
    message([signal(0, 'open'), ...some(1)]),
  ])
  await ledger.close()

  ledger = await open(directory)
  expect(ledger.leavesRead()).toBe(0)
  expect(ledger.sequencer.tree('main').size).toBe(302)
  expect(hex(ledger.sequencer.root('main'))).toBe(await rootOfLeaves(ledger))
  const again = message(some(300), 'once')
  await ledger.sequencer.handle([again])
  expect(await ledger.sequencer.waitForReceipt(again.position, 10)).toMatchObject({
    leaves: [],
    duplicates: 300,
  })
  expect(ledger.sequencer.committedMarks('main', 'gateway')).toEqual([{ epoch: 'e1', seq: 0 }])
  // The traffic before the restart is owed a tick, and the stream that began before it falls silent.
  await ledger.sequencer.tick()
  expect(ledger.segments.at(-1)?.leaves.at(-1)?.event['event.class']).toBe('tick')
  ledger.clock.nowMs += 3_600_000
  await ledger.sequencer.tick()
  const signals = ledger.segments.flatMap(({ leaves }) =>
    leaves.map(({ event }) => event['source.signal']),
  )
  expect(signals).toContain('silence')
  await ledger.close()
})

test('what a crash left unsaved is read again', async () => {
  const directory = await temporaryDirectory()
  const before = await open(directory)
  await before.sequencer.handle([message(some(10))])
  await before.close()
  const crashed = await open(directory)
  await crashed.sequencer.handle([message(some(5))])
  const copy = await temporaryDirectory()
  cpSync(directory, copy, { recursive: true })
  await crashed.close()

  const ledger = await open(copy)
  expect(ledger.leavesRead()).toBe(5)
  expect(ledger.sequencer.tree('main').size).toBe(15)
  expect(hex(ledger.sequencer.root('main'))).toBe(await rootOfLeaves(ledger))
  await ledger.sequencer.handle([message(some(2))])
  await ledger.sequencer.publishCheckpoints()
  expect(ledger.errors).toEqual([])
  await ledger.close()
})

test.each([
  ['of another log', 20],
  ['of another log with as many leaves', 30],
  ['of a log that was longer', 40],
])('a tree %s is not believed: it is built again', async (_, foreign) => {
  const directory = await temporaryDirectory()
  const other = await temporaryDirectory()
  for (const [path, count] of [
    [directory, 30],
    [other, foreign],
  ] as const) {
    const ledger = await open(path)
    await ledger.sequencer.handle([message(some(count))])
    await ledger.close()
  }
  rmSync(join(directory, 'trees'), { recursive: true })
  cpSync(join(other, 'trees'), join(directory, 'trees'), { recursive: true })

  const ledger = await open(directory)
  expect(ledger.leavesRead()).toBe(30)
  expect(hex(ledger.sequencer.root('main'))).toBe(await rootOfLeaves(ledger))
  await ledger.close()
  expect(existsSync(join(directory, 'trees', 'main', 'saved.json'))).toBe(true)
  const again = await open(directory)
  expect(again.leavesRead()).toBe(0)
  expect(hex(again.sequencer.root('main'))).toBe(await rootOfLeaves(again))
  await again.close()
})
