import { cpSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { BusMessage, PackedBatch } from '../../ingest/bus/event-bus.ts'
import type { ObservedEvent, RecordedEvent } from '../../schemas/event/event.ts'
import {
  aToolCall,
  type Interposer,
  openEmbeddedLedger,
  temporaryDirectory,
} from '../fixtures/embedded-ledger.ts'

const directories: string[] = []
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true })
})
async function directory(): Promise<string> {
  const path = await temporaryDirectory()
  directories.push(path)
  return path
}

let offset = 0
function message(events: readonly ObservedEvent[], batch: Partial<PackedBatch> = {}): BusMessage {
  return {
    position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset++) },
    batch: {
      version: 1,
      logId: 'main',
      sourceId: 'gateway',
      requestDigest: `request-${offset}`,
      firstOrdinal: 0,
      requestCount: events.length,
      events,
      ...batch,
    },
  }
}

type Ledger = Awaited<ReturnType<typeof openEmbeddedLedger>>

async function stored(ledger: Ledger, logId = 'main'): Promise<RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for await (const leaves of ledger.reader.read(logId, 0, await ledger.reader.size(logId)))
    events.push(...leaves.map(({ event }) => event))
  return events
}

/** Lets a named call through when `until` is resolved, or fails it as `until` does. */
function holding(name: string, method: string, until: (logId: unknown) => Promise<void>) {
  const interpose: Interposer = (part, target) =>
    part !== name
      ? target
      : new Proxy(target, {
          get(inner, property) {
            const value: unknown = Reflect.get(inner, property, inner)
            if (property !== method || typeof value !== 'function') return value
            return async (...args: unknown[]) => {
              await until(args[0])
              return Reflect.apply(value, inner, args)
            }
          },
        })
  return interpose
}

/** Fails the test instead of hanging it. */
function soon<T>(promise: Promise<T>): Promise<T> {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('still waiting')), 2000).unref()
  })
  return Promise.race([promise, late])
}

describe('records that cannot be put down as they are', () => {
  test('an epoch without UTF-8 ends nothing: the record is kept as rejected, its neighbours as they are', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    await ledger.sequencer.handle([
      message([aToolCall({ 'source.epoch': '\ud800', 'source.seq': 0 }), aToolCall()]),
    ])
    expect((await stored(ledger)).map((event) => event['record.reason'])).toEqual([
      'CANONICAL_JSON_INVALID',
      undefined,
    ])
    await ledger.close()
  })

  test('a numbered record that cannot be sealed keeps its number, and the size of what is kept of it', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    const numbered = { 'source.epoch': 'e', 'source.seq': 0 }
    const bad = aToolCall({ ...numbered, 'gen_ai.tool.call.arguments': { path: '\ud800' } })
    await ledger.sequencer.handle([message([bad])])
    expect(await stored(ledger)).toMatchObject([
      {
        ...numbered,
        'source.numbering': 'collector',
        'record.disposition': 'rejected',
        'raw.size_bytes': expect.any(Number),
      },
    ])
    await ledger.close()
  })

  test('behind a record without digest the chain is not checked; behind one with a digest it is', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    await ledger.keyring.setSourceChainKey('gateway', new Uint8Array(32).fill(1))
    const numbered = (seq: number) =>
      aToolCall({ 'source.epoch': 'e', 'source.seq': seq, 'source.prev': 'f'.repeat(64) })
    const sentDigests = ['', 'a'.repeat(64), 'b'.repeat(64)]
    await ledger.sequencer.handle([
      message([numbered(0), numbered(1), numbered(2)], { sentDigests }),
    ])
    const mismatches = (await stored(ledger)).map(
      (event) => event['record.notes']?.includes('source.prev:mismatch') ?? false,
    )
    expect(mismatches).toEqual([true, false, true])
    await ledger.close()
  })
})

describe('what the bus could not deliver', () => {
  test('is on the record in its place: an unreadable message by its hash, lost ones as a gap', async () => {
    const ledger = await openEmbeddedLedger(await directory())
    const position = (at: number) => ({
      topic: 't',
      incarnation: 'k',
      partition: 0,
      offset: String(at),
    })
    await ledger.sequencer.handle([message([aToolCall()])])
    await ledger.sequencer.handle([
      { position: position(6), lost: 7, reason: 'they are gone' },
      { position: undefined, lost: undefined, reason: 'the topic is another one' },
      { position: position(7), reason: 'torn', sha256: 'ab'.repeat(32), sizeBytes: 3 },
    ])
    expect(await stored(ledger)).toMatchObject([
      { 'event.class': 'tool_call' },
      { 'source.signal': 'gap', 'source.missing': 7, 'record.reason': 'they are gone' },
      { 'source.signal': 'gap', 'record.reason': 'the topic is another one' },
      { 'record.disposition': 'rejected', 'record.notes': [`sha256:${'ab'.repeat(32)}`] },
    ])
    expect(ledger.sequencer.committedPositions()).toContainEqual(position(7))
    await ledger.close()
  })
})

