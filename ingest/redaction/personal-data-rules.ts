import type { PersonalDataKind } from '../../schemas/redaction-policy.ts'
import {
  passesCodiceFiscale,
  passesCpf,
  passesDni,
  passesElevenTest,
  passesGermanTaxId,
  passesIban,
  passesLuhn,
  passesNir,
  passesPesel,
  passesVerhoeff,
} from './check-digits.ts'
import type { SecretRule, SecretSpan } from './secret-rules.ts'

/** A rule for personal data. Like those for secrets, each pattern runs in linear time. */
export interface PersonalDataRule extends SecretRule {
  readonly kind: PersonalDataKind
}

const whole = (match: RegExpExecArray): SecretSpan => ({ from: 0, until: match[0].length })

/** The whole match when what is left of it without separators passes. */
function checked(passes: (compact: string) => boolean) {
  return (match: RegExpExecArray): SecretSpan | undefined =>
    passes(match[0].replace(/[ ./-]/g, '')) ? whole(match) : undefined
}

function textBefore(match: RegExpExecArray, length: number): string {
  return match.input.slice(Math.max(0, match.index - length), match.index)
}

/** A mail address; not the user of a URL or of a remote of git. */
function emailSpan(match: RegExpExecArray): SecretSpan | undefined {
  const isUserOfUrl = textBefore(match, 3) === '://'
  const isRemote = match[0].startsWith('git@') || match[0].startsWith('hg@')
  return isUserOfUrl || isRemote ? undefined : whole(match)
}

/** E.164 has at most 15 digits; the shortest numbers that are written with a country code have 8. */
function internationalPhoneSpan(match: RegExpExecArray): SecretSpan | undefined {
  const digits = match[0].replace(/\D/g, '')
  return digits.length >= 8 && digits.length <= 15 ? whole(match) : undefined
}

/** A number after a word for telephone: the word is kept. */
function namedPhoneSpan(match: RegExpExecArray): SecretSpan | undefined {
  const number = match[1] ?? ''
  const digits = number.replace(/\D/g, '')
  if (digits.length < 7 || digits.length > 15) return undefined
  return { from: match[0].length - number.length, until: match[0].length }
}

/** Issuer ranges (ISO/IEC 7812) with the lengths that they use. */
const cardIssuers: readonly (readonly [prefix: RegExp, lengths: readonly number[]])[] = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^3(?:0[0-5]|[689])/, [14]],
  [/^(?:6011|64[4-9]|65)/, [16, 17, 18, 19]],
  [/^35(?:2[89]|[3-8])/, [16, 17, 18, 19]],
  [/^62/, [16, 17, 18, 19]],
]
/** How people group the digits of a card. */
const cardGroups: ReadonlySet<string> = new Set([
  ...['4-4-4-4', '4-6-5', '4-6-4', '4-4-4-4-3', '4-4-4-4-2', '4-4-4-4-1', '6-13', '4-4-5', '8-8'],
])

/** True for the digits of a payment card: issuer range, length and check digit. */
export function isCardNumber(digits: string): boolean {
  const issuer = cardIssuers.find(([prefix]) => prefix.test(digits))
  return issuer?.[1].includes(digits.length) === true && passesLuhn(digits)
}

function cardSpan(match: RegExpExecArray): SecretSpan | undefined {
  const groups = match[0].split(/[ -]/)
  const isGrouped = groups.length > 1
  if (isGrouped && !cardGroups.has(groups.map((group) => group.length).join('-'))) return undefined
  return isCardNumber(groups.join('')) ? whole(match) : undefined
}

/** Lengths of the ISO 13616 registry. */
const ibanLengths: Readonly<Record<string, number>> = {
  ...{ AD: 24, AE: 23, AL: 28, AT: 20, AZ: 28, BA: 20, BE: 16, BG: 22, BH: 22, BR: 29, BY: 28 },
  ...{ CH: 21, CR: 22, CY: 28, CZ: 24, DE: 22, DK: 18, DO: 28, EE: 20, EG: 29, ES: 24, FI: 18 },
  ...{ FO: 18, FR: 27, GB: 22, GE: 22, GI: 23, GL: 18, GR: 27, GT: 28, HR: 21, HU: 28, IE: 22 },
  ...{ IL: 23, IQ: 23, IS: 26, IT: 27, JO: 30, KW: 30, KZ: 20, LB: 28, LC: 32, LI: 21, LT: 20 },
  ...{ LU: 20, LV: 21, LY: 25, MC: 27, MD: 24, ME: 22, MK: 19, MR: 27, MT: 31, MU: 30, NL: 18 },
  ...{ NO: 15, PK: 24, PL: 28, PS: 29, PT: 25, QA: 29, RO: 24, RS: 22, SA: 24, SC: 31, SE: 24 },
  ...{ SI: 19, SK: 24, SM: 27, ST: 25, SV: 28, TL: 23, TN: 24, TR: 26, UA: 29, VA: 22, VG: 24 },
  ...{ XK: 20 },
}

