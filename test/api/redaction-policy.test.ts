import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { RedactionPolicyReply, RedactionPreview } from '../../schemas/api/redaction.ts'
import { SearchReply } from '../../schemas/api/search.ts'
import { defaultRedactionPolicy } from '../../schemas/redaction-policy.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

const Empty = z.strictObject({})
const Self = z.looseObject({ source_id: z.string(), redaction_policy: z.unknown() })
const paths = [{ path: '/gen_ai.tool.call.arguments/customer', action: 'hash' as const }]
const policy = { ...defaultRedactionPolicy, personalData: ['email' as const], paths }

let sealtrail: RunningSealtrail
let key = ''
let sourceId = ''
let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-policy-'))
  sealtrail = await RunningSealtrail.start()
  key = await sealtrail.key('crm')
  sourceId = (await self()).source_id
}, 60_000)
afterAll(async () => {
  await sealtrail?.end()
  await rm(folder, { recursive: true, force: true })
})

async function self() {
  const headers = { authorization: `Bearer ${key}` }
  return Self.parse(await (await fetch(`${sealtrail.url}/v1/sources/self`, { headers })).json())
}

async function send(mark: string): Promise<void> {
  const response = await fetch(`${sealtrail.url}/v1/events`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      'event.class': 'tool_call',
      'gen_ai.tool.name': 'lookup',
      'gen_ai.tool.call.arguments': { customer: 'Ada', mail: `${mark}@example.org`, mark },
    }),
  })
  expect(response.status).toBe(200)
}

async function rows() {
  const until = new Date(Date.now() + 60_000).toISOString()
  const query = `from=2020-01-01T00:00:00Z&until=${until}&limit=50`
  const reply = await sealtrail.control.call(SearchReply, 'GET', `/api/v1/events?${query}`)
  return reply.rows.filter(({ event }) => event['gen_ai.tool.name'] === 'lookup')
}

async function indexed(count: number): Promise<string[]> {
  for (let tries = 0; tries < 100; tries++) {
    const found = await rows()
    if (found.length >= count) {
      return found.map(({ event }) => JSON.stringify(event['gen_ai.tool.call.arguments']))
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('the records were not indexed')
}

const own = (target: string) => `/api/v1/redaction-policies/${target}`

describe('redaction policies', () => {
  test('until somebody sets one, the built-in policy holds, and the source is told', async () => {
    const reply = await sealtrail.control.call(RedactionPolicyReply, 'GET', own(sourceId))
    expect(reply).toEqual({ policy: defaultRedactionPolicy, origin: 'built_in', version: 0 })
    expect((await self()).redaction_policy).toEqual(defaultRedactionPolicy)
  })

  test('a preview says what a policy would replace, and changes nothing but the record of access', async () => {
    await send('before')
    const [before = ''] = await indexed(1)
    expect(before).toContain('before@example.org')
    const sizes = z.object({ logs: z.array(z.looseObject({ treeSize: z.int() })) })
    const integrity = async () => {
      const { logs } = await sealtrail.control.call(sizes, 'GET', '/api/v1/integrity')
      return logs[0]?.treeSize ?? 0
    }
    const size = await integrity()
    const preview = await sealtrail.control.call(
      RedactionPreview,
      'POST',
      `${own(sourceId)}/preview`,
      { policy },
    )
    expect(preview).toMatchObject({ events: 1, changed: 1 })
    expect(preview.counts).toContainEqual({
      rule: 'email',
      action: 'replaced',
      values: 1,
      events: 1,
    })
    expect(preview.examples.map(({ path }) => path)).toEqual(
      expect.arrayContaining([
        '/gen_ai.tool.call.arguments/customer',
        '/gen_ai.tool.call.arguments/mail',
      ]),
    )
    expect(await integrity()).toBe(size + 1)
    expect(await indexed(1)).toEqual([before])
  })

  test('a policy holds for what is received from then on; the ledger is not rewritten', async () => {
    await sealtrail.control.call(Empty, 'POST', own(sourceId), { policy, expectedVersion: 0 })
    expect((await self()).redaction_policy).toEqual(policy)
    await send('after')
    const texts = await indexed(2)
    expect(texts.filter((text) => text.includes('before@example.org'))).toHaveLength(1)
    const after = texts.find((text) => text.includes('"mark":"after"')) ?? ''
    expect(after).not.toContain('Ada')
    expect(after).not.toContain('after@example.org')
    expect(after).toMatch(/"customer":"\[redacted:hashed:[0-9a-f]{16}\]"/)
  })

  test('a change that somebody else overtook is refused, and so is what is no policy', async () => {
    const late = sealtrail.control.call(Empty, 'POST', own(sourceId), {
      policy: null,
      expectedVersion: 0,
    })
    await expect(late).rejects.toMatchObject({ code: 'VERSION_CONFLICT' })
    const bad = sealtrail.control.call(Empty, 'POST', own(sourceId), {
      policy: { ...policy, paths: [{ path: '/event.class', action: 'drop' }] },
      expectedVersion: 1,
    })
    await expect(bad).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
    const nobody = sealtrail.control.call(RedactionPolicyReply, 'GET', own('0000feed0000'))
    await expect(nobody).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('the policy of the log is for sources without their own, and survives a restart', async () => {
    const ofLog = { ...defaultRedactionPolicy, entropyHints: true }
    await sealtrail.control.call(Empty, 'POST', own('default'), {
      policy: ofLog,
      expectedVersion: 0,
    })
    expect((await self()).redaction_policy).toEqual(policy)
    await sealtrail.stop()
    await sealtrail.restart()
    expect((await self()).redaction_policy).toEqual(policy)
    await sealtrail.control.call(Empty, 'POST', own(sourceId), { policy: null, expectedVersion: 1 })
    expect((await self()).redaction_policy).toEqual(ofLog)
    const reply = await sealtrail.control.call(RedactionPolicyReply, 'GET', own(sourceId))
    expect(reply).toEqual({ policy: ofLog, origin: 'log', version: 2 })
  })

  test('the command shows, previews and sets, and says what is wrong with a file', async () => {
    const shown = await sealtrail.command(['redaction', 'show'])
    expect(JSON.parse(shown.stdout)).toMatchObject({ entropyHints: true })
    const file = join(folder, 'policy.json')
    await writeFile(file, JSON.stringify(policy))
    const preview = await sealtrail.command(['redaction', 'preview', file])
    expect(preview).toMatchObject({ code: 0 })
    expect(preview.stdout).toContain('replaced email: 1 values in 1 events')
    const set = await sealtrail.command(['redaction', 'set', file, '--source', sourceId])
    expect(set).toMatchObject({ code: 0 })
    expect((await self()).redaction_policy).toEqual(policy)
    await writeFile(file, JSON.stringify({ ...policy, paths: [{ path: '/x', action: 'drop' }] }))
    const refused = await sealtrail.command(['redaction', 'set', file])
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain('paths.0.path')
    expect(await sealtrail.command(['redaction', 'set'])).toMatchObject({ code: 2 })
  })
})
