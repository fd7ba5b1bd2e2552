import { spawnSync } from 'node:child_process'
import { createHash, createHmac } from 'node:crypto'
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { Shipper, type WhenFull } from '../../ingest/collectors/shipper.ts'
import type { SourceEvent } from '../../schemas/event/event.ts'
import { chainStart, chainValue, sentDigest } from '../../schemas/source-chain.ts'
import { chainKeyOf } from '../../schemas/source-key.ts'
import { CaptureReceiver } from '../fixtures/mcp/capture-receiver.ts'
import { eventually, spoolFiles } from '../fixtures/mcp/tap-process.ts'

let receiver = new CaptureReceiver()
let spool = ''
let problems: string[] = []

beforeEach(async () => {
  receiver = await new CaptureReceiver().start()
  spool = mkdtempSync(join(tmpdir(), 'sealtrail-spool-'))
  problems = []
  return () => receiver.stop()
})

function shipper(
  spoolMaxBytes = 64 * 1024 * 1024,
  url = receiver.url,
  whenFull: WhenFull = 'drop',
): Shipper {
  const each = new Shipper({
    url,
    secret: receiver.secret,
    spoolDirectory: spool,
    spoolMaxBytes,
    whenFull,
    clock: () => performance.timeOrigin + performance.now(),
    onProblem: (message) => problems.push(message),
  })
  each.start()
  return each
}

const event = (n: number, more: Partial<SourceEvent> = {}): SourceEvent => ({
  'event.class': 'tool_call',
  'gen_ai.tool.name': `tool ${n}`,
  ...more,
})

/** Each record's `prev` is the chain value of the record before it, unless a gap lies between. */
function expectChain(records: readonly SourceEvent[]): void {
  const hmac = (key: Uint8Array, data: Uint8Array) =>
    createHmac('sha256', key).update(data).digest()
  const sha256 = (data: Uint8Array) => createHash('sha256').update(data).digest()
  const key = chainKeyOf(receiver.secret)
  let before: SourceEvent | undefined
  for (const record of records) {
    const follows = before !== undefined && before['source.epoch'] === record['source.epoch']
    if (!follows) expect(record['source.prev']).toBe(chainStart)
    else if (record['source.seq'] === (before?.['source.seq'] ?? 0) + 1) {
      const digest = sentDigest(sha256, JSON.parse(JSON.stringify(before)))
      expect(record['source.prev']).toBe(chainValue(hmac, key, digest))
    }
    before = record
  }
}

