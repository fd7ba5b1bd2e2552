import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runSealtrail } from '../fixtures/running-sealtrail.ts'

const golden = join(import.meta.dirname, '../golden/data')
let root: string
let data: string
const keyFile = (name: string) => join(root, name)
const under = (name: string) => ({ SEALTRAIL_MASTER_KEY_FILE: keyFile(name) })
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'sealtrail-master-key-'))
  data = join(root, 'data')
  cpSync(golden, data, { recursive: true })
  const { testMasterKey }: { testMasterKey: string } = JSON.parse(
    readFileSync(join(golden, 'expected.json'), 'utf8'),
  )
  writeFileSync(keyFile('old'), testMasterKey)
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

test('master-key rotate needs to know where the new key goes, and says so', async () => {
  const rotate = ['master-key', 'rotate', '--data', data]
  const outside = await runSealtrail(rotate, under('old'))
  expect(outside).toMatchObject({ code: 2, stdout: '' })
  expect(outside.stderr).toMatch(/name the file of the new one with --new-key-file/)
  const inside = await runSealtrail([...rotate, '--new-key-file', keyFile('new')])
  expect(inside.code).toBe(2)
  expect(inside.stderr).toMatch(/--new-key-file goes with SEALTRAIL_MASTER_KEY_FILE/)
})

test('after it the new key opens everything and the old one nothing', async () => {
  const rotate = ['master-key', 'rotate', '--data', data, '--new-key-file', keyFile('new')]
  const rotated = await runSealtrail(rotate, under('old'))
  expect(rotated).toMatchObject({ code: 0, stderr: '' })
  expect(rotated.stdout).toMatch(/Start Sealtrail with SEALTRAIL_MASTER_KEY_FILE=.*new from now on/)
  expect(rotated.stdout).toMatch(/copied elsewhere under it .* it still opens/s)
  const verify = ['verify', '--offline', '--data', data]
  const now = await runSealtrail(verify, under('new'))
  expect(now.code).toBe(0)
  expect(now.stdout).toMatch(/OK {2}main: \d+ leaves/)
  const before = await runSealtrail(verify, under('old'))
  expect(before.code).toBe(1)
  expect(before.stdout).toMatch(
    /BAD (?:line 0 of .*keyring|the signing key of \S+) does not authenticate/,
  )
  const again = await runSealtrail(rotate, under('old'))
  expect(again.code).toBe(2)
  expect(again.stderr).toMatch(/KEYRING_CORRUPT/)
})
