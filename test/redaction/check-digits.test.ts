import { describe, expect, it } from 'vitest'
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
} from '../../ingest/redaction/check-digits.ts'

/** Published examples of each scheme, none of them a person's. */
const schemes: readonly (readonly [string, (text: string) => boolean, readonly string[]])[] = [
  ['Luhn', passesLuhn, ['4111111111111111', '378282246310005', '79927398713']],
  ['IBAN', passesIban, ['DE89370400440532013000', 'GB82WEST12345698765432', 'NO9386011117947']],
  ['German tax id', passesGermanTaxId, ['86095742719', '47036892816', '65929970489']],
  ['French NIR', passesNir, ['255081416802538', '269054958815780']],
  ['Spanish DNI and NIE', passesDni, ['12345678Z', 'X1234567L']],
  ['codice fiscale', passesCodiceFiscale, ['RSSMRA85T10A562S', 'MRTMTT91D08F205J']],
  ['Dutch BSN', passesElevenTest, ['111222333', '123456782']],
  ['PESEL', passesPesel, ['44051401359', '02070803628']],
  ['CPF', passesCpf, ['11144477735', '52998224725']],
  ['Verhoeff', passesVerhoeff, ['2363', '234123412346']],
]

describe.each(schemes)('check digits: %s', (_, passes, examples) => {
  it.each(examples)(
    '%s passes, and no other digit or letter in its place does at the end',
    (text) => {
      expect(passes(text)).toBe(true)
      const last = text.slice(-1)
      const alphabet = /\d/.test(last) ? '0123456789' : 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'
      const others = [...alphabet].filter((char) => char !== last)
      expect(others.filter((char) => passes(text.slice(0, -1) + char))).toEqual([])
    },
  )
})

it('a Corsican NIR counts its department as a number', () => {
  const body = '155082A168025'
  const keys = Array.from({ length: 98 }, (_, key) => String(key).padStart(2, '0'))
  expect(keys.filter((key) => passesNir(body + key))).toHaveLength(1)
})
