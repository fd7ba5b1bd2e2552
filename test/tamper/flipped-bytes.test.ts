import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seeded } from '../fixtures/agent-history.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { flipBytes } from '../fixtures/flip-bytes.ts'
import { seedOfRun } from '../fixtures/kill-rounds.ts'
import { filesOf, fillSmallDirectory, verifyOffline } from '../fixtures/small-directory.ts'

let directory: string

beforeAll(async () => {
  directory = await temporaryDirectory()
  await fillSmallDirectory(directory)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

test('a small stopped data directory verifies, and holds every kind of file', async () => {
  const { code, said } = await verifyOffline(directory)
  expect(said).toMatch(/OK {2}_system: 1 leaves, 1 checkpoints, 1 payloads/)
  expect(said).toMatch(/OK {2}main: 7 leaves, 4 checkpoints, 6 payloads/)
  expect(code).toBe(0)
  expect(filesOf(directory)).toEqual([
    'keyring/keyring',
    'keyring/master.key',
    ...['_system', 'main'].flatMap((log) => [
      `ledger/${log}/checkpoints/00000000.log`,
      `ledger/${log}/segments/00000000.log`,
    ]),
    'payloads/_system/000000.payloads',
    'payloads/main/000000.payloads',
    'signer/_system.key',
    'signer/_system.signed',
    'signer/_system.vkey',
    'signer/deployment',
    'signer/main.key',
    'signer/main.signed',
    'signer/main.vkey',
  ])
})

// Every byte of it: npm run soak.
test('any one byte that is flipped is named, or stands in the register of bytes that carry nothing', async () => {
  const random = seeded(seedOfRun())
  const { flipped, missed } = await flipBytes(
    directory,
    () => random() < 0.02,
    () => 1 + Math.floor(random() * 255),
  )
  expect(missed).toEqual([])
  expect(flipped).toBeGreaterThan(100)
})

test('a file that is gone is named', async () => {
  for (const file of filesOf(directory)) {
    const copy = join(directory, '..', `${directory.split('/').at(-1)}-copy`)
    cpSync(directory, copy, { recursive: true })
    rmSync(join(copy, file))
    const { code, said } = await verifyOffline(copy)
    // Who examines a copy without keys is told that nothing was opened; a start without them is refused.
    if (file === 'keyring/keyring') expect(said).toContain('not opened: there is no keyring')
    else if (file.includes('/checkpoints/'))
      expect(said).toMatch(/there is no checkpoint of size \d/)
    else expect([file, said, code === 0]).toEqual([file, said, false])
    rmSync(copy, { recursive: true })
  }
})
