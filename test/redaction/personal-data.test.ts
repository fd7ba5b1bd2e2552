import { describe, expect, it } from 'vitest'
import { createRedactor } from '../../ingest/redaction/redactor.ts'
import type { ObservedEvent } from '../../schemas/event/event.ts'
import {
  defaultRedactionPolicy,
  type PersonalDataKind,
  personalDataKinds,
} from '../../schemas/redaction-policy.ts'

function redact(text: string, personalData: readonly PersonalDataKind[]): string {
  const policy = { ...defaultRedactionPolicy, personalData }
  return createRedactor({ policy }).redactText(text).text
}

/** [text, what of it must go]. */
const trueHits: Readonly<Record<PersonalDataKind, readonly (readonly [string, string])[]>> = {
  email: [
    ['write to ada.lovelace@example.org today', 'ada.lovelace@example.org'],
    ['"Ada" <ada+tag@mail.example.co.uk>', 'ada+tag@mail.example.co.uk'],
    ['mailto:ada@example.org?subject=x', 'ada@example.org'],
    ['an jürgen@müller.example.de', 'jürgen@müller.example.de'],
    ['{"to":["ada@example.org"]}', 'ada@example.org'],
    ['{"to":"ada\\u0040example.org"}', 'ada\\u0040example.org'],
    ['{"to":"{\\"x\\":\\"ada@example.org\\"}"}', 'ada@example.org'],
    ["o'brien@example.ie", "o'brien@example.ie"],
  ],
  phone: [
    ['call +49 30 901820 now', '+49 30 901820'],
    ['+1 (212) 555-0123', '+1 (212) 555-0123'],
    ['+44-20-7946-0958', '+44-20-7946-0958'],
    ['(212) 555-0123', '(212) 555-0123'],
    ['212-555-0123', '212-555-0123'],
    ['Tel.: 030 901820-17', '030 901820-17'],
    ['mobile 0171 2345678', '0171 2345678'],
    ['{"phone_number":"2125550123"}', '2125550123'],
  ],
  card: [
    ['card 4111111111111111 exp', '4111111111111111'],
    ['4111 1111 1111 1111', '4111 1111 1111 1111'],
    ['5555-5555-5555-4444', '5555-5555-5555-4444'],
    ['3782 822463 10005', '3782 822463 10005'],
    ['6011111111111117', '6011111111111117'],
    ['{"pan":4111111111111111}', '4111111111111111'],
    ['{"ref":4111111111111111}', '4111111111111111'],
    ['2223003122003222,', '2223003122003222'],
  ],
  iban: [
    ['DE89 3704 0044 0532 0130 00 and more', 'DE89 3704 0044 0532 0130 00'],
    ['GB82WEST12345698765432', 'GB82WEST12345698765432'],
    ['NO93 8601 1117 947', 'NO93 8601 1117 947'],
    ['pay DE89370400440532013000 AND GB82', 'DE89370400440532013000'],
  ],
  'us-ssn': [['SSN 123-45-6789', '123-45-6789']],
  'uk-nino': [
    ['NI AB123456C', 'AB123456C'],
    ['AB 12 34 56 C', 'AB 12 34 56 C'],
  ],
  'de-tax-id': [
    ['IdNr 86095742719', '86095742719'],
    ['86 095 742 719', '86 095 742 719'],
  ],
  'fr-nir': [
    ['2 55 08 14 168 025 38', '2 55 08 14 168 025 38'],
    ['255081416802538', '255081416802538'],
  ],
  'es-dni': [
    ['DNI 12345678Z', '12345678Z'],
    ['X-1234567-L', 'X-1234567-L'],
  ],
  'it-codice-fiscale': [['CF RSSMRA85T10A562S', 'RSSMRA85T10A562S']],
  'nl-bsn': [['BSN: 111222333', '111222333']],
  'pl-pesel': [['PESEL 44051401359', '44051401359']],
  'br-cpf': [
    ['111.444.777-35', '111.444.777-35'],
    ['CPF 11144477735', '11144477735'],
  ],
  'in-aadhaar': [
    ['2341 2341 2346', '2341 2341 2346'],
    ['Aadhaar 234123412346', '234123412346'],
  ],
}

