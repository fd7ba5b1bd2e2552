import { createDecipheriv, createHmac } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createApi } from '../../analytics/api/api-server.ts'
import { type DerivedPlaces, Eraser } from '../../analytics/erasure/eraser.ts'
import { callColumns, observationColumns } from '../../analytics/store/event-columns.ts'
import { readConfiguration } from '../../cli/configuration.ts'
import { type Core, openCore } from '../../cli/core.ts'
import { dataPaths } from '../../ledger/data-directory.ts'
import { decryptLines, keyringFileKey, keyringPath } from '../../ledger/keyring/keyring-lines.ts'
import { columnarDisk } from '../../ledger/keyring/master-key.ts'
import { openPayload } from '../../ledger/payloads/sealed-payload.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { ErasuresReply } from '../../schemas/api/erasures.ts'
import { EventDetail, type Evidence } from '../../schemas/api/event-detail.ts'
import { FindingsReply } from '../../schemas/api/findings.ts'
import { fromBase64, fromHex, hex } from '../../schemas/bytes.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import type { Explanation } from '../../schemas/finding.ts'
import { commitment } from '../../schemas/leaf/leaf.ts'
import { parseLeaf } from '../../schemas/leaf/open-leaf.ts'

const Bundle = z.object({ kind: z.literal('result'), id: z.string(), files: z.array(z.string()) })
const logger = pino({ level: process.env.TEST_LOG ?? 'silent' })
/** Words that stand in one person's data alone, one for each sealed group; the other person's are the control. */
const wordsOf = (name: string) => ({
  identity: `${name}identityword`,
  arguments: `${name}argumentword`,
  result: `${name}resultword`,
  addresses: `${name}addressword`,
  text: `${name}textword`,
  raw: `${name}rawword`,
})
const alice = wordsOf('alice')
const bob = wordsOf('bob')

function eventOf(name: string, words: typeof alice, i: number): ObservedEvent {
  return {
    'event.class': 'tool_call',
    'record.disposition': 'unmapped',
    'source.id': 'gateway',
    'time.occurred': '2026-11-24T11:59:59.000000000Z',
    'time.observed': '2026-11-24T11:59:59.500000000Z',
    'mcp.server.name': 'files',
    'gen_ai.tool.name': 'write_file',
    'outcome.status': 'success',
    'user.id': `${name}-4711`,
    'user.issuer': 'https://id.example',
    'user.name': words.identity,
    'gen_ai.tool.call.arguments': { path: `/home/${words.arguments}/${i}`, pin: 4711 },
    'gen_ai.tool.call.result': { said: words.result },
    'client.address': words.addresses,
    'error.message': words.text,
    'raw.record': words.raw,
  }
}

let root: string
let core: Core
let app: Awaited<ReturnType<typeof createApi>>
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'sealtrail-erasure-'))
  core = await open()
  // As the engine would keep it without compression, so that a search of its bytes finds what is there.
  for (const table of ['observations', 'calls']) {
    const changes = [
      'user_name',
      'client_address',
      'gen_ai_tool_call_arguments',
      'gen_ai_tool_call_result',
      'error_message',
      'raw_record',
    ].map((column) => `MODIFY COLUMN ${column} String CODEC(NONE)`)
    await core.api.columnar.command(`ALTER TABLE ${table} ${changes.join(', ')}`)
  }
}, 60_000)
afterAll(async () => {
  await core.stop()
  rmSync(root, { recursive: true, force: true })
})

async function open(): Promise<Core> {
  const configuration = readConfiguration({ data: root }, {})
  const opened = await openCore({ configuration, logger, onProgress: () => undefined })
  app = await createApi(opened.api, { kind: 'control' })
  return opened
}

async function append(events: readonly ObservedEvent[]): Promise<number> {
  const receipt = await core.api.appender.append('main', events)
  await settled()
  return receipt.leaves[0]?.first ?? -1
}

