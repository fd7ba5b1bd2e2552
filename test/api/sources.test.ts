import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { SourceDetailReply, SourcesReply } from '../../schemas/api/sources.ts'
import { defaultSourceQuota } from '../../schemas/source-quota.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

const Empty = z.strictObject({})

let sealtrail: RunningSealtrail
let key = ''
let sourceId = ''

beforeAll(async () => {
  sealtrail = await RunningSealtrail.start()
  key = await sealtrail.key('gateway')
  await sealtrail.key('never used')
  sourceId = key.split('_')[1] ?? ''
}, 60_000)
afterAll(() => sealtrail?.end())

const now = () => new Date().toISOString()

async function send(records: readonly object[]) {
  return fetch(`${sealtrail.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/x-ndjson' },
    body: records.map((record) => JSON.stringify(record)).join('\n'),
  })
}

async function detail(until: (reply: SourceDetailReply) => boolean): Promise<SourceDetailReply> {
  for (let tries = 0; tries < 200; tries++) {
    const reply = await sealtrail.control.call(
      SourceDetailReply,
      'GET',
      `/api/v1/sources/${sourceId}`,
    )
    if (until(reply)) return reply
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the columnar store did not follow')
}

const call = (fields: object) => ({
  'event.class': 'tool_call',
  'time.occurred': now(),
  'gen_ai.tool.name': 'x',
  ...fields,
})
const numbered = (seq: number, fields: object = {}) =>
  call({ 'source.epoch': 'e1', 'source.seq': seq, ...fields })
const signal = (seq: number, name: string) =>
  numbered(seq, { 'event.class': 'source', 'source.signal': name, 'gen_ai.tool.name': undefined })

describe('a source', () => {
  test('is told with all that is on the record of it: gaps, breaks, conflicts, reasons, streams', async () => {
    expect((await send([signal(0, 'open'), numbered(1)])).status).toBe(200)
    const forged = { 'source.prev': createHash('sha256').update('x').digest('hex') }
    const later = [numbered(5), numbered(6, forged), numbered(3)]
    expect((await send(later)).status).toBe(200)
    await send([numbered(6, forged)])
    await send([call({ 'source.event.id': 'id', 'gen_ai.tool.name': 'a' })])
    await send([call({ 'source.event.id': 'id', 'gen_ai.tool.name': 'b' })])
    await send([{ some: 'thing' }, { 'event.class': 'tool_call', nonsense: 1 }])
    const reply = await detail(({ source }) => source.rejected > 0)
    expect(reply.source).toMatchObject({
      id: sourceId,
      state: 'active',
      mapped: 7,
      unmapped: 1,
      rejected: 1,
      gaps: 1,
      // Of 2, 3 and 4 one came late.
      missing: 2,
      conflicts: 1,
      numbering: 'both',
      lastEpoch: 'e1',
      openStreams: 1,
      silences: 0,
      sinceStart: { duplicates: 1, refused: 0 },
      quota: defaultSourceQuota,
      quotaVersion: 0,
    })
    // The chain value of record 5 is known only where its collector has a secret, which this key came from.
    expect(reply.source.chainBreaks).toBe(1)
    expect(Math.abs(reply.source.skewMs ?? Number.NaN)).toBeLessThan(60_000)
    expect(reply.hours).toHaveLength(24)
    expect(reply.hours.reduce((sum, { events }) => sum + events, 0)).toBe(9)
    expect(reply.signals.map(({ signal: name, missing }) => [name, missing])).toEqual([
      ['gap', 3],
      ['open', null],
    ])
    expect(reply.reasons.map(({ disposition, count }) => [disposition, count]).sort()).toEqual([
      ['rejected', 1],
      ['unmapped', 1],
    ])
    expect(reply.epochs).toMatchObject([
      { epoch: 'e1', lastSeq: 6, events: 5, missing: 2, lastSignal: 'open' },
    ])
  })

  test('has the quota that was set for it, and is told when it is used up', async () => {
    const quota = { eventsPerSecond: 1, bytesPerSecond: 1_000_000, rejectedBytesPerDay: 0 }
    const set = (expectedVersion: number, value: typeof quota | null) =>
      sealtrail.control.call(Empty, 'POST', `/api/v1/sources/${sourceId}/quota`, {
        quota: value,
        expectedVersion,
      })
    await set(0, quota)
    await expect(set(0, null)).rejects.toMatchObject({ code: 'VERSION_CONFLICT' })
    await send(Array.from({ length: 30 }, (_, i) => call({ 'source.event.id': `q${i}` })))
    const refused = await send([call({})])
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(1)
    const { source } = await detail((reply) => (reply.source.sinceStart?.refused ?? 0) > 0)
    expect(source).toMatchObject({ quota, quotaVersion: 1 })
    await set(1, null)
    await sealtrail.stop()
    await sealtrail.restart()
    expect((await detail(() => true)).source).toMatchObject({
      quota: defaultSourceQuota,
      quotaVersion: 2,
      sinceStart: null,
    })
    await expect(set(2, { ...quota, eventsPerSecond: 0 })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    })
  })

  test('that nobody used is never heard, and one that is none is not found', async () => {
    const { sources } = await sealtrail.control.call(SourcesReply, 'GET', '/api/v1/sources')
    expect(sources.find(({ name }) => name === 'never used')).toMatchObject({
      state: 'never',
      lastEventAt: null,
      numbering: null,
      lagMs: null,
    })
    await expect(
      sealtrail.control.call(SourceDetailReply, 'GET', '/api/v1/sources/none'),
    ).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})