const falseHits: Readonly<Record<PersonalDataKind, readonly string[]>> = {
  email: [
    'git@github.com:acme/app.git',
    'ssh://deploy@host.example.org/x',
    'left-pad@1.3.0',
    '@acme/package',
    'user@localhost',
    'a @ b.example',
  ],
  phone: [
    '2026-11-24 13:20:00',
    '192.168.100.200',
    '1.2.3-4567',
    'version 3.141-5926',
    '+1 more',
    'a+123456789b',
    '1+2+3',
    'build 2125550123',
    '/2026/11/24/0123456',
    'callback 12345',
  ],
  card: [
    '4111111111111112',
    '1732454400000000000',
    '1111111111111117',
    '4111.1111.1111.1111',
    'a4111111111111111',
    '41111111111111110000000',
    'trace 41111111111111111111111111111111',
    '0.4111111111111111',
    '4111 1111 11111111',
    '123e4567-e89b-12d3-a456-426614174000',
  ],
  iban: ['DE89 3704 0044 0532 0130 01', 'AB12 3456 7890 1234', 'XX89370400440532013000', 'ID12'],
  'us-ssn': ['000-12-3456', '666-12-3456', '900-12-3456', '123-00-4567', '2123-45-67890'],
  'uk-nino': ['QQ123456C', 'GB123456A', 'AB123456E', 'xAB123456C'],
  'de-tax-id': ['86095742718', '12345678901', '20261124132'],
  'fr-nir': ['255081416802539', '155551416802538'],
  'es-dni': ['12345678A', '1234567Z'],
  'it-codice-fiscale': ['RSSMRA85T10A562T', 'ABCDEF12G34H567I'],
  'nl-bsn': ['111222333', 'bsn 111222334'],
  'pl-pesel': ['44051401359', 'pesel 44051401358'],
  'br-cpf': ['11144477735', '111.111.111-11', '111.444.777-36'],
  'in-aadhaar': ['2341 2341 2347', '234123412346', '1341 2341 2346'],
}

describe.each(personalDataKinds)('personal data: %s', (kind) => {
  it.each(trueHits[kind])('%s', (text, personal) => {
    const redacted = redact(text, [kind])
    expect(redacted).toContain(`[redacted:${kind}`)
    expect(redacted).not.toContain(personal)
    // And nothing else of the text is gone.
    if (!text.startsWith('{')) {
      expect(redacted.replace(/\[redacted:[^\]]*\]/, personal)).toBe(text)
    }
  })

  it.each(falseHits[kind])('not %s', (text) => {
    expect(redact(text, [kind])).toBe(text)
  })

  it('is left alone where the policy does not ask for it', () => {
    const others = personalDataKinds.filter((each) => each !== kind)
    for (const [text] of trueHits[kind]) {
      expect(redact(text, others)).not.toContain(`[redacted:${kind}`)
    }
  })
})

describe('a name says what a value is', () => {
  const event: ObservedEvent = {
    'event.class': 'tool_call',
    'record.disposition': 'mapped',
    'source.id': 's1',
    'time.occurred': '2026-11-24T13:20:00.123000000Z',
    'time.observed': '2026-11-24T13:20:00.123000000Z',
  }
  const redactor = createRedactor({
    policy: { ...defaultRedactionPolicy, personalData: ['us-ssn', 'iban', 'email'] },
  })

  it.each([
    ['an object', '{"ssn":"078051120"}'],
    ['a name written otherwise', '{"Social_Security-Number":"078051120"}'],
    ['small letters', '{"iban":"de00 078051120"}'],
    ['a number', '{"ssn":78051120}'],
    ['an attribute of OTLP', '{"key":"ssn","value":{"stringValue":"078051120"}}'],
    ['JSON in JSON', JSON.stringify({ body: JSON.stringify({ ssn: '078051120' }) })],
  ])('in the raw record as in the fields: %s', (_, raw) => {
    expect(redactor.redactEvent({ ...event, 'raw.record': raw })['raw.record']).not.toContain(
      '78051120',
    )
    const fields = redactor.redactEvent({ ...event, 'gen_ai.tool.call.arguments': JSON.parse(raw) })
    expect(JSON.stringify(fields)).not.toContain('78051120')
  })

  it('values under names that become the same marker stay apart', () => {
    const args = { 'ada@example.org': 1, 'byron@example.org': 2, 'lord@example.org': 3 }
    const redacted = redactor.redactEvent({ ...event, 'gen_ai.tool.call.arguments': args })
    expect(redacted['gen_ai.tool.call.arguments']).toEqual({
      '[redacted:email]': 1,
      '[redacted:email]#2': 2,
      '[redacted:email]#3': 3,
    })
  })
})

describe('every rule runs in linear time', () => {
  const hostile: readonly (readonly [string, string])[] = [
    ['at signs', 'a@'],
    ['local parts', 'a.'],
    ['domains', 'a@b.'],
    ['digits', '1'],
    ['spaced digits', '1 '],
    ['dashed digits', '1-'],
    ['IBAN heads', 'DE12 '],
    ['pluses', '+1'],
    ['phones', 'tel 0'],
    ['brackets', '(212) '],
    ['letters', 'AB'],
    ['groups', 'AB 12 '],
    ['names', '"s-'],
    ['what stands around names', '"-_1'],
  ]
  it.each(hostile)('a quarter megabyte of %s', (_, unit) => {
    const text = unit.repeat(Math.ceil(262_144 / unit.length))
    const from = process.cpuUsage()
    redact(text, personalDataKinds)
    const { user } = process.cpuUsage(from)
    // A square of the length would be minutes: this is no measure of speed.
    expect(user).toBeLessThan(10_000_000)
  })
})
