import { execFile } from 'node:child_process'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { IntegrityReply, type LogIntegrity } from '../../schemas/api/integrity.ts'
import { parseNote } from '../../schemas/tlog/note.ts'
import { RunningSealtrail, runSealtrail } from '../fixtures/running-sealtrail.ts'
import { buildGoVerifier } from './build-verifier.ts'
import { ForeignWitness } from './foreign-witness.ts'

/** Our checkpoints at witnesses that are not ours, and what they cosigned before verifiers that are not ours. */

const run = promisify(execFile)
let folder: string
let go: string
let witnesses: ForeignWitness[]
let sealtrail: RunningSealtrail
let policyFile: string
let key: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-witness-'))
  go = await buildGoVerifier()
  witnesses = []
  for (const name of ['witness.example/w1', 'witness.example/w2'])
    witnesses.push(await ForeignWitness.start(name, folder))
  policyFile = join(folder, 'policy')
  writeFileSync(policyFile, policy(true))
  sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_WITNESS_POLICY_FILE: policyFile,
    SEALTRAIL_ANCHOR_INTERVAL_S: '1',
  })
  key = await sealtrail.key('witnessed')
  return async () => {
    await sealtrail.end()
    await Promise.all(witnesses.map((witness) => witness.stop()))
    rmSync(folder, { recursive: true, force: true })
  }
  // The first time on a machine the witness is built.
}, 600_000)

/** The same policy for us and for torchwood; a verifier needs the log, and no addresses. */
function policy(withUrls: boolean, log?: string): string {
  return [
    ...(log === undefined ? [] : [`log ${log}`]),
    ...witnesses.map(
      ({ verifierKey, url }, i) => `witness w${i + 1} ${verifierKey}${withUrls ? ` ${url}` : ''}`,
    ),
    'group both all w1 w2',
    'quorum both\n',
  ].join('\n')
}

async function logs(): Promise<readonly LogIntegrity[]> {
  return (await sealtrail.control.call(IntegrityReply, 'GET', '/api/v1/integrity')).logs
}

async function mainLog(): Promise<LogIntegrity> {
  const log = (await logs()).find(({ logId }) => logId === 'main')
  if (log === undefined) throw new Error('there is no log main')
  return log
}