/** Everything that is committed was judged, and is in the tables with what that led to. */
async function settled(): Promise<void> {
  for (;;) {
    const { size } = core.api.tree('main')
    await core.api.waitUntilIndexed('main', size, 20_000)
    const [row] = await core.api.columnar.query<{ n: string }>(
      "SELECT uniqExact(leaf_index) AS n FROM calls WHERE log_id = 'main'",
    )
    const [calls] = await core.api.columnar.query<{ n: string }>(
      "SELECT count() AS n FROM observations WHERE log_id = 'main' AND event_class = 'tool_call'",
    )
    if (
      core.api.judged('main') === size &&
      row?.n === calls?.n &&
      core.api.tree('main').size === size
    )
      return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function post(url: string, payload: object): Promise<Record<string, unknown>[]> {
  const reply = await app.inject({ method: 'POST', url, payload })
  return reply.body
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const lastOf = async (url: string, payload: object) => (await post(url, payload)).at(-1)

/** Where words stand: for each list of words the names of the readers that find one of them. One pass for all lists. */
async function readersThatFind(...lists: readonly (readonly string[])[]): Promise<string[][]> {
  const found = lists.map(() => new Set<string>())
  const look = (reader: string, text: string) => {
    const lower = text.toLowerCase()
    for (const [at, words] of lists.entries()) {
      if (words.some((word) => lower.includes(word.toLowerCase()))) found[at]?.add(reader)
    }
  }
  for (const [table, columns] of [
    ['observations', observationColumns],
    ['calls', callColumns],
  ] as const) {
    for (const { name } of columns) {
      const rows = await core.api.columnar.query<{ v: string }>(
        `SELECT DISTINCT toString(${name}) AS v FROM ${table}`,
      )
      look(`table ${table}`, rows.map(({ v }) => v).join('\n'))
    }
  }
  const tables = await core.api.columnar.query<{ name: string }>(
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'",
    {},
    { readOnly: false },
  )
  for (const { name } of tables.filter((each) => !['observations', 'calls'].includes(each.name))) {
    const rows = await core.api.columnar.query<object>(
      `SELECT * FROM ${name}`,
      {},
      { readOnly: false },
    )
    look(`table ${name}`, JSON.stringify(rows))
  }
  const until = '2100-01-01T00:00:00Z'
  for (const [at, word] of lists.flatMap((words, list) =>
    words.map((each) => [list, each] as const),
  )) {
    if (!/^[a-z0-9-]+$/.test(word)) continue
    const query = new URLSearchParams({ q: word, from: '2000-01-01T00:00:00Z', until, limit: '50' })
    const reply = await app.inject({ url: `/api/v1/events?${query}` })
    expect(reply.statusCode).toBe(200)
    const { rows } = reply.json<{ rows: unknown[] }>()
    if (rows.length > 0) found[at]?.add('search')
  }
  const { size } = core.api.tree('main')
  for await (const leaves of core.api.reader.read('main', 0, size)) {
    for (const { event, leaf } of leaves) {
      look('ledger, opened', JSON.stringify(event))
      look('ledger, leaf bytes', Buffer.from(leaf).toString('utf8'))
    }
  }
  const bundle = Bundle.parse(
    await lastOf('/api/v1/exports', { q: '', from: '2000-01-01T00:00:00Z', until }),
  )
  for (const name of bundle.files) {
    const file = await app.inject({ url: `/api/v1/exports/${bundle.id}/${name}` })
    look('export', file.body)
    // Openings are in base64 nowhere, but leaves are.
    for (const [text] of file.body.matchAll(/[A-Za-z0-9+/]{24,}={0,2}/g))
      look('export', Buffer.from(text, 'base64').toString('latin1'))
  }
  look('files, decrypted', decryptedFiles())
  return found.map((readers) => [...readers].sort())
}

/** Every file of the data directory with encryption at rest taken off by the keys that remain. */
function decryptedFiles(): string {
  const paths = dataPaths(root)
  const path = keyringPath(paths.keyring)
  const masterKey = fromHex(readFileSync(join(paths.keyring, 'master.key'), 'utf8').trim())
  const { entries } = decryptLines(readFileSync(path), keyringFileKey(masterKey), path)
  const disk = entries.find((entry) => entry.kind === 'store' && entry.name === columnarDisk)
  const diskKey = disk?.kind === 'store' ? fromHex(disk.key) : new Uint8Array()
  const texts: string[] = [JSON.stringify(entries)]
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const bytes = readIfThere(file)
    if (bytes === undefined) continue
    texts.push(bytes.toString('latin1'))
    // Header of an encrypted file of ClickHouse: "ENC", version, algorithm, fingerprint of the key, then the IV.
    if (bytes.subarray(0, 3).toString('latin1') === 'ENC') {
      const cipher = createDecipheriv('aes-256-ctr', diskKey, bytes.subarray(23, 39))
      texts.push(cipher.update(bytes.subarray(64)).toString('latin1'))
    }
    if (file.endsWith('.payloads')) {
      for (let at = bytes.indexOf(1); at >= 0; at = bytes.indexOf(1, at + 1)) {
        // Each place where a payload may begin, whatever the tables of lengths say.
        if (bytes[at + 1] !== 43) continue
        for (const end of ends(bytes, at)) {
          try {
            const opened = openPayload(bytes.subarray(at, end), (id) =>
              core.api.keyring.openingKey('main', id),
            )
            if (opened !== 'destroyed')
              texts.push(opened.map(({ plaintext }) => plaintext).join('\n'))
          } catch {
            // No payload ends here.
          }
        }
      }
    }
  }
  return texts.join('\n')
}

/** The engine removes files while they are listed. */
function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch {
    return undefined
  }
}

/** Where a payload that begins at a place may end: where the next begins, or the next batch. */
function* ends(bytes: Buffer, at: number): Iterable<number> {
  for (let next = at + 44; next <= Math.min(bytes.length, at + 4000); next++) {
    const begins = bytes[next] === 1 && bytes[next + 1] === 43
    if (
      begins ||
      next === bytes.length ||
      bytes.subarray(next, next + 4).toString('latin1') === 'SPB1'
    )
      yield next
  }
}

describe('erasing a subject', () => {
  const subjects = [{ kind: 'user', id: 'alice-4711', issuer: 'https://id.example' }]
  const target = { kind: 'subject', subjects }
  const everywhere = [
    'export',
    'files, decrypted',
    'ledger, opened',
    'search',
    'table calls',
    'table observations',
  ]
  let before: Evidence
  let firstLeaf: number

  test('before it, every reader finds both persons, and the preview counts what is there', async () => {
    const events = (name: string, words: typeof alice) =>
      Array.from({ length: 40 }, (_, i) => eventOf(name, words, i))
    firstLeaf = await append([...events('alice', alice), ...events('bob', bob)])
    // What Sealtrail itself writes: a query that names her, and the same about him.
    for (const words of [alice, bob]) {
      await lastOf('/api/v1/exports', {
        q: `user.name:${words.identity}`,
        from: '2000-01-01T00:00:00Z',
        until: '2100-01-01T00:00:00Z',
      })
    }
    await settled()
    const found = await readersThatFind(Object.values(alice), Object.values(bob))
    expect(found).toEqual([everywhere, everywhere])
    // What waits to be fetched lies encrypted; what is fetched, as `export` shows, does not.
    const waiting = readdirSync(dataPaths(root).exports, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(join(entry.parentPath, entry.name)).toString('latin1'))
    expect(waiting.length).toBeGreaterThan(10)
    const words = [...Object.values(alice), ...Object.values(bob), 'event.class', 'Sealtrail']
    expect(words.filter((word) => waiting.some((text) => text.includes(word)))).toEqual([])
    before = await evidenceOf(firstLeaf)
    expect(before.openings).toHaveLength(6)
    const preview = await lastOf('/api/v1/erasures/preview', { target })
    expect(preview).toMatchObject({
      kind: 'preview',
      preview: {
        logId: 'main',
        events: 40,
        derived: expect.arrayContaining([{ class: 'access', events: 1 }]),
      },
    })
  }, 60_000)

  test('after it no reader finds value, salt or token; the other person is found everywhere', async () => {
    const lines = await post('/api/v1/erasures', {
      target,
      ground: 'consent_withdrawn',
      reference: 'DSR-17',
    })
    expect(lines.at(-1)).toMatchObject({ kind: 'result' })
    await settled()
    const salts = before.openings.map(({ salt }) => Buffer.from(salt, 'base64'))
    const found = await readersThatFind(
      Object.values(alice),
      ['alice-4711'],
      salts.flatMap((salt) => [salt.toString('latin1'), hex(salt), salt.toString('base64')]),
      [valueHash({ path: `/home/${alice.arguments}/0`, pin: 4711 })],
      Object.values(bob),
      ['bob-4711'],
    )
    expect(found).toEqual([[], [], [], [], everywhere, everywhere])
  }, 120_000)

  test('guesses of a short value against its commitment fail: the salt died', async () => {
    const [now, other] = [await evidenceOf(firstLeaf), await evidenceOf(firstLeaf + 40)]
    const committed = parseLeaf(fromBase64(now.leaf)).commitments.arguments ?? ''
    const salts = (evidence: Evidence) =>
      evidence.openings.flatMap(({ group, salt }) =>
        group === 'arguments' ? [fromBase64(salt)] : [],
      )
    // Who guesses has every key that remains, and knows everything but the number.
    const matches = (salt: Uint8Array, pin: number) => {
      const args = { path: `/home/${alice.arguments}/0`, pin }
      const plaintext = `{"arguments.hash":"${valueHash(args)}","gen_ai.tool.call.arguments":${JSON.stringify(args)}}`
      return hex(commitment(sha256, { group: 'arguments', salt, plaintext })) === committed
    }
    const [right] = salts(before)
    expect(right !== undefined && matches(right, 4711)).toBe(true)
    expect(salts(now)).toEqual([])
    let found = 0
    const [stranger = new Uint8Array(32)] = salts(other)
    for (let pin = 0; pin < 25_000; pin++) {
      for (const salt of [stranger, new Uint8Array(32)]) if (matches(salt, pin)) found++
    }
    expect(found).toBe(0)
  }, 60_000)

  test('the log verifies and says what went; the event says erased, and the list says who and why', async () => {
    const result = await lastOf('/api/v1/integrity/verify', { logId: 'main' })
    expect(result).toMatchObject({
      ok: true,
      firstProblem: null,
      erasedUnsaid: 0,
      erasures: [{ action: 'erase', ground: 'consent_withdrawn', events: 40 }],
    })
    expect(result?.['erased']).toBeGreaterThan(40)
    const range = { q: '', from: '2000-01-01T00:00:00Z', until: '2100-01-01T00:00:00Z' }
    const bundle = Bundle.parse(await lastOf('/api/v1/exports', range))
    const statement = await app.inject({
      url: `/api/v1/exports/${bundle.id}/export.statement.json`,
    })
    expect(statement.json()).toMatchObject({
      erased: { by: [{ action: 'erase', ground: 'consent_withdrawn', leaf: expect.any(Number) }] },
    })
    const {
      evidence: { withheld },
      erasure,
    } = await detailOf(firstLeaf)
    expect(erasure).toMatchObject({
      action: 'erase',
      ground: 'consent_withdrawn',
      reference: 'DSR-17',
      leafIndex: expect.any(Number),
    })
    expect(withheld.map(({ reason }) => reason)).toEqual(Array(6).fill('erased'))
    const { erasures } = ErasuresReply.parse((await app.inject({ url: '/api/v1/erasures' })).json())
    expect(erasures).toMatchObject([
      { kind: 'subject', state: 'done', events: 40, actor: 'operator', reference: 'DSR-17' },
    ])
  })

  test('one event is shredded: it is closed, its neighbours are not', async () => {
    const shredded = wordsOf('shredme')
    const kept = wordsOf('keepme')
    const index = await append([eventOf('bob', shredded, 0), eventOf('bob', kept, 1)])
    const findingId = await appendFinding(index)
    const leaf = await core.api.reader.readOne('main', index)
    const eventId = leaf?.event['event.id']
    const order = { target: { kind: 'event', eventId }, ground: 'unlawful_processing' }
    const listed = async () => {
      const range = 'from=2000-01-01T00:00:00Z&until=2100-01-01T00:00:00Z'
      const reply = await app.inject({ url: `/api/v1/findings?${range}` })
      const { rows } = FindingsReply.parse(reply.json())
      return rows.find((row) => row.findingId === findingId)
    }
    expect(await listed()).toMatchObject({ sentence: 'shredme did what is unusual' })
    const done = await lastOf('/api/v1/erasures', order)
    expect(done).toMatchObject({ kind: 'result' })
    await settled()
    // The event and the finding say which erasure it was; the list of findings still answers.
    const said = { action: 'shred', ground: 'unlawful_processing', leafIndex: done?.['leafIndex'] }
    expect((await detailOf(index)).erasure).toMatchObject(said)
    expect((await detailOf(index + 1)).erasure).toBeNull()
    const finding = await listed()
    expect(finding).toMatchObject({ detector: 'test@1', sentence: null, entity: null })
    expect((await detailOf(finding?.leafIndex ?? -1)).erasure).toMatchObject(said)
    const gone = await app.inject({ url: `/api/v1/findings/${findingId}` })
    expect(gone.json()).toMatchObject({ status: 410, code: 'KEY_DESTROYED' })
    const found = await readersThatFind(Object.values(shredded), Object.values(kept))
    expect(found).toEqual([[], everywhere])
    expect(await lastOf('/api/v1/erasures', order)).toMatchObject({
      kind: 'problem',
      code: 'NOT_FOUND',
    })
  }, 60_000)

  test('what arrives of the subject later is new data, and a restart changes nothing', async () => {
    const later = wordsOf('alicelater')
    await append([eventOf('alice', later, 0)])
    await app.close()
    await core.stop()
    core = await open()
    await settled()
    const found = await readersThatFind(Object.values(alice), Object.values(later))
    expect(found).toEqual([[], everywhere])
    const result = await lastOf('/api/v1/integrity/verify', { logId: 'main' })
    expect(result).toMatchObject({ ok: true, firstProblem: null, erasedUnsaid: 0 })
  }, 60_000)

  test("Sealtrail's own record is refused, and a refusal of a request is on the record", async () => {
    const own = { kind: 'subject', subjects: [{ kind: 'source', id: 'sealtrail' }] }
    expect(await lastOf('/api/v1/erasures', { target: own, ground: 'other' })).toMatchObject({
      kind: 'problem',
      code: 'PERMISSION_DENIED',
      detail: expect.stringContaining('Art. 17(3)(b)'),
    })
    await post('/api/v1/erasures/refusals', { exception: 'legal_claims', reference: 'DSR-18' })
    const { erasures } = ErasuresReply.parse((await app.inject({ url: '/api/v1/erasures' })).json())
    expect(erasures[0]).toMatchObject({
      kind: 'refusal',
      state: 'refused',
      exception: 'legal_claims',
    })
  })

  test('who approved it is an admin of this log: others are not told apart from nobody', async () => {
    const { accounts } = core.control
    await accounts.invite({ name: 'ann', role: 'admin' }, 'operator')
    await accounts.invite({ name: 'foreign-ann', role: 'admin', logId: 'other' }, 'operator')
    const target = { kind: 'subject', subjects: [{ kind: 'source', id: 'nothing-here' }] }
    const said = async (approver: string) => {
      const payload = { target, ground: 'other', approver }
      return (await app.inject({ method: 'POST', url: '/api/v1/erasures', payload })).body
    }
    expect(await said('ann')).toContain('NOT_FOUND')
    expect(await said('foreign-ann')).toContain('REQUEST_INVALID')
    expect(await said('nobody')).toContain('REQUEST_INVALID')
  })

  test('a payload that could not be overwritten is tried again before the erasure is called complete', async () => {
    const leafIndex = await append([eventOf('carol', wordsOf('carol'), 1)])
    const { storage, payloads, keyring, control, appender, clock } = core.api
    const parts = { storage, keyring, control, appender, clock, logger }
    const failing: typeof payloads = Object.create(payloads, {
      shred: { value: () => Promise.reject(new Error('EIO: i/o error, write')) },
    })
    // The tables are cleaned elsewhere: this is about the bytes of the payload.
    const places: DerivedPlaces = {
      holdFold: async () => async () => undefined,
      holdReconciliation: async () => () => undefined,
      waitUntilIndexed: async () => true,
      callsDrained: async () => undefined,
      eraseRows: async () => undefined,
      discardExports: async () => undefined,
    }
    const first = new Eraser({ ...parts, payloads: failing })
    first.start(places)
    const target = { kind: 'event', leafIndex } as const
    const order = { logId: 'main', target, ground: 'other', actor: 'operator' } as const
    await expect(first.erase(order, () => undefined)).rejects.toThrow('EIO')
    await first.stop()
    expect(await payloads.get('main', leafIndex)).toBeDefined()
    const second = new Eraser({ ...parts, payloads })
    second.start(places)
    await second.standStill(async () => undefined)
    expect(control.erasures().at(-1)?.completed).toBeDefined()
    expect(await payloads.get('main', leafIndex)).toBeUndefined()
    await second.stop()
  })
})

/** As the sequencer makes it, under the token key, which no erasure destroys. */
function valueHash(value: object): string {
  return createHmac('sha256', core.api.keyring.tokenKey('main'))
    .update(JSON.stringify(value))
    .digest('hex')
}

/** A finding as the detectors put it on the record, with one leaf as evidence. @returns its id */
async function appendFinding(evidence: number): Promise<string> {
  const id = hex(sha256(Buffer.from(`test@1 ${evidence}`)))
  const explanation: Explanation = {
    entity: { kind: 'user', value: 'shredme' },
    subject: 'tools',
    observed: 'one',
    expected: 'none',
    window: { from: '2026-11-01T00:00:00Z', until: '2026-11-24T00:00:00Z', samples: 40 },
    threshold: 0.01,
    baseline: { kind: 'share', values: [], otherCount: 0, observed: 'one', peerCount: 0 },
    contributions: [],
    counterfactual: 'none',
  }
  await append([
    {
      'event.class': 'finding',
      'record.disposition': 'mapped',
      'source.id': 'sealtrail',
      'time.occurred': '2026-11-24T12:00:00.000000000Z',
      'time.observed': '2026-11-24T12:00:00.000000000Z',
      'finding.id': id,
      'finding.detector': 'test@1',
      'finding.severity': 'low',
      'finding.p': 0.01,
      'finding.evidence': [String(evidence)],
      'finding.sentence': 'shredme did what is unusual',
      'finding.explanation': JSON.parse(JSON.stringify(explanation)),
    },
  ])
  return id
}

async function detailOf(leafIndex: number): Promise<EventDetail> {
  const leaf = await core.api.reader.readOne('main', leafIndex)
  const reply = await app.inject({ url: `/api/v1/events/${leaf?.event['event.id']}` })
  expect(reply.statusCode).toBe(200)
  return EventDetail.parse(reply.json())
}

const evidenceOf = async (leafIndex: number) => (await detailOf(leafIndex)).evidence
