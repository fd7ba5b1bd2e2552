import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SearchReply } from '../../schemas/api/search.ts'
import { RunningSealtrail, runSealtrail } from '../fixtures/running-sealtrail.ts'
import { buildGoVerifier } from './build-verifier.ts'

const run = promisify(execFile)
let go: string
let sealtrail: RunningSealtrail
let folder: string
let vkey: string

beforeAll(async () => {
  go = await buildGoVerifier()
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-interop-'))
  sealtrail = await RunningSealtrail.start()
  const key = await sealtrail.key('interop')
  const events = Array.from({ length: 300 }, (_, n) =>
    JSON.stringify({
      'event.class': 'tool_call',
      'gen_ai.tool.name': `tool-${n % 3}`,
      'gen_ai.tool.call.arguments': { n },
    }),
  )
  const response = await fetch(`${sealtrail.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/x-ndjson' },
    body: events.join('\n'),
  })
  expect(response.status).toBe(200)
  vkey = (await sealtrail.command(['vkey'])).stdout.trim()
})
afterAll(async () => {
  await sealtrail?.end()
  await rm(folder, { recursive: true, force: true })
})

test("Go's note and tlog packages verify the proof that sealtrail prove writes, and no altered one", async () => {
  const range = `from=2020-01-01T00:00:00Z&until=${new Date(Date.now() + 60_000).toISOString()}`
  let eventId = ''
  for (let tries = 0; eventId === '' && tries < 50; tries++) {
    const { rows } = await sealtrail.control.call(
      SearchReply,
      'GET',
      `/api/v1/events?${range}&q=args.n:123`,
    )
    eventId = rows[0]?.eventId ?? ''
    if (eventId === '') await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await new Promise((resolve) => setTimeout(resolve, 1200))
  const proved = await sealtrail.command(['prove', eventId, '--out', folder])
  expect([proved.code, proved.stderr]).toEqual([0, ''])
  const leaf = join(folder, `${eventId}.leaf`)
  const proof = join(folder, `${eventId}.tlog-proof`)
  expect((await run(go, ['proof', vkey, leaf, proof])).stdout).toMatch(/^OK /)
  const altered = join(folder, 'altered')
  writeFileSync(altered, readFileSync(leaf, 'utf8').replace('tool-', 'toll-'))
  await expect(run(go, ['proof', vkey, altered, proof])).rejects.toMatchObject({ code: 1 })
  writeFileSync(
    altered,
    readFileSync(proof, 'utf8').replace(
      /^index (\d+)$/m,
      (_, index) => `index ${Number(index) + 1}`,
    ),
  )
  await expect(run(go, ['proof', vkey, leaf, altered])).rejects.toMatchObject({ code: 1 })
})

test("Go verifies checkpoint and proofs of an export, and the export's own verifier accepts the whole", async () => {
  const out = join(folder, 'bundle')
  const exported = await sealtrail.command([
    'export',
    '--from',
    '2020-01-01',
    '--to',
    '2100-01-01',
    '--query',
    'tool:tool-1',
    '--out',
    out,
  ])
  expect([exported.code, exported.stdout]).toEqual([0, expect.stringMatching(/^100 rows/)])
  expect(
    (await run(go, ['proof', vkey, join(out, 'export.leaf'), join(out, 'export.tlog-proof')]))
      .stdout,
  ).toMatch(/^OK /)
  const first = /proofs-(\d+)\.leaf/.exec(readFileSync(join(out, 'manifest.json'), 'utf8'))?.[1]
  expect(
    (
      await run(go, [
        'proof',
        vkey,
        join(out, `proofs-${first}.leaf`),
        join(out, `proofs-${first}.tlog-proof`),
      ])
    ).stdout,
  ).toMatch(/^OK /)
  const checkpoint = run(go, ['checkpoint', vkey])
  checkpoint.child.stdin?.end(readFileSync(join(out, 'checkpoint')))
  expect((await checkpoint).stdout).toMatch(/^OK /)
  expect((await run(process.execPath, [join(out, 'verify.mjs'), vkey, out])).stdout).toMatch(
    /^OK: 100 rows/,
  )
  const { code } = await runSealtrail(['verify', '--data', sealtrail.directory])
  expect(code).toBe(0)
})
