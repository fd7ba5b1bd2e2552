import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { callRate } from '../../analytics/detectors/call-rate.ts'
import type { DetectorFactory } from '../../analytics/detectors/detector.ts'
import { firstScope } from '../../analytics/detectors/first-scope.ts'
import { newArgumentValue } from '../../analytics/detectors/new-argument-value.ts'
import { fromFindingEvent, toFindingEvent } from '../../analytics/fold/finding-event.ts'
import { Fold } from '../../analytics/fold/fold.ts'
import type { CommittedLeaf } from '../../ledger/committed.ts'
import { sha256 } from '../../ledger/sha256.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import type { Finding } from '../../schemas/finding.ts'
import { canonicalJson } from '../../schemas/leaf/canonical-json.ts'
import { historyStartMs, leafStream, ordinaryDays } from '../fixtures/agent-history.ts'

const dayMs = 86_400_000
const nowMs = historyStartMs + 14 * dayMs + 10 * 3_600_000

function taught(detectors: readonly DetectorFactory[] = [firstScope, newArgumentValue, callRate]) {
  const make = leafStream()
  const errors: Error[] = []
  const fold = new Fold({
    logId: 'main',
    digest: sha256,
    detectors,
    onDetectorError: (error) => errors.push(error),
  })
  for (const leaf of ordinaryDays(14, 1, make, { imported: true })) fold.step(leaf)
  const run = (...leaves: CommittedLeaf[]): Finding[] =>
    leaves.flatMap((leaf) => fold.step(leaf).findings)
  return { make, run, errors, fold }
}

const mail = (args: Record<string, string>): EventFields => ({
  'gen_ai.agent.name': 'reporter',
  'mcp.server.name': 'mail',
  'gen_ai.tool.name': 'send_mail',
  'auth.scopes.granted': ['mail:send'],
  'gen_ai.conversation.id': 'c',
  'gen_ai.tool.call.arguments': args,
})

function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}

describe('content that an attacker wrote', () => {
  test('gives findings that can be put on the record wherever a pair of surrogates is cut', () => {
    let found = 0
    for (const lead of [60, 61, 62, 63, 157, 158, 159, 160, 199, 498, 499, 500, 501, 511, 512]) {
      const { make, run, errors } = taught()
      const to = `${'x'.repeat(lead)}😀${'y'.repeat(600)}`
      const findings = run(
        make(nowMs, mail({ to, subject: 's', body: 'b' })),
        make(nowMs, {
          ...mail({ to: 'cfo@corp.example' }),
          'auth.scopes.granted': [`${to}:admin`],
        }),
      )
      found += findings.length
      for (const finding of findings) {
        const event = toFindingEvent(finding, '2026-11-20T00:00:00.000000000Z')
        expect(() => canonicalJson(JSON.parse(JSON.stringify(event)))).not.toThrow()
        expect(fromFindingEvent(make(nowMs, event).event)).toEqual(finding)
      }
      expect(errors).toEqual([])
    }
    expect(found).toBeGreaterThan(15)
  })

  test('cannot break the line of a sentence through the name of an argument', () => {
    const { make, run } = taught()
    const name = 'to\n\u202eurgent https://evil.example'
    for (let i = 0; i < 40; i++)
      run(make(nowMs, { ...mail({ [name]: 'cfo@corp.example' }), imported: true }))
    const [finding] = run(make(nowMs, mail({ [name]: 'a@evil.example' })))
    expect(finding?.detector).toBe('new-argument-value@1')
    expect(finding?.sentence).not.toMatch(/[\n\u202e]|https:\/\//)
  })

  test('is held in bounded memory although texts are long', () => {
    const { make, run } = taught()
    const filler = 'z'.repeat(20_000)
    const before = heapAfterCollection()
    for (let i = 0; i < 8000; i++) {
      const text = JSON.stringify({
        'gen_ai.agent.name': `agent-${i % 40}`,
        'mcp.server.name': 's',
        'gen_ai.tool.name': 'send_it',
        'gen_ai.conversation.id': `c-${i}`,
        'gen_ai.tool.call.arguments': { a: `${i}${filler}`, b: `${i}b${filler}` },
        'gen_ai.tool.call.result': `result-${i} ${filler}`,
      })
      run(make(nowMs + i * 1000, JSON.parse(text)))
    }
    // 8,000 events carry 480 MB of text.
    const grown = heapAfterCollection() - before
    run(make(nowMs, mail({ to: 'cfo@corp.example' })))
    expect(grown).toBeLessThan(30e6)
  })

  test('does not stop the fold when a detector fails on it', () => {
    const failing: DetectorFactory = () => ({
      id: 'failing@1',
      observe: () => {
        throw new Error('defect')
      },
      advance: () => [],
      save: () => null,
      restore: () => undefined,
    })
    const { make, run, errors, fold } = taught([failing, firstScope])
    errors.length = 0
    const leaf = make(nowMs, { ...mail({ to: 'x' }), 'auth.scopes.granted': ['mail:admin'] })
    expect(run(leaf).map((finding) => finding.detector)).toEqual(['first-scope@1'])
    expect(errors.map((error) => error.message)).toEqual(['defect'])
    expect(fold.step(make(nowMs, mail({ to: 'x' }))).calls).toHaveLength(1)
  })
})

describe('what a finding says', () => {
  test('is the domain that is new, not the address, and whether others use it', () => {
    const { make, run } = taught()
    const [unknown] = run(
      make(nowMs, mail({ to: 'Eve <eve@new.example>', subject: 's', body: 'b' })),
    )
    expect(unknown?.sentence).toContain(
      '"to" = "eve@new.example": the mail domain "new.example" was never seen in ',
    )
    expect(unknown?.sentence).toMatch(/in \d+ values of its own and \d+ of all\.$/)
    // A second agent uses the domain every day: for the first one it is as new, but nobody may say that nobody did.
    for (let i = 0; i < 40; i++) {
      const other = { ...mail({ to: 'x@partner.example' }), 'gen_ai.agent.name': 'partner-desk' }
      run(make(nowMs, { ...other, imported: true }))
    }
    const read = {
      ...mail({}),
      'gen_ai.tool.name': 'read_mail',
      'gen_ai.tool.call.result': 'x@partner.example',
    }
    run(make(nowMs, { ...read, imported: true }))
    const [known] = run(make(nowMs, mail({ to: 'x@partner.example' })))
    expect(known?.sentence).toContain('the mail domain "partner.example" was never seen in ')
    expect(known?.sentence).toMatch(
      /values of its own; others gave it 40 times in \d+ values of all\. The value stood/,
    )
  })

  test('one call with many new rights is one finding, which names others of them', () => {
    const { make, run } = taught()
    const scopes = Array.from({ length: 200 }, (_, i) => `scope-${i}:read`)
    const findings = run(
      make(nowMs, {
        ...mail({ to: 'cfo@corp.example' }),
        'auth.scopes.granted': [...scopes, 'mail:admin'],
      }),
    )
    expect(findings).toHaveLength(1)
    expect(findings[0]?.explanation.observed).toBe('mail:admin')
    expect(findings[0]?.sentence).toMatch(
      /New to it in the same call: "scope-[^"]+", .* and 60 more\.$/,
    )
    const [admin] = run(
      make(nowMs, {
        ...mail({ to: 'cfo@corp.example' }),
        'auth.scopes.granted': ['mail:owner', 'mail:odd'],
      }),
    )
    expect(admin?.explanation.observed).toBe('mail:owner')
    expect(admin?.sentence).toContain('New to it in the same call: "mail:odd".')
  })

  test('others that hold a right are counted as long as they are remembered, and never twice', () => {
    const { make, run } = taught([firstScope])
    const call = (agent: string, scope: string, imported: boolean) =>
      make(nowMs, { 'gen_ai.agent.name': agent, 'auth.scopes.granted': [scope], imported })
    // One agent forgets the right among 600 others and uses it again.
    for (let round = 0; round < 3; round++) {
      run(call('hoarder', 'vault:admin', true))
      for (let i = 0; i < 600; i++) run(call('hoarder', `s-${round}-${i}`, true))
    }
    run(call('hoarder', 'vault:admin', true))
    const [finding] = run(call('reporter', 'vault:admin', false))
    expect(finding?.sentence).toContain('1 of 2 others use it')
  })
})

