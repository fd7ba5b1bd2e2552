import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { BusMessage, PackedBatch } from '../../ingest/bus/event-bus.ts'
import { verifyEd25519 } from '../../ledger/ed25519.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { hex } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { openCheckpoint } from '../../schemas/tlog/checkpoint.ts'
import { rootOf } from '../../schemas/tlog/merkle.ts'
import { noteVerifier } from '../../schemas/tlog/note.ts'
import { aToolCall, openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'

let directory: string
let ledger: Awaited<ReturnType<typeof openEmbeddedLedger>>
let offset = 0

beforeEach(async () => {
  directory = await temporaryDirectory()
  ledger = await openEmbeddedLedger(directory)
})
afterEach(() => ledger.close())

async function reopen(): Promise<void> {
  await ledger.close()
  ledger = await openEmbeddedLedger(directory)
}

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

async function paths(): Promise<string[]> {
  const found: string[] = []
  for await (const leaves of ledger.reader.read('main', 0, await ledger.reader.size('main'))) {
    for (const { event } of leaves) {
      const args = event['gen_ai.tool.call.arguments']
      found.push(
        typeof args === 'object' && args !== null && 'path' in args
          ? String(args.path)
          : (event['source.signal'] ?? ''),
      )
    }
  }
  return found
}

const numbered = (seq: number, epoch = 'e1') =>
  aToolCall({
    'source.epoch': epoch,
    'source.seq': seq,
    'gen_ai.tool.call.arguments': { path: `${epoch}/${seq}` },
  })
const at = (path: string) => aToolCall({ 'gen_ai.tool.call.arguments': { path } })

describe('the sequencer', () => {
  test('what it acknowledged is in the log, opened, under the root of the receipt, also after a restart', async () => {
    const sent = message([at('a'), at('b')])
    await ledger.sequencer.handle([sent])
    const receipt = await ledger.sequencer.waitForReceipt(sent.position, 10)
    expect(receipt).toMatchObject({ leaves: [{ first: 0, count: 2 }], treeSize: 2, duplicates: 0 })
    await reopen()
    expect(await paths()).toEqual(['a', 'b'])
    expect(hex(rootOf(ledger.sequencer.tree('main'), sha256, 2))).toBe(receipt.root)
  })

  test('a request that comes again is answered as duplicate, and only then', async () => {
    const first = message([at('a'), at('b')], { requestDigest: 'same' })
    await ledger.sequencer.handle([first])
    await reopen()
    const again = message([at('a'), at('b')], { requestDigest: 'same' })
    const foreign = message([at('a')], { requestDigest: 'same', sourceId: 'other' })
    await ledger.sequencer.handle([again, foreign])
    expect(await ledger.sequencer.waitForReceipt(again.position, 10)).toMatchObject({
      leaves: [],
      duplicates: 2,
    })
    expect(await paths()).toEqual(['a', 'b', 'a'])
  })

  test('a request that was cut between its batches continues where it stopped', async () => {
    const digest = { requestDigest: 'cut', requestCount: 4 }
    await ledger.sequencer.handle([message([at('a'), at('b')], digest)])
    await reopen()
    await ledger.sequencer.handle([
      message([at('a'), at('b')], digest),
      message([at('c'), at('d')], { ...digest, firstOrdinal: 2 }),
    ])
    expect(await paths()).toEqual(['a', 'b', 'c', 'd'])
  })

  test('numbered records are taken once by their number, gaps are on the record, a new epoch starts over', async () => {
    await ledger.sequencer.handle([
      message([numbered(0), numbered(1)]),
      message([numbered(1), numbered(2)]),
    ])
    await reopen()
    await ledger.sequencer.handle([message([numbered(2), numbered(5), numbered(0, 'e2')])])
    expect(await paths()).toEqual(['e1/0', 'e1/1', 'e1/2', 'gap', 'e1/5', 'e2/0'])
    expect(ledger.sequencer.committedMarks('main', 'gateway')[0]).toEqual({ epoch: 'e2', seq: 0 })
  })

  test('two collectors with one key keep their own epochs: no gap, nothing twice, also when a spool comes late', async () => {
    const both = [numbered(0, 'a'), numbered(0, 'b'), numbered(1, 'a'), numbered(1, 'b')]
    await ledger.sequencer.handle([message(both)])
    await reopen()
    await ledger.sequencer.handle([message([...both, numbered(2, 'a')])])
    expect(await paths()).toEqual(['a/0', 'b/0', 'a/1', 'b/1', 'a/2'])
  })

  test('an event id counts once within its source', async () => {
    const event = (source: string) => aToolCall({ 'source.event.id': 'x', 'source.id': source })
    await ledger.sequencer.handle([message([event('gateway')]), message([event('gateway')])])
    await reopen()
    await ledger.sequencer.handle([
      message([event('gateway')]),
      message([event('b')], { sourceId: 'b' }),
    ])
    expect(await ledger.reader.size('main')).toBe(2)
  })

  test('recorded time never goes back, and ids stay in order', async () => {
    await ledger.sequencer.append('main', [at('a')])
    ledger.clock.nowMs -= 86_400_000
    await ledger.sequencer.append('main', [at('b')])
    await reopen()
    ledger.clock.nowMs -= 86_400_000
    await ledger.sequencer.append('main', [at('c')])
    const times: string[] = []
    for await (const leaves of ledger.reader.read('main', 0, 3))
      for (const { event } of leaves) times.push(event['time.recorded'])
    expect(times).toEqual(times.toSorted())
    expect(new Set(times).size).toBe(1)
  })

  test('an event that cannot be sealed is kept as rejected and spoils nothing', async () => {
    const surrogate = aToolCall({ 'gen_ai.tool.call.arguments': { path: '\ud800' } })
    await ledger.sequencer.handle([message([at('a'), surrogate, at('b')])])
    const dispositions: string[] = []
    for await (const leaves of ledger.reader.read('main', 0, 3)) {
      for (const { event } of leaves)
        dispositions.push(`${event['record.disposition']}:${event['record.reason'] ?? ''}`)
    }
    expect(dispositions).toEqual(['mapped:', 'rejected:CANONICAL_JSON_INVALID', 'mapped:'])
  })

  test('scopes that burst the leaf move into the sealed part and are still read', async () => {
    const scopes = Array.from({ length: 200 }, (_, i) => `scope:${'x'.repeat(200)}:${i}`)
    await ledger.sequencer.append('main', [aToolCall({ 'auth.scopes.granted': scopes })])
    expect((await ledger.reader.readOne('main', 0))?.event['auth.scopes.granted']).toEqual(scopes)
  })

  test('no identity, argument or result stands readable in a leaf or in a payload file', async () => {
    await ledger.sequencer.append('main', [
      aToolCall({
        'user.name': 'canary-user',
        'gen_ai.tool.call.arguments': { path: 'canary-path' },
        'gen_ai.tool.call.result': 'canary-result',
      }),
    ])
    const leaf = Buffer.from((await ledger.reader.readOne('main', 0))?.leaf ?? []).toString()
    const payload = Buffer.from((await ledger.payloads.get('main', 0)) ?? []).toString('latin1')
    expect(leaf).toContain('read_file')
    expect(leaf + payload).not.toContain('canary')
  })

  test('a command that fails its check writes nothing', async () => {
    await expect(
      ledger.sequencer.append('main', [at('a')], {
        validate: () => {
          throw new Error('too late')
        },
      }),
    ).rejects.toThrow('too late')
    expect(await ledger.reader.size('main')).toBe(0)
    await ledger.sequencer.append('main', [at('b')])
    expect(await paths()).toEqual(['b'])
  })

  test('checkpoints are signed over committed leaves and continue each other', async () => {
    const key = noteVerifier(sha256, verifyEd25519, await ledger.signer.verifierKey('main'))
    for (const path of ['a', 'b', 'c']) {
      await ledger.sequencer.append('main', [at(path)])
      await ledger.sequencer.publishCheckpoints()
    }
    expect(ledger.errors).toEqual([])
    for (const size of await ledger.storage.checkpointSizes('main')) {
      const note = (await ledger.storage.readCheckpoint('main', size)) ?? ''
      const { root } = openCheckpoint(note, [key])
      expect(hex(root)).toBe(hex(rootOf(ledger.sequencer.tree('main'), sha256, size)))
    }
  })

  test('a second writer at the same index loses, and stops', async () => {
    await ledger.sequencer.append('main', [at('a')])
    const [stored] = [await ledger.storage.readSegment('main', 0)]
    if (stored === undefined) throw new Error('no segment')
    await ledger.storage.appendSegment('main', { ...stored, fromIndex: 1, nextIndex: 2 })
    await expect(ledger.sequencer.append('main', [at('b')])).rejects.toMatchObject({
      code: 'LEDGER_CONFLICT',
    })
    await expect(ledger.sequencer.append('main', [at('c')])).rejects.toMatchObject({
      code: 'LEDGER_CONFLICT',
    })
    expect(await ledger.sequencer.failed).toMatchObject({ code: 'LEDGER_CONFLICT' })
  })

  test('the signer refuses a rolled-back log', async () => {
    await ledger.sequencer.append('main', [at('a'), at('b')])
    await ledger.sequencer.publishCheckpoints()
    await expect(ledger.signer.sign('main', 1, new Uint8Array(32), [])).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
    })
    await expect(ledger.signer.sign('main', 2, new Uint8Array(32), [])).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
    })
    await expect(ledger.signer.sign('main', 3, new Uint8Array(32), [])).rejects.toMatchObject({
      code: 'SIGNER_REFUSED',
    })
  })

  test('a source that opens epochs without end makes nobody else forgotten', async () => {
    const other = (seq: number) => aToolCall({ 'source.epoch': 'e', 'source.seq': seq })
    await ledger.sequencer.handle([message([other(0), other(1)], { sourceId: 'other' })])
    for (let i = 0; i < 50; i++) {
      const epochs = Array.from({ length: 250 }, (_, k) => numbered(0, `${i}-${k}`))
      await ledger.sequencer.handle([message(epochs)])
    }
    const again = message([other(0), other(1)], { sourceId: 'other' })
    await ledger.sequencer.handle([again])
    expect(await ledger.sequencer.waitForReceipt(again.position, 10)).toMatchObject({
      leaves: [],
      duplicates: 2,
    })
  })

  test('the keys of dedup digests die a day after theirs is over, and the digests of yesterday still count', async () => {
    const first = message([at('a')], { requestDigest: 'same' })
    await ledger.sequencer.handle([first])
    const key = hex(ledger.keyring.dedupKey('main', '2026-11-24'))
    ledger.clock.nowMs += 86_400_000
    await ledger.sequencer.tick()
    await ledger.sequencer.handle([message([at('a')], { requestDigest: 'same' })])
    expect(await paths()).toEqual(['a', ''])
    expect(hex(ledger.keyring.dedupKey('main', '2026-11-24'))).toBe(key)
    ledger.clock.nowMs += 86_400_000
    await ledger.sequencer.tick()
    expect(hex(ledger.keyring.dedupKey('main', '2026-11-24'))).not.toBe(key)
  })

  test('traffic that no tick followed before a restart has its tick after it, once', async () => {
    await ledger.sequencer.append('main', [at('a')])
    await reopen()
    await ledger.sequencer.tick()
    await reopen()
    await ledger.sequencer.tick()
    const classes: string[] = []
    for await (const leaves of ledger.reader.read('main', 0, await ledger.reader.size('main')))
      for (const { event } of leaves) classes.push(event['event.class'])
    expect(classes).toEqual(['tool_call', 'tick'])
  })

  test('ticks stand in logs that had traffic, once', async () => {
    await ledger.sequencer.append('main', [at('a')])
    await ledger.sequencer.tick()
    await ledger.sequencer.tick()
    expect(await ledger.reader.size('main')).toBe(2)
    expect((await ledger.reader.readOne('main', 1))?.event['event.class']).toBe('tick')
  })
})

