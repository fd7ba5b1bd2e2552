import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { seeded } from '../fixtures/agent-history.ts'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { flipBytes } from '../fixtures/flip-bytes.ts'
import { seedOfRun } from '../fixtures/kill-rounds.ts'
import { fillSmallDirectory } from '../fixtures/small-directory.ts'

test('every byte of a small stopped data directory, flipped: each is named or in the register', async () => {
  const directory = await temporaryDirectory()
  try {
    await fillSmallDirectory(directory)
    const random = seeded(seedOfRun())
    const { flipped, detected, registered, missed } = await flipBytes(
      directory,
      () => true,
      () => 1 + Math.floor(random() * 255),
    )
    process.stdout.write(`${flipped} bytes flipped, ${detected} named by verify\n`)
    for (const [why, count] of registered) process.stdout.write(`${count}: ${why}\n`)
    expect(missed).toEqual([])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}, 1_200_000)
