import { describe, expect, it } from 'vitest'
import { freeFields } from '../../ingest/redaction/free-fields.ts'
import { createRedactor } from '../../ingest/redaction/redactor.ts'
import { RedactionPolicy } from '../../schemas/api/redaction.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import { eventFields } from '../../schemas/event/fields.ts'
import {
  defaultRedactionPolicy,
  type PathRule,
  type RedactionPolicy as Policy,
} from '../../schemas/redaction-policy.ts'

const base: ObservedEvent = {
  'event.class': 'tool_call',
  'record.disposition': 'mapped',
  'source.id': 's1',
  'time.occurred': '2026-11-24T13:20:00.123000000Z',
  'time.observed': '2026-11-24T13:20:00.123000000Z',
  'user.email': 'ada@example.org',
  'user.id': 'u-17',
  'gen_ai.tool.call.arguments': {
    customer: { name: 'Ada', ages: [36, 37], notes: { deep: { name: 'Byron' } } },
    page_token: 'next-please-17',
    query: 'select 1',
  },
  'raw.record': '{"args":{"customer":{"name":"Ada"},"query":"select 1"}}',
}

function redactorWith(paths: readonly PathRule[], more: Partial<Policy> = {}) {
  return createRedactor({
    token: (_, secret) => Buffer.from(secret).toString('hex').padEnd(16, '0').slice(0, 16),
    policy: { ...defaultRedactionPolicy, ...more, paths },
  })
}

const customer = '/gen_ai.tool.call.arguments/customer'

describe('paths of a policy', () => {
  it('hash: equal values have equal tokens, whole objects too, and the manifest says so', () => {
    const event = redactorWith([{ path: `${customer}/**/name`, action: 'hash' }]).redactEvent(base)
    expect(event['gen_ai.tool.call.arguments']).toEqual({
      customer: {
        name: '[redacted:hashed:4164610000000000]',
        ages: [36, 37],
        notes: { deep: { name: '[redacted:hashed:4279726f6e000000]' } },
      },
      page_token: 'next-please-17',
      query: 'select 1',
    })
    expect(event.redactions).toContainEqual({
      path: `${customer}/name`,
      rule: 'policy',
      action: 'hashed',
    })
    expect(event['arguments.capture']).toBe('redacted')
    const whole = redactorWith([{ path: customer, action: 'hash' }]).redactEvent(base)
    const args = JSON.stringify(whole['gen_ai.tool.call.arguments'])
    expect(args).toMatch(/"customer":"\[redacted:hashed:[0-9a-f]{16}\]"/)
  })

  it('drop: the marker says nothing of the value', () => {
    const event = redactorWith([{ path: `${customer}/ages/*`, action: 'drop' }]).redactEvent(base)
    expect(JSON.stringify(event)).toContain('"ages":["[redacted:dropped]","[redacted:dropped]"]')
  })

  it('a record that lost a value loses its raw form: the value stands there under other names', () => {
    const event = redactorWith([{ path: `${customer}/name`, action: 'drop' }]).redactEvent(base)
    expect(event['raw.record']).toMatch(/^\[redacted:hashed:[0-9a-f]{16}\]$/)
    expect(JSON.stringify(event)).not.toContain('"Ada"')
  })

  it('rules into the raw record take over from that', () => {
    const event = redactorWith([
      { path: `${customer}/name`, action: 'drop' },
      { path: '/raw.record/args/customer/name', action: 'drop' },
    ]).redactEvent(base)
    expect(event['raw.record']).toBe(
      '{"args":{"customer":{"name":"[redacted:dropped]"},"query":"select 1"}}',
    )
  })

  it('rules into the raw record decide nothing in what is no JSON: it goes whole', () => {
    const event = redactorWith([
      { path: '/user.email', action: 'drop' },
      { path: '/raw.record/user', action: 'drop' },
    ]).redactEvent({ ...base, 'raw.record': '{"user":"ada@example.org","args":{"query":"sel' })
    expect(event['raw.record']).toMatch(/^\[redacted:hashed:[0-9a-f]{16}\]$/)
  })

  it('a result that is a bare number is a value as any other', () => {
    const number: ObservedEvent = { ...base, 'gen_ai.tool.call.result': 4111111111111111 }
    const dropped = redactorWith([{ path: '/gen_ai.tool.call.result', action: 'drop' }])
    expect(dropped.redactEvent(number)['gen_ai.tool.call.result']).toBe('[redacted:dropped]')
    expect(redactorWith([]).redactEvent(number)['gen_ai.tool.call.result']).toBe('[redacted:card]')
  })

  it('identity is hashed or dropped by its path only, never because it looks like personal data', () => {
    const asked = { personalData: ['email'] as const }
    expect(redactorWith([], asked).redactEvent(base)['user.email']).toBe('ada@example.org')
    const hashed = redactorWith([{ path: '/user.email', action: 'hash' }], asked)
    expect(hashed.redactEvent(base)['user.email']).toMatch(/^\[redacted:hashed:[0-9a-f]{16}\]$/)
  })

  it('keep: neither the name nor personal data counts below, but a credential by its form does', () => {
    const token = `gh${'p_'}0123456789abcdefghijABCDEF`
    const withSecrets: ObservedEvent = {
      ...base,
      'gen_ai.tool.call.arguments': { password: 'placeholder-17', pan: '4111111111111111', token },
    }
    const all = '/gen_ai.tool.call.arguments'
    const kept = redactorWith([{ path: all, action: 'keep' }]).redactEvent(withSecrets)
    const text = JSON.stringify(kept['gen_ai.tool.call.arguments'])
    expect(text).toContain('placeholder-17')
    expect(text).toContain('4111111111111111')
    expect(text).not.toContain(token)
    const judged = JSON.stringify(redactorWith([]).redactEvent(withSecrets))
    expect(judged).not.toContain('placeholder-17')
    expect(judged).not.toContain('4111111111111111')
  })

  it('the first rule that matches decides', () => {
    const event = redactorWith([
      { path: `${customer}/name`, action: 'keep' },
      { path: `${customer}/**`, action: 'drop' },
    ]).redactEvent(base)
    // The second rule matches the customer itself, which stands above the first one's path.
    expect(JSON.stringify(event['gen_ai.tool.call.arguments'])).toContain(
      '"customer":"[redacted:dropped]"',
    )
    const below = redactorWith([
      { path: `${customer}/name`, action: 'keep' },
      { path: `${customer}/*`, action: 'drop' },
    ]).redactEvent(base)
    expect(JSON.stringify(below['gen_ai.tool.call.arguments'])).toContain('"name":"Ada"')
    expect(JSON.stringify(below['gen_ai.tool.call.arguments'])).not.toContain('Byron')
  })

  it('what is redacted already stays as it is, so that collector and receiver may both do it', () => {
    const redactor = redactorWith([
      { path: `${customer}/**/name`, action: 'hash' },
      { path: `${customer}/ages`, action: 'drop' },
    ])
    const once = redactor.redactEvent(base)
    expect(redactor.redactEvent(once)).toBe(once)
  })
})

