import { createHmac } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PackedBatch } from '../../ingest/bus/event-bus.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { chainStart, chainValue, sentDigest } from '../../schemas/source-chain.ts'
import { chainKeyOf, parseSourceSecret } from '../../schemas/source-key.ts'
import { aToolCall, temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { openControl } from './open-control.ts'

const source = { name: 'gateway', logId: 'main' }
const hourMs = 3_600_000

let directory: string
let opened: Awaited<ReturnType<typeof openControl>>
beforeEach(async () => {
  directory = await temporaryDirectory()
  opened = await openControl(directory)
})
afterEach(() => opened.close())

async function reopen(): Promise<void> {
  const { nowMs } = opened.clock
  await opened.close()
  opened = await openControl(directory)
  opened.clock.nowMs = nowMs
}
const works = (key: string) => opened.control.authenticateSourceKey(key)?.sourceId !== undefined
const rotate = (id: string, version: number, overlapSeconds = 3600) =>
  opened.control.rotateSourceKey(id, { overlapSeconds }, version, 'x')

describe('a rotated source key', () => {
  test('lets both in until the overlap is over, and then the new one alone, also after a restart', async () => {
    const old = await opened.control.createSourceKey(source, 'x')
    const made = await rotate(old.id, 1)
    expect(made.id).toBe(old.id)
    expect(made.key).not.toBe(old.key)
    for (const restart of [false, true]) {
      if (restart) await reopen()
      expect([works(old.key), works(made.key)]).toEqual([true, true])
    }
    opened.clock.nowMs += hourMs - 1
    expect(works(old.key)).toBe(true)
    opened.clock.nowMs += 1
    for (const restart of [false, true]) {
      if (restart) await reopen()
      expect([works(old.key), works(made.key)]).toEqual([false, true])
    }
  })

  test('without an overlap ends the former one at once; a longer overlap revives no key', async () => {
    const old = await opened.control.createSourceKey(source, 'x')
    const second = await rotate(old.id, 1, 0)
    expect([works(old.key), works(second.key)]).toEqual([false, true])
    const third = await rotate(old.id, 2, 86_400)
    expect([old, second, third].map(({ key }) => works(key))).toEqual([false, true, true])
  })

  test('keeps three at most: whoever rotates often ends the oldest', async () => {
    const keys = [(await opened.control.createSourceKey(source, 'x')).key]
    const id = opened.control.sourceKeys()[0]?.id ?? ''
    for (let version = 1; version < 4; version++) keys.push((await rotate(id, version)).key)
    expect(keys.map(works)).toEqual([false, true, true, true])
  })

  test('is refused for a wrong version, an unknown and a revoked source, and of two at once one is made', async () => {
    const { id, key } = await opened.control.createSourceKey(source, 'x')
    await expect(rotate(id, 7)).rejects.toMatchObject({ code: 'VERSION_CONFLICT' })
    await expect(rotate('none', 1)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const both = await Promise.allSettled([rotate(id, 1), rotate(id, 1)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    const won = both.find((each) => each.status === 'fulfilled')?.value
    expect([works(key), works(won?.key ?? '')]).toEqual([true, true])
    await opened.control.revokeSourceKey(id, 2, 'x')
    expect([works(key), works(won?.key ?? '')]).toEqual([false, false])
    await expect(rotate(id, 3)).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  })

  test('that ends by itself does so, and a time in the past is refused', async () => {
    const expiresAt = new Date(opened.clock.nowMs + hourMs).toISOString()
    const { key } = await opened.control.createSourceKey({ ...source, expiresAt }, 'x')
    expect(works(key)).toBe(true)
    opened.clock.nowMs += hourMs
    expect(works(key)).toBe(false)
    await expect(
      opened.control.createSourceKey({ ...source, expiresAt }, 'x'),
    ).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  })
})

describe('chains of both secrets', () => {
  /** Numbered records as a collector with a secret sends them, in an epoch of its own. */
  function batchOf(secretText: string, key: string, epoch: string, tamper = false): PackedBatch {
    const identity = opened.control.authenticateSourceKey(key)
    const secret = parseSourceSecret(secretText)
    if (identity === undefined || secret === undefined) throw new Error('no such key')
    const chainKey = chainKeyOf(secret)
    const hmac = (by: Uint8Array, data: Uint8Array) =>
      createHmac('sha256', by).update(data).digest()
    let prev = chainStart
    const sentDigests: string[] = []
    const events = [0, 1, 2].map((seq): ObservedEvent => {
      const digest = sentDigest(sha256, { seq, epoch })
      sentDigests.push(digest)
      const event = aToolCall({
        'source.id': identity.sourceId,
        'source.epoch': epoch,
        'source.seq': seq,
        'source.prev': tamper && seq === 2 ? '0'.repeat(64) : prev,
      })
      prev = chainValue(hmac, chainKey, digest)
      return event
    })
    return {
      version: 1,
      ...identity,
      requestDigest: epoch,
      firstOrdinal: 0,
      requestCount: 3,
      events,
      sentDigests,
    }
  }
  let offset = 0
  const deliver = (batch: PackedBatch) =>
    opened.sequencer.handle([
      { batch, position: { topic: 't', incarnation: 'i', partition: 0, offset: String(offset++) } },
    ])
  async function mismatches(): Promise<string[]> {
    const found: string[] = []
    const size = await opened.reader.size('main')
    for await (const leaves of opened.reader.read('main', 0, size))
      for (const { event } of leaves)
        if (event['record.notes']?.includes('source.prev:mismatch') === true)
          found.push(event['source.epoch'] ?? '')
    return found
  }

  test('verify side by side while a rotation overlaps, and each notices what was changed in it', async () => {
    const old = await opened.control.createSourceKey(source, 'x')
    await deliver(batchOf(old.secret, old.key, 'before'))
    const made = await rotate(old.id, 1)
    await deliver(batchOf(made.secret, made.key, 'new'))
    await deliver(batchOf(old.secret, old.key, 'overlap'))
    await reopen()
    await deliver(batchOf(made.secret, made.key, 'after-restart'))
    expect(await mismatches()).toEqual([])
    await deliver(batchOf(made.secret, made.key, 'forged-new', true))
    await deliver(batchOf(old.secret, old.key, 'forged-old', true))
    expect(await mismatches()).toEqual(['forged-new', 'forged-old'])
  })
})
