import { describe, expect, it } from 'vitest'
import type { FindingDetail } from '../../schemas/api/findings.ts'
import type { EventFields } from '../../schemas/event/event.ts'
import { compareFinding } from '../../web/verify/compare-finding.ts'

const explanation: FindingDetail['explanation'] = {
  entity: { kind: 'agent', value: 'inbox-assistant' },
  subject: 'mail/send_mail to',
  observed: 'evil.example',
  expected: 'corp.example',
  window: {
    from: '2026-11-12T00:00:00.000000000Z',
    until: '2026-11-26T00:00:00.000000000Z',
    samples: 93,
  },
  threshold: 0.018,
  contributions: [{ feature: 'new', observed: '0', expected: '1', nats: 5.2 }],
  baseline: { kind: 'share', values: [], otherCount: 0, observed: 'evil.example', peerCount: 0 },
  counterfactual: 'It would not have fired.',
}

const leaf: EventFields = {
  'event.id': '01a21558-2635-7001-ac91-55864ddd2ed1',
  'finding.id': 'ab'.repeat(32),
  'finding.detector': 'new-argument-value@1',
  'finding.severity': 'critical',
  'finding.p': 0.0000033735,
  // The event that fired stands first.
  'finding.evidence': ['2555', '99', '2548'],
  'finding.sentence': 'agent "inbox-assistant" wrote to somebody new.',
  'finding.explanation': JSON.parse(JSON.stringify(explanation)),
  'time.occurred': '2026-11-26T00:53:48.064012000Z',
  'time.recorded': '2026-11-26T00:53:48.213000000Z',
}

function shown(): FindingDetail {
  const row = (leafIndex: number) => ({
    logId: 'main',
    leafIndex,
    eventId: '',
    event: {},
    cut: [],
    findings: [],
  })
  return {
    finding: {
      findingId: 'ab'.repeat(32),
      eventId: '01a21558-2635-7001-ac91-55864ddd2ed1',
      leafIndex: 2557,
      detector: 'new-argument-value@1',
      severity: 'critical',
      p: 0.0000033735,
      occurredAt: '2026-11-26T00:53:48.064012000Z',
      recordedAt: '2026-11-26T00:53:48.213000000Z',
      sentence: 'agent "inbox-assistant" wrote to somebody new.',
      entity: { kind: 'agent', value: 'inbox-assistant' },
      subject: 'mail/send_mail to',
    },
    explanation: JSON.parse(JSON.stringify(explanation)),
    evidence: [row(99), row(2548), row(2555)],
  }
}

describe('compareFinding', () => {
  it('finds nothing wrong with an honest page, whose evidence stands in the order of the log', () => {
    expect(compareFinding(shown(), leaf, 2557)).toEqual([])
  })

  const lies: readonly (readonly [string, (page: FindingDetail) => void])[] = [
    [
      'leaf index',
      (page) => {
        page.finding.leafIndex = 1
      },
    ],
    [
      'event.id',
      (page) => {
        page.finding.eventId = 'x'
      },
    ],
    [
      'finding.id',
      (page) => {
        page.finding.findingId = 'x'
      },
    ],
    [
      'finding.detector',
      (page) => {
        page.finding.detector = 'x'
      },
    ],
    [
      'finding.severity',
      (page) => {
        page.finding.severity = 'low'
      },
    ],
    [
      'finding.p',
      (page) => {
        page.finding.p = 0.5
      },
    ],
    [
      'finding.sentence',
      (page) => {
        page.finding.sentence = 'Nothing.'
      },
    ],
    [
      'time.occurred',
      (page) => {
        page.finding.occurredAt = page.finding.recordedAt
      },
    ],
    [
      'time.recorded',
      (page) => {
        page.finding.recordedAt = page.finding.occurredAt
      },
    ],
    [
      'entity',
      (page) => {
        page.finding.entity.value = 'somebody-else'
      },
    ],
    [
      'subject',
      (page) => {
        page.finding.subject = 'x'
      },
    ],
    [
      'finding.explanation',
      (page) => {
        page.explanation.contributions[0] = {
          feature: 'new',
          observed: '0',
          expected: '1',
          nats: 0.1,
        }
      },
    ],
    [
      'finding.evidence',
      (page) => {
        page.evidence.pop()
      },
    ],
  ]
  it.each(lies)('names an altered %s', (field, lie) => {
    const page = shown()
    lie(page)
    expect(compareFinding(page, leaf, 2557).map((each) => each.field)).toEqual([field])
  })

  it('does not take a leaf that is no finding for one', () => {
    expect(compareFinding(shown(), { 'event.id': 'x' }, 2557).length).toBeGreaterThan(8)
  })
})