describe('entropy', () => {
  const random = 'q9Zt3LxV7bNc2RfW8hKd5MpJ1sGy4TuA'
  const noted: ObservedEvent = {
    ...base,
    'gen_ai.tool.call.arguments': {
      value: random,
      digest: 'd41d8cd98f00b204e9800998ecf8427ed41d8cd98f00b204e9800998ecf8427e',
      id: '123e4567-e89b-12d3-a456-426614174000',
      path: '/usr/local/share/TheQuickBrownFoxJumpsOverTheLazyDog1/index',
    },
    'raw.record': undefined,
  }

  it('is a hint on the manifest: the value stays, and is not counted as replaced', () => {
    const event = redactorWith([], { entropyHints: true }).redactEvent(noted)
    expect(event['gen_ai.tool.call.arguments']).toEqual(noted['gen_ai.tool.call.arguments'])
    expect(event.redactions).toEqual([
      { path: '/gen_ai.tool.call.arguments/value', rule: 'entropy', action: 'hint' },
    ])
    expect(event['redaction.count']).toBe(0)
    expect(event['arguments.capture']).toBe(base['arguments.capture'])
  })

  it('is not looked for where nobody asked', () => {
    expect(redactorWith([]).redactEvent(noted)).toBe(noted)
  })
})

describe('what a policy may be', () => {
  const refused: readonly (readonly [string, unknown])[] = [
    ['a field that is not redactable', [{ path: '/event.class', action: 'drop' }]],
    ['a field that does not exist', [{ path: '/nothing', action: 'drop' }]],
    ['no pointer', [{ path: 'gen_ai.tool.call.arguments', action: 'drop' }]],
    ['an unknown action', [{ path: '/user.email', action: 'burn' }]],
    ['three double stars', [{ path: '/raw.record/**/a/**/b/**', action: 'drop' }]],
    ['too many', Array.from({ length: 65 }, () => ({ path: '/user.email', action: 'drop' }))],
  ]
  it.each(refused)('not %s', (_, paths) => {
    expect(RedactionPolicy.safeParse({ ...defaultRedactionPolicy, paths }).success).toBe(false)
  })

  it('what is built in', () => {
    expect(RedactionPolicy.parse(defaultRedactionPolicy)).toEqual(defaultRedactionPolicy)
  })

  it('the fields that are searched for personal data are those of content', () => {
    const content = Object.entries(eventFields)
      .filter(([name, { group, setBy }]) => {
        return (
          ['arguments', 'result', 'text', 'raw'].includes(group) &&
          setBy === 'source' &&
          name !== 'redactions'
        )
      })
      .map(([name]) => name)
    expect([...freeFields].sort()).toEqual(content.sort())
  })
})