/** The match may run on into the words that follow: the country says how long the number is. */
function ibanSpan(match: RegExpExecArray): SecretSpan | undefined {
  const text = match[0]
  const length = ibanLengths[text.slice(0, 2)] ?? 0
  let compact = ''
  for (let at = 0; at < text.length && compact.length < length; at++) {
    if (text[at] !== ' ') compact += text[at]
    if (compact.length !== length) continue
    const next = text[at + 1]
    return (next === undefined || next === ' ') && passesIban(compact)
      ? { from: 0, until: at + 1 }
      : undefined
  }
  return undefined
}

/** Nine digits with a check of one in eleven say little: a word for them must stand before. */
function bsnSpan(match: RegExpExecArray): SecretSpan | undefined {
  const named = /bsn|burgerservice|sofi/i.test(textBefore(match, 32))
  return named ? checked(passesElevenTest)(match) : undefined
}

/** Eleven digits in a row pass one time in ten, so that a word must stand before them; written with dots they need none. */
function cpfSpan(match: RegExpExecArray): SecretSpan | undefined {
  const isWritten = match[0].includes('.') || /cpf/i.test(textBefore(match, 24))
  return isWritten ? checked(passesCpf)(match) : undefined
}

function peselSpan(match: RegExpExecArray): SecretSpan | undefined {
  const named = /pesel/i.test(textBefore(match, 24))
  return named ? checked(passesPesel)(match) : undefined
}

function aadhaarSpan(match: RegExpExecArray): SecretSpan | undefined {
  const isWritten = match[0].includes(' ') || /aadha+r/i.test(textBefore(match, 32))
  return isWritten ? checked(passesVerhoeff)(match) : undefined
}

const start = String.raw`(?<![\p{L}\p{N}_])`
const end = String.raw`(?![\p{L}\p{N}_])`