describe('a sequencer that ends', () => {
  test('tells everybody who waits, also for other logs', async () => {
    let lose: (error: Error) => void = () => undefined
    const lost = new Promise<void>((_, reject) => {
      lose = reject
    })
    // Nobody may wait for it yet when it is lost.
    lost.catch(() => undefined)
    let go: () => void = () => undefined
    const slow = new Promise<void>((resolve) => {
      go = resolve
    })
    const ledger = await openEmbeddedLedger(
      await directory(),
      holding('storage', 'appendSegment', (logId) => (logId === 'main' ? lost : slow)),
    )
    const main = ledger.sequencer.append('main', [aToolCall()])
    const other = ledger.sequencer.append('other', [aToolCall()])
    await new Promise((resolve) => setTimeout(resolve, 50))
    const behind = ledger.sequencer.append('other', [aToolCall()])
    const outcomes = Promise.allSettled([main, other, behind])
    lose(new Error('EIO'))
    expect(await soon(ledger.sequencer.failed)).toMatchObject({ message: 'EIO' })
    go()
    expect((await soon(outcomes)).map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
    ])
    await expect(ledger.sequencer.append('main', [aToolCall()])).rejects.toThrow('EIO')
    expect(await stored(ledger, 'other')).toHaveLength(1)
    await ledger.close()
  })

  test('answers what comes while it stops, one way or the other', async () => {
    const path = await directory()
    let late: Promise<unknown> = Promise.resolve()
    const sent: Promise<PromiseSettledResult<unknown>>[] = []
    let ledger: Ledger | undefined
    const interpose = holding('signer', 'sign', async () => {
      // Into an open log, and into one that has to be loaded first.
      for (const logId of ['main', 'new']) {
        late = ledger?.sequencer.append(logId, [aToolCall()]) ?? Promise.resolve()
        sent.push(Promise.allSettled([late]).then(([outcome]) => outcome))
      }
    })
    ledger = await openEmbeddedLedger(path, interpose)
    await ledger.sequencer.append('main', [aToolCall()])
    await ledger.sequencer.stop()
    const outcomes = await soon(Promise.all(sent))
    expect(outcomes.length).toBeGreaterThanOrEqual(2)
    const kept = outcomes.filter(({ status }) => status === 'fulfilled').length
    expect((await stored(ledger)).length + (await stored(ledger, 'new')).length).toBe(1 + kept)
    await ledger.close()
  })
})

test('a sequencer has written what it will write when it has stopped: its storage may be closed', async () => {
  let ledger: Ledger | undefined
  let late: Promise<unknown> | undefined
  let settled = false
  const signing = holding('signer', 'sign', async () => {
    late ??= ledger?.sequencer.append('main', [aToolCall()]).finally(() => {
      settled = true
    })
    // The commit has begun before the last signature is there.
    await new Promise((resolve) => setTimeout(resolve, 20))
  })
  const writing = holding('storage', 'appendSegment', async () => {
    if (late !== undefined) await new Promise((resolve) => setTimeout(resolve, 150))
  })
  ledger = await openEmbeddedLedger(await directory(), (name, part) =>
    writing(name, signing(name, part)),
  )
  await ledger.sequencer.append('main', [aToolCall()])
  await ledger.sequencer.stop()
  await new Promise((resolve) => setImmediate(resolve))
  expect(settled).toBe(true)
  await late
  expect(await stored(ledger)).toHaveLength(2)
  await ledger.close()
})

describe('a log that does not continue what was signed', () => {
  /** A ledger of two signed leaves as it was, and the same one with a third. */
  async function twoVersions(): Promise<{ path: string; earlier: string }> {
    const path = await directory()
    const earlier = await directory()
    const ledger = await openEmbeddedLedger(path)
    await ledger.sequencer.append('main', [aToolCall(), aToolCall()])
    await ledger.sequencer.publishCheckpoints()
    cpSync(path, earlier, { recursive: true })
    await ledger.sequencer.append('main', [aToolCall()])
    await ledger.close()
    return { path, earlier }
  }
  function replace(path: string, earlier: string, part: string): void {
    rmSync(join(path, part), { recursive: true })
    cpSync(join(earlier, part), join(path, part), { recursive: true })
  }

  test.each([
    [
      'a ledger from an older backup',
      'ledger',
      'holds 2 leaves, and 3 were signed: it was rolled back',
    ],
    [
      'a signer from an older backup',
      'signer',
      'has a checkpoint of size 3, and its signer knows of 2: the signer was rolled back',
    ],
  ])('%s takes nothing and loses nothing more', async (_name, part, message) => {
    const { path, earlier } = await twoVersions()
    replace(path, earlier, part)
    const payloads = readFileSync(join(path, 'payloads/main/000000.payloads'))
    await expect(openEmbeddedLedger(path)).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
      message: expect.stringContaining(message),
    })
    expect(readFileSync(join(path, 'payloads/main/000000.payloads')).equals(payloads)).toBe(true)
  })

  test('another history of the same size takes nothing', async () => {
    const { path, earlier } = await twoVersions()
    const other = await openEmbeddedLedger(earlier)
    await other.sequencer.append('main', [aToolCall({ 'gen_ai.tool.name': 'other' })])
    await other.close()
    replace(path, earlier, 'ledger')
    await expect(openEmbeddedLedger(path)).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
      message: expect.stringContaining('it has forked'),
    })
  })

  test('a log whose files are gone is not begun anew', async () => {
    const { path } = await twoVersions()
    rmSync(join(path, 'ledger'), { recursive: true })
    const ledger = await openEmbeddedLedger(path)
    await expect(ledger.sequencer.append('main', [aToolCall()])).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
    })
    expect(await ledger.storage.size('main')).toBe(0)
    await ledger.close()
  })
})