async function send(count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, n) =>
    JSON.stringify({ 'event.class': 'tool_call', 'gen_ai.tool.name': `tool-${n}` }),
  )
  const response = await fetch(`${sealtrail.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  })
  expect(response.status).toBe(200)
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await holds()) return
    await delay(100)
  }
  throw new Error(`not within 30 s: ${what}`)
}

/** Cosigned by both, at least up to a size. */
const cosignedTo = (size: number) =>
  until(`a quorum at size ${size}`, async () => {
    const { cosigned } = (await mainLog()).anchoring
    return cosigned?.quorum === true && cosigned.size >= size
  })

test('a witness that does not know the log is named, and events are taken meanwhile', async () => {
  await send(20)
  await until('both witnesses refuse', async () => {
    const { anchors } = (await mainLog()).anchoring
    return anchors.every(({ problem }) => problem?.includes('does not know') === true)
  })
  const log = await mainLog()
  expect(log.checkpoint?.size).toBeGreaterThanOrEqual(20)
  expect(log.anchoring).toMatchObject({ witnessedSize: 0, cosigned: null })
})

test('both cosign what grows; torchwood accepts checkpoint and proof under the policy, and none without', async () => {
  for (const { origin, verifierKey } of await logs()) {
    for (const witness of witnesses) await witness.register(origin, verifierKey)
  }
  await cosignedTo(20)
  await send(30)
  await cosignedTo(50)
  const log = await mainLog()
  const note = log.anchoring.cosigned?.note ?? ''
  expect(parseNote(note).signatures).toHaveLength(3)
  expect(await witnesses[0]?.sizeOf(log.origin)).toBeGreaterThanOrEqual(50)
  expect(log.anchoring.witnessedSize).toBeGreaterThanOrEqual(50)

  const foreign = join(folder, 'foreign-policy')
  writeFileSync(foreign, policy(false, log.verifierKey))
  const checkpoint = join(folder, 'checkpoint')
  writeFileSync(checkpoint, note)
  expect((await run(go, ['policy-checkpoint', foreign, checkpoint])).stdout).toMatch(
    /^OK origin=\S+\/main size=\d+ .* signatures=3/,
  )

  const out = join(folder, 'bundle')
  const exported = await sealtrail.command([
    'export',
    '--from',
    '2020-01-01',
    '--to',
    '2100-01-01',
    '--out',
    out,
  ])
  expect([exported.code, exported.stderr]).toEqual([0, ''])
  const proof = [foreign, join(out, 'export.leaf'), join(out, 'export.tlog-proof')]
  expect((await run(go, ['policy-proof', ...proof])).stdout).toMatch(/^OK /)
  // Without one of the two cosignatures the policy is not satisfied.
  const less = join(folder, 'less')
  writeFileSync(
    less,
    readFileSync(proof[2] ?? '', 'utf8').replace(/\u2014 witness\.example\/w2 .*\n/, ''),
  )
  await expect(run(go, ['policy-proof', foreign, proof[1] ?? '', less])).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('policy'),
  })

  const keys = witnesses.flatMap(({ verifierKey }) => ['--witness', verifierKey])
  const verifier = [join(out, 'verify.mjs'), log.verifierKey, out]
  const accepted = await run(process.execPath, [...verifier, ...keys])
  expect(accepted.stdout).toMatch(
    /cosigned by witness\.example\/w1 at 20.*\ncosigned by witness\.example\/w2 at/,
  )
  const stranger = log.verifierKey.replace(/.$/, 'A')
  await expect(run(process.execPath, [...verifier, '--witness', stranger])).rejects.toMatchObject({
    code: 1,
  })

  const witnessKeys = witnesses.flatMap(({ verifierKey }) => ['--witness-key', verifierKey])
  const verified = await sealtrail.command([
    'verify',
    '--key',
    log.verifierKey,
    '--checkpoint',
    join(out, 'checkpoint'),
    '--log',
    'main',
    ...witnessKeys,
  ])
  expect([verified.code, verified.stdout]).toEqual([
    0,
    expect.stringMatching(/covered by witness witness\.example\/w1, up to size \d+, at 20/),
  ])
})

test('a rollback is refused at the start: the witness answers 409 with the size that it saw', async () => {
  const backup = join(folder, 'backup')
  const before = await mainLog()
  await sealtrail.stop()
  cpSync(sealtrail.directory, backup, { recursive: true })
  await sealtrail.restart()
  key = await sealtrail.key('later')
  await send(10)
  await cosignedTo(before.treeSize + 10)
  const { origin, verifierKey } = await mainLog()
  const seen = (await witnesses[0]?.sizeOf(origin)) ?? 0
  await sealtrail.stop()

  const started = await runSealtrail(
    ['up', '--data', backup, '--port', '0', '--otlp-port', '0', '--no-web'],
    {
      SEALTRAIL_WITNESS_POLICY_FILE: policyFile,
    },
  )
  expect(started.code).toBe(2)
  expect(started.stderr).toMatch(
    /log \w+: witness witness\.example\/w\d cosigned \S+ at size \d+, and it has only \d+ leaves here: it was rolled back \(ANCHOR_CONTRADICTS\)/,
  )
  // Nothing of it reached the witness, and the true one goes on.
  expect(await witnesses[0]?.sizeOf(origin)).toBe(seen)
  await sealtrail.restart()
  key = await sealtrail.key('again')
  await send(5)
  await cosignedTo(seen + 5)
  expect((await mainLog()).verifierKey).toBe(verifierKey)
})
