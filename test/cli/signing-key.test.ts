import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { temporaryDirectory } from '../fixtures/embedded-ledger.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

let folder: string
let sealtrail: RunningSealtrail

beforeAll(async () => {
  folder = await temporaryDirectory()
  mkdirSync(join(folder, 'anchors'))
  sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_ANCHOR_DIRECTORY: join(folder, 'anchors'),
  })
})
afterAll(async () => {
  await sealtrail.end()
  rmSync(folder, { recursive: true, force: true })
})

test('sealtrail signing-key rotate: the log goes on under the next key, and whoever holds the old one is led to it', async () => {
  const old = (await sealtrail.command(['vkey', '--log', '_system'])).stdout.trim()
  await sealtrail.key('before')
  const rotated = await sealtrail.command([
    'signing-key',
    'rotate',
    '--log',
    '_system',
    '--overlap-days',
    '7',
  ])
  expect([rotated.code, rotated.stderr]).toEqual([0, ''])
  const [said, next, also] = rotated.stdout.trim().split('\n')
  expect(said).toMatch(/^Rotated at leaf \d+\. From now on:$/)
  expect(also).toBe(`For 7 days also: ${old}`)
  expect((await sealtrail.command(['vkey', '--log', '_system'])).stdout.trim()).toBe(next)
  await sealtrail.key('after')
  for (const key of [old, next ?? '']) {
    const verified = await sealtrail.command([
      'verify',
      '--key',
      key,
      '--log',
      '_system',
      '--anchor',
      join(folder, 'anchors'),
    ])
    expect([verified.code, verified.stdout]).toEqual([
      0,
      expect.stringMatching(
        /^OK {2}_system: [\s\S]*covered by anchor directory .*, up to size \d+/,
      ),
    ])
  }
  await sealtrail.stop()
  const offline = await sealtrail.command([
    'verify',
    '--offline',
    '--key',
    old,
    '--log',
    '_system',
    '--anchor',
    join(folder, 'anchors'),
  ])
  expect([offline.code, offline.stdout]).toEqual([0, expect.not.stringContaining('not covered')])
})
