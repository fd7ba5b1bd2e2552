import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { markersIn } from '../fixtures/markers.ts'
import { RunningLedger } from '../fixtures/running-ledger.ts'
import { verifyOffline } from '../fixtures/small-directory.ts'

/** A disk of its own, so that it can be filled. */
const mount = mkdtempSync(join(tmpdir(), 'sealtrail-disk-'))
const directory = join(mount, 'data')

beforeAll(() => {
  if (process.getuid?.() !== 0) {
    throw new Error(
      'filling a disk needs root, to mount a tmpfs of 64 MiB: run npm run soak as root, or in a container',
    )
  }
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', mount])
})
afterAll(() => {
  execFileSync('umount', ['-l', mount])
  rmSync(mount, { recursive: true, force: true })
})

function body(n: number): string {
  return Array.from({ length: 100 }, (_, i) =>
    JSON.stringify({
      'event.class': 'tool_call',
      'gen_ai.tool.name': 'killed',
      'gen_ai.tool.call.arguments': { marker: `d-${n}-${i}`, filler: randomText(n * 100 + i) },
    }),
  ).join('\n')
}

/** Does not compress. */
function randomText(seed: number): string {
  let state = seed + 1
  return Array.from({ length: 1200 }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return (state >>> 3).toString(36)
  }).join('')
}

test('a disk that is filled by records, and then to its last byte by somebody else: refused, read, and gone on with', async () => {
  const ledger = await RunningLedger.start(directory)
  try {
    let sent = 0
    let refusal = await ledger.post(body(sent))
    for (; refusal.status === 200; refusal = await ledger.post(body(sent))) sent++
    expect(refusal.status).toBe(503)
    expect(refusal.retryAfter).not.toBeNull()
    expect(refusal.body).toMatch(/DISK_FULL/)
    expect(sent).toBeGreaterThan(20)
    // The reserve is there, and what was taken is published.
    const left = statfsSync(mount)
    expect(left.bavail * left.bsize).toBeGreaterThan(1024 * 1024)
    const signed = async () => Number(/\d+/.exec((await ledger.post('', '/checkpoint')).body)?.[0])
    // Ticks are leaves too.
    expect(await signed()).toBeGreaterThanOrEqual(sent * 100)

    // To the last byte: the reserve is gone too.
    const filler = join(mount, 'filler')
    const free = () => {
      const room = statfsSync(mount)
      return room.bavail * room.bsize
    }
    writeFileSync(filler, Buffer.alloc(free()))
    expect(free()).toBe(0)
    expect((await ledger.post(body(sent))).status).toBe(503)
    const durable = (await ledger.size()).durable
    expect(durable).toBeGreaterThanOrEqual(sent * 100)
    expect(await ledger.ended(100)).toBeUndefined()

    // Killed, and started below the reserve: everything can be read.
    await ledger.kill9()
    rmSync(filler)
    await ledger.restart()
    expect((await ledger.size()).durable).toBeGreaterThanOrEqual(durable)
    expect((await ledger.post(body(sent))).status).toBe(503)

    // Room is made: by itself, and without a restart.
    execFileSync('mount', ['-o', 'remount,size=128m', mount])
    for (let tries = 0; (await ledger.post(body(sent))).status !== 200; tries++) {
      expect(tries).toBeLessThan(100)
      await sleep(100)
    }
    sent++
    expect(await ledger.stop()).toBe(0)
    const { code, said } = await verifyOffline(directory)
    expect(said).toMatch(/^OK {2}main: \d+ leaves/)
    expect(code).toBe(0)
    const stored = await markersIn(directory)
    expect(stored.size).toBe(sent * 100)
    expect([...stored.values()].every((times) => times === 1)).toBe(true)
    process.stdout.write(`${sent * 100} records on a disk of 64 MiB, each there once\n`)
  } finally {
    await ledger.kill9()
  }
}, 600_000)