describe('a source that falls silent', () => {
  const signal = (seq: number, kind: 'open' | 'close' | 'heartbeat', epoch = 'e1') =>
    aToolCall({ ...numbered(seq, epoch), 'event.class': 'source', 'source.signal': kind })
  const minutesPass = async (minutes: number) => {
    for (let i = 0; i < minutes; i++) {
      ledger.clock.nowMs += 60_000
      await ledger.sequencer.tick()
    }
  }
  const told = async () => {
    const events: string[] = []
    for await (const leaves of ledger.reader.read('main', 0, await ledger.reader.size('main')))
      for (const { event } of leaves)
        events.push(
          `${event['source.signal'] ?? event['event.class']} ${event['source.epoch'] ?? ''}`.trim(),
        )
    return events
  }

  test('is on the record once: opened, not closed, and its heartbeat overdue', async () => {
    await ledger.sequencer.handle([message([signal(0, 'open'), numbered(1)])])
    await minutesPass(2)
    expect(await told()).toEqual(['open e1', 'tool_call e1', 'tick'])
    await reopen()
    ledger.clock.nowMs = Date.parse('2026-11-24T12:02:00Z')
    await minutesPass(5)
    expect(await told()).toEqual(['open e1', 'tool_call e1', 'tick', 'tick', 'silence e1'])
    await reopen()
    ledger.clock.nowMs = Date.parse('2026-11-24T13:00:00Z')
    await minutesPass(2)
    expect(await told()).toHaveLength(5)
    const silence = await ledger.reader.readOne('main', 4)
    expect(silence?.event).toMatchObject({
      'source.id': 'gateway',
      'record.notes': ['last heard 2026-11-24T12:00:00.000000000Z'],
    })
    expect(silence?.event['time.recorded']).toBe('2026-11-24T12:03:00.000000000Z')
  })

  test('is not one that closed, or goes on; one that comes back may fall silent again', async () => {
    await ledger.sequencer.handle([
      message([signal(0, 'open'), signal(1, 'close'), signal(0, 'open', 'e2')]),
    ])
    for (let seq = 1; seq <= 4; seq++) {
      await minutesPass(1)
      await ledger.sequencer.handle([message([signal(seq, 'heartbeat', 'e2')])])
    }
    expect((await told()).filter((each) => each.startsWith('silence'))).toEqual([])
    await minutesPass(4)
    await ledger.sequencer.handle([message([signal(5, 'heartbeat', 'e2')])])
    await minutesPass(4)
    expect((await told()).filter((each) => each.startsWith('silence'))).toEqual([
      'silence e2',
      'silence e2',
    ])
  })
})