describe('time that a source asserts', () => {
  test('does not make later records of that source late by one record ahead of the clock', () => {
    const { make, run } = taught()
    const ahead = make(nowMs + 3_600_000, mail({ to: 'cfo@corp.example' }))
    const arrived = make(nowMs, {}).event['time.recorded']
    run({ ...ahead, event: { ...ahead.event, 'time.recorded': arrived } })
    const admin = make(nowMs + 60_000, {
      ...mail({ to: 'cfo@corp.example' }),
      'auth.scopes.granted': ['mail:admin'],
    })
    expect(run(admin).map((finding) => finding.detector)).toEqual(['first-scope@1'])
  })

  test('a burst is found as well when its source delivers an hour late with ticks in between', () => {
    const { make, run } = taught()
    const delayMs = 3_600_000
    const findings: Finding[] = []
    const deliver = (occurredMs: number, fields: EventFields) => {
      const leaf = make(occurredMs + delayMs, fields)
      const occurred = make(occurredMs, {}).event['time.occurred']
      findings.push(...run({ ...leaf, event: { ...leaf.event, 'time.occurred': occurred } }))
    }
    const startMs = Math.floor(nowMs / 300_000) * 300_000
    for (let i = 0; i < 120; i++) {
      deliver(startMs + i * 2000, {
        'gen_ai.agent.name': 'support',
        'mcp.server.name': 'tickets',
        'gen_ai.tool.name': 'search',
        'gen_ai.tool.call.arguments': { query: `q ${i}` },
      })
      if (i % 30 === 29) {
        const tick = { 'event.class': 'tick', 'source.id': 'sealtrail' } as const
        findings.push(...run(make(startMs + delayMs + i * 2000 + 500, tick)))
      }
    }
    const tick = { 'event.class': 'tick', 'source.id': 'sealtrail' } as const
    findings.push(...run(make(startMs + delayMs + 600_000, tick)))
    const [burst] = findings.filter((finding) => finding.detector === 'call-rate@1')
    expect(burst?.explanation.observed).toBe('120')
  })
})