describe('delivery', () => {
  test('a receiver that dies in the middle and comes back has every record once by number, in order, chained', async () => {
    const each = shipper()
    let n = 0
    const feed = async (count: number) => {
      for (let i = 0; i < count; i++) {
        each.record(event(n++))
        if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
    await feed(200)
    await eventually(() => receiver.ofClass('tool_call').length > 50, 'first records')
    await receiver.stop()
    await feed(200)
    await eventually(() => spoolFiles(spool).length === 1, 'a spool')
    await receiver.start()
    await feed(200)
    await eventually(() => receiver.ofClass('tool_call').length === 600, 'all records')
    await each.close(2000)
    const records = receiver.distinct()
    expect(records.map((record) => record['source.seq'])).toEqual(records.map((_, i) => i))
    expect(records).toHaveLength(602)
    expectChain(records)
    expect(receiver.violations).toEqual([])
    expect(spoolFiles(spool)).toEqual([])
  })

  test('what comes one by one is sent together, and the end does not wait for more', async () => {
    const each = shipper()
    await eventually(() => receiver.distinct().length === 1, 'the opening')
    receiver.requests.length = 0
    for (let i = 0; i < 40; i++) {
      each.record(event(i))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    await each.close(2000)
    const posts = receiver.requests.filter(({ method }) => method === 'POST')
    // A record every two milliseconds would be a request each, if they were not gathered.
    expect(posts.length).toBeLessThan(12)
    expect(receiver.distinct().map((record) => record['source.seq'])).toEqual(
      Array.from({ length: 42 }, (_, i) => i),
    )
  })

  test.each(['error', 'busy', 'silent', 'hang', 'slow'] as const)(
    'a receiver in mode %s for a while costs no record',
    async (mode) => {
      receiver.mode = mode
      const each = shipper()
      for (let i = 0; i < 300; i++) each.record(event(i))
      await new Promise((resolve) => setTimeout(resolve, 700))
      receiver.mode = 'ok'
      await eventually(() => receiver.ofClass('tool_call').length === 300, 'all records')
      await each.close(2000)
      const records = receiver.distinct()
      expect(records.map((record) => record['source.seq'])).toEqual(records.map((_, i) => i))
      expectChain(records)
      expect(receiver.violations).toEqual([])
    },
  )

  test('what was delivered makes room: a stream without a pause never fills the queue', async () => {
    const each = shipper()
    const result = 'x '.repeat(100_000)
    for (let n = 0; n < 200; ) {
      // Never an empty queue, never a long one: 40 MB pass, where 32 MiB may wait.
      while (n < receiver.records.length + 20) {
        each.record(event(n++, { 'gen_ai.tool.call.result': result }))
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await each.close(20_000)
    const numbers = receiver.distinct().map((record) => record['source.seq'])
    expect(numbers).toEqual(numbers.map((_, i) => i))
  })

  test.each([
    [400, '<html>Bad Request</html>'],
    [400, '{"code":"REQUEST_INVALID"}'],
    [404, '{}'],
  ])('a refusal of %i that is not about the records (%s) costs none', async (status, body) => {
    const each = shipper()
    await eventually(() => receiver.records.length === 1, 'open')
    receiver.refusal = { status, body }
    each.record(event(1))
    await new Promise((resolve) => setTimeout(resolve, 300))
    receiver.refusal = undefined
    await eventually(() => receiver.ofClass('tool_call').length === 1, 'the record')
    await each.close(2000)
  })

  test('another program at the address is given no record', async () => {
    const other = createServer((request, response) => {
      if (request.method === 'POST') taken++
      response.end('<html></html>')
    })
    let taken = 0
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const each = shipper(1_000_000, `http://127.0.0.1:${port}`)
    each.record(event(1))
    await each.close(1000)
    other.close()
    expect(taken).toBe(0)
    expect(spoolFiles(spool)).toHaveLength(1)
    expect(problems.join()).toContain('does not answer like Sealtrail')
  })

  test('batches hold at most 256 records and 512 KiB', async () => {
    const each = shipper()
    for (let i = 0; i < 1000; i++) {
      each.record(
        event(i, { 'gen_ai.tool.call.arguments': { data: 'x'.repeat(i % 2 ? 10 : 4000) } }),
      )
    }
    await each.close(10_000)
    const posts = receiver.requests.filter(({ method }) => method === 'POST')
    expect(receiver.ofClass('tool_call')).toHaveLength(1000)
    expect(Math.max(...posts.map(({ body }) => body.split('\n').length))).toBeLessThanOrEqual(256)
    expect(Math.max(...posts.map(({ body }) => Buffer.byteLength(body)))).toBeLessThanOrEqual(
      512 * 1024 + 256,
    )
  })

  test('the wait that a busy receiver asks for is kept, whatever comes meanwhile', async () => {
    receiver.mode = 'busy'
    receiver.retryAfterSeconds = 1
    const each = shipper()
    const feeding = setInterval(() => each.record(event(1)), 10)
    await new Promise((resolve) => setTimeout(resolve, 1500))
    clearInterval(feeding)
    expect(receiver.requests.length).toBeLessThanOrEqual(3)
    expect(receiver.requests.length).toBeGreaterThanOrEqual(2)
    receiver.mode = 'ok'
    await each.close(5000)
  })

  test('a record that the receiver finds too large does not hold up the others', async () => {
    receiver.maxBodyBytes = 100_000
    const each = shipper()
    for (let i = 0; i < 20; i++) {
      each.record(event(i, i === 7 ? { 'gen_ai.tool.call.result': 'x'.repeat(120_000) } : {}))
    }
    await each.close(5000)
    expect(receiver.ofClass('tool_call')).toHaveLength(19)
    expect(problems.join()).toContain('larger than the receiver takes')
  })

  test('an event that has no canonical form leaves a hole in the numbers, and the chain goes on', async () => {
    const each = shipper()
    each.record(event(1))
    each.record(event(2, { 'gen_ai.tool.call.arguments': { bad: '\ud800' } }))
    each.record(event(3))
    each.lost()
    each.record(event(4))
    each.record(event(5))
    await each.close(5000)
    const records = receiver.distinct()
    expect(records.map((record) => record['source.seq'])).toEqual([0, 1, 3, 5, 6, 7])
    expect(records.map((record) => record['source.prev'] === undefined)).toEqual([
      false,
      false,
      true,
      true,
      false,
      false,
    ])
    expectChain(records)
  })
})

describe('the spool', () => {
  test('that is full makes who wants to wait do so, and then nothing is lost', async () => {
    await receiver.stop()
    const each = shipper(100_000, receiver.url, 'block')
    let waits = 0
    const run = async () => {
      for (let i = 0; i < 400; i++) {
        each.record(event(i, { 'gen_ai.tool.call.arguments': { pad: 'p'.repeat(500) } }))
        if (i % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
        const room = each.room()
        if (room === undefined) continue
        if (waits++ === 0) void receiver.start()
        await room
      }
    }
    await run()
    await each.close(5000)
    expect(waits).toBeGreaterThan(0)
    expect(receiver.distinct().map((record) => record['source.seq'])).toEqual(
      Array.from({ length: 402 }, (_, i) => i),
    )
    expectChain(receiver.distinct())
    expect(problems.filter((problem) => problem.includes('lost'))).toEqual([])
  })

  test('on a full disk keeps what fits, and what stands in it is read again, in order', () => {
    const script = `
      import { Spool } from ${JSON.stringify(new URL('../../ingest/collectors/spool.ts', import.meta.url).href)}
      const spool = new Spool(${JSON.stringify(spool)}, Buffer.alloc(32, 1), 1e9)
      const kept = []
      for (let i = 0; i < 40; i++) if (spool.append(i + ' ' + 'x'.repeat(i % 2 === 0 ? 4000 : 40))) kept.push(i)
      const read = spool.peek(1000, 1e9).records.map((record) => parseInt(record))
      process.stdout.write(JSON.stringify({ kept, read, damaged: spool.advance(spool.peek(1000, 1e9)) ?? spool.clear() }))`
    // A limit of the system on the size of files: writing fails half-way, as it does where a disk is full.
    const { stdout } = spawnSync(
      'sh',
      [
        '-c',
        'ulimit -f 64; exec "$0" --import tsx --input-type=module -e "$1"',
        process.execPath,
        script,
      ],
      { encoding: 'utf8' },
    )
    const { kept, read, damaged } = JSON.parse(stdout)
    expect(kept.length).toBeGreaterThan(5)
    expect(kept.length).toBeLessThan(40)
    expect(read).toEqual(kept)
    expect(damaged).toBe(false)
  })

  test('a secret that the cut would go through is replaced before', async () => {
    const secret = 'ghp_Zq3vN8sKd0Lx7Rt2Wm5Yb9Hc4Jf6Pa1GuEo'
    const long = `${'a '.repeat(65_526)}${secret} end`
    const each = shipper()
    each.record(
      event(1, {
        'gen_ai.tool.call.result': long,
        'raw.record': long,
        'error.message': `${'e '.repeat(4090)}${secret}`,
        'mcp.resource.uri': `file:///${'u/'.repeat(2040)}${secret}`,
      }),
    )
    await each.close(5000)
    const text = JSON.stringify(receiver.ofClass('tool_call'))
    expect(text).not.toContain('ghp_')
    expect(receiver.ofClass('tool_call')[0]?.['result.capture']).toBe('truncated')
  })

  test('that is full drops what does not fit, says so once, and the numbers show the gap', async () => {
    await receiver.stop()
    const each = shipper(100_000)
    for (let i = 0; i < 500; i++) each.record(event(i, { attributes: { pad: 'x'.repeat(1000) } }))
    await eventually(() => problems.some((problem) => problem.includes('full')), 'a warning')
    await receiver.start()
    await eventually(() => receiver.ofClass('tool_call').length > 0, 'the rest')
    each.record(event(1000))
    await each.close(5000)
    const numbers = receiver.distinct().map((record) => record['source.seq'] ?? -1)
    expect(numbers.at(-1)).toBe(502)
    expect(numbers.length).toBeLessThan(200)
    expect(problems.filter((problem) => problem.includes('full'))).toHaveLength(1)
    // How many, as the gap says it.
    const told = Number(/(\d+) records? (?:was|were) lost/.exec(problems.join())?.[1])
    const seqs = receiver.distinct().map((record) => record['source.seq'] ?? 0)
    expect(told).toBe(Math.max(...seqs) + 1 - seqs.length)
  })

  test('is limited as a folder: what dead processes left counts', async () => {
    await receiver.stop()
    for (let run = 0; run < 5; run++) {
      const each = shipper(100_000)
      for (let i = 0; i < 50; i++) each.record(event(i, { attributes: { pad: 'x'.repeat(1000) } }))
      await each.close(0)
    }
    const bytes = spoolFiles(spool).reduce((sum, name) => sum + statSync(join(spool, name)).size, 0)
    expect(bytes).toBeGreaterThan(90_000)
    expect(bytes).toBeLessThanOrEqual(100_000)
  })

  test('that is large is delivered in pieces, in order, with what comes meanwhile', async () => {
    await receiver.stop()
    const each = shipper()
    const result = 'x '.repeat(10_000)
    for (let i = 0; i < 1500; i++) each.record(event(i, { 'gen_ai.tool.call.result': result }))
    await eventually(() => spoolFiles(spool).length === 1, 'a spool')
    for (let i = 0; i < 10; i++) each.record(event(i))
    await receiver.start()
    await eventually(() => receiver.distinct().length === 1511, 'all records')
    await each.close(2000)
    const numbers = receiver.distinct().map((record) => record['source.seq'])
    expect(numbers).toEqual(numbers.map((_, i) => i))
    expect(spoolFiles(spool)).toEqual([])
  })

  test('that somebody changed or took away does not hold up what follows', async () => {
    for (const damage of ['changed', 'gone'] as const) {
      await receiver.stop()
      const each = shipper()
      for (let i = 0; i < 5; i++) each.record(event(i))
      await eventually(() => spoolFiles(spool).length === 1, 'a spool')
      const path = join(spool, spoolFiles(spool)[0] ?? '')
      if (damage === 'gone') rmSync(path)
      else writeFileSync(path, `${readFileSync(path, 'utf8').slice(0, 40)}!\n`)
      await receiver.start()
      await eventually(() => problems.join().includes('cannot be read'), damage)
      each.record(event(6, { 'gen_ai.tool.name': `after ${damage}` }))
      await each.close(3000)
      const names = receiver.ofClass('tool_call').map((record) => record['gen_ai.tool.name'])
      expect(names).toContain(`after ${damage}`)
      problems = []
    }
  })

  test('what the ledger says it has is not sent again', async () => {
    await receiver.stop()
    const first = shipper()
    for (let i = 0; i < 10; i++) first.record(event(i))
    await first.close(200)
    const [name = ''] = spoolFiles(spool)
    // As a dead process would have left it.
    const orphan = join(spool, '999999999-00000000.spool')
    writeFileSync(orphan, readFileSync(join(spool, name)))
    await receiver.start()
    const probe = shipper()
    await probe.close(5000)
    const epoch = receiver.distinct()[0]?.['source.epoch'] ?? ''
    receiver.records.length = 0
    // Another stream of the same source was heard since.
    receiver.committed = [
      { epoch: 'later', seq: 0 },
      { epoch, seq: 8 },
    ]
    writeFileSync(orphan, readFileSync(join(spool, name)))
    const second = shipper()
    await second.close(5000)
    const again = receiver.distinct().filter((record) => record['source.epoch'] === epoch)
    expect(again.map((record) => record['source.seq'])).toEqual([9, 10, 11])
  })

  test('with a changed line delivers what stands before it and is kept aside', async () => {
    await receiver.stop()
    const first = shipper()
    for (let i = 0; i < 10; i++) first.record(event(i))
    await first.close(200)
    const [name = ''] = spoolFiles(spool)
    const lines = readFileSync(join(spool, name), 'utf8').split('\n')
    lines[4] = `${lines[4]?.startsWith('A') ? 'B' : 'A'}${lines[4]?.slice(1)}`
    writeFileSync(join(spool, '999999999-00000000.spool'), lines.join('\n'))
    await receiver.start()
    await shipper().close(5000)
    expect(receiver.ofClass('tool_call')).toHaveLength(3)
    expect(readdirSync(spool).some((file) => file.endsWith('.damaged'))).toBe(true)
    expect(problems.join()).toContain('cannot be read')
  })

  test('of an earlier process with the id of a living one is taken over only when it is surely dead', async () => {
    await receiver.stop()
    const first = shipper()
    first.record(event(1))
    await first.close(200)
    const [name = ''] = spoolFiles(spool)
    const bytes = readFileSync(join(spool, name))
    await receiver.start()
    // A living process, written now: it is in use.
    const ofLiving = join(spool, `${process.ppid}-0000000a.spool`)
    writeFileSync(ofLiving, bytes)
    await shipper().close(5000)
    expect(receiver.ofClass('tool_call')).toEqual([])
    // Written before the machine started: whoever has the id now is another one.
    utimesSync(ofLiving, 1, 1)
    await shipper().close(5000)
    expect(receiver.ofClass('tool_call')).toHaveLength(1)
    // In a container every process may have the same id.
    receiver.records.length = 0
    writeFileSync(join(spool, `${process.pid}-0000000b.spool`), bytes)
    await shipper().close(5000)
    expect(receiver.ofClass('tool_call')).toHaveLength(1)
  })

  test('a torn last line is forgotten: the record was never whole', async () => {
    await receiver.stop()
    const first = shipper()
    for (let i = 0; i < 10; i++) first.record(event(i))
    await first.close(200)
    const [name = ''] = spoolFiles(spool)
    const bytes = readFileSync(join(spool, name))
    writeFileSync(join(spool, '999999999-00000000.spool'), bytes.subarray(0, -30))
    await receiver.start()
    await shipper().close(5000)
    expect(receiver.ofClass('tool_call')).toHaveLength(10)
    expect(readdirSync(spool).some((file) => file.endsWith('.damaged'))).toBe(false)
  })
})