/** By kind, in the order in which they run: what is longest and checked best first. */
export const personalDataRules: readonly PersonalDataRule[] = [
  {
    // RFC 5322 section 3.4.1 as people write it: a dot-atom, letters of any script, a domain with a top-level label.
    kind: 'email',
    when: /@/,
    pattern:
      /(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}][\p{L}\p{N}._%+'-]{0,63}@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,62})\.){1,8}\p{L}{2,24}(?![\p{L}\p{N}-])/gu,
    secret: emailSpan,
  },
  {
    kind: 'iban',
    when: /[A-Z]{2}\d\d/,
    pattern: new RegExp(String.raw`${start}[A-Z]{2}\d{2}(?: ?[A-Z0-9]{1,4}){3,9}${end}`, 'gu'),
    secret: ibanSpan,
  },
  {
    kind: 'card',
    when: /\d(?:[ -]?\d){12}/,
    pattern: /(?<![\p{L}\p{N}_.]|\d[ -])\d(?:[ -]?\d){12,18}(?!\.?\d|[ -]\d|[\p{L}_])/gu,
    secret: cardSpan,
  },
  {
    kind: 'us-ssn',
    when: /\d-\d\d-\d/,
    pattern: /(?<![\p{L}\p{N}_-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\p{L}\p{N}_-])/gu,
  },
  {
    // HMRC NIM39110: letters and prefixes that are not issued.
    kind: 'uk-nino',
    when: /[A-Z]{2} ?\d/,
    pattern: new RegExp(
      String.raw`${start}(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]${end}`,
      'gu',
    ),
  },
  {
    kind: 'fr-nir',
    when: /[12] ?\d\d ?\d\d/,
    pattern: new RegExp(
      String.raw`${start}[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}${end}`,
      'gu',
    ),
    secret: checked(passesNir),
  },
  {
    kind: 'it-codice-fiscale',
    when: /[A-Z]{6}\d/,
    pattern: new RegExp(
      String.raw`${start}[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z]${end}`,
      'gu',
    ),
    secret: checked(passesCodiceFiscale),
  },
  {
    kind: 'es-dni',
    when: /\d-?[A-Z]/,
    pattern: new RegExp(String.raw`${start}[XYZ\d]-?\d{7}-?[A-HJ-NP-TV-Z]${end}`, 'gu'),
    secret: checked(passesDni),
  },
  {
    kind: 'de-tax-id',
    when: /\d/,
    pattern: new RegExp(String.raw`${start}[1-9]\d(?: ?\d{3}){3}${end}`, 'gu'),
    secret: checked(passesGermanTaxId),
  },
  {
    kind: 'br-cpf',
    when: /\d/,
    pattern: new RegExp(String.raw`${start}\d{3}\.?\d{3}\.?\d{3}-?\d{2}${end}`, 'gu'),
    secret: cpfSpan,
  },
  {
    kind: 'pl-pesel',
    when: /pesel/i,
    pattern: new RegExp(String.raw`${start}\d{11}${end}`, 'gu'),
    secret: peselSpan,
  },
  {
    kind: 'in-aadhaar',
    when: /\d/,
    pattern: /(?<![\p{L}\p{N}_]|\d )[2-9]\d{3} ?\d{4} ?\d{4}(?! ?\d|[\p{L}_])/gu,
    secret: aadhaarSpan,
  },
  {
    kind: 'nl-bsn',
    when: /bsn|burgerservice|sofi/i,
    pattern: new RegExp(String.raw`${start}\d{9}${end}`, 'gu'),
    secret: bsnSpan,
  },
  {
    // ITU-T E.123: a plus and the country code.
    kind: 'phone',
    when: /\+ ?\d/,
    pattern:
      /(?<![\p{L}\p{N}_+])\+[1-9]\d{0,2}(?:[ ./-]?\(\d{1,4}\))?(?:[ ./-]?\d){5,14}(?![\p{L}\p{N}_])/gu,
    secret: internationalPhoneSpan,
  },
  {
    // The North American plan, as it is written without a country code.
    kind: 'phone',
    when: /\d[-.]\d{4}/,
    pattern:
      /(?<![\p{L}\p{N}_.-])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}(?![\p{L}\p{N}_-])/gu,
  },
  {
    kind: 'phone',
    when: /tel|phone|mobil|handy|fax|cell|call|whatsapp/i,
    pattern:
      /(?:telefono|telephone|telefon|phone|mobile|mobil|handy|fax|cell|call|whatsapp|tel)(?:[ ]?(?:no|nr|number|nummer))?[.:]{0,2}[ ]{0,2}(\(?0\d{0,5}\)?(?:[ ./-]?\d){5,13})(?![\p{L}\p{N}_])/giu,
    secret: namedPhoneSpan,
  },
]

const personalNames: Readonly<Record<string, PersonalDataKind>> = {
  email: 'email',
  emailaddress: 'email',
  mailaddress: 'email',
  phone: 'phone',
  phonenumber: 'phone',
  telephone: 'phone',
  telephonenumber: 'phone',
  mobile: 'phone',
  mobilenumber: 'phone',
  mobilephone: 'phone',
  cardnumber: 'card',
  creditcard: 'card',
  creditcardnumber: 'card',
  pan: 'card',
  iban: 'iban',
  ssn: 'us-ssn',
  socialsecuritynumber: 'us-ssn',
  nino: 'uk-nino',
  nationalinsurancenumber: 'uk-nino',
  steuerid: 'de-tax-id',
  nir: 'fr-nir',
  dni: 'es-dni',
  codicefiscale: 'it-codice-fiscale',
  bsn: 'nl-bsn',
  pesel: 'pl-pesel',
  cpf: 'br-cpf',
  aadhaar: 'in-aadhaar',
}

/** Kind of personal data that a key of this name holds; undefined when it names none. */
export function personalNameKind(name: string): PersonalDataKind | undefined {
  if (name.length > 64) return undefined
  const folded = name.toLowerCase().replace(/[^a-z]/g, '')
  return Object.hasOwn(personalNames, folded) ? personalNames[folded] : undefined
}

/** Finds the names that {@link personalNameKind} knows, in quotes of JSON text that may itself be escaped. Linear time. */
export function quotedPersonalName(kinds: ReadonlySet<PersonalDataKind>): RegExp | undefined {
  const names = Object.entries(personalNames)
    .filter(([, kind]) => kinds.has(kind))
    .map(([name]) => [...name].join('[^a-z"]*'))
  return names.length === 0
    ? undefined
    : new RegExp(`"[^a-z"]*(?:${names.join('|')})[^a-z"]*"`, 'i')
}
