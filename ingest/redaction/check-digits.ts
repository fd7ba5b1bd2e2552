/** Check digits of identifiers, over their digits or letters without separators. Pure; false for anything malformed. */

/** ISO/IEC 7812-1 annex B (Luhn). */
export function passesLuhn(digits: string): boolean {
  let sum = 0
  for (let at = digits.length - 1, double = false; at >= 0; at--, double = !double) {
    const digit = digits.charCodeAt(at) - 0x30
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit
  }
  return digits.length > 0 && sum % 10 === 0
}

/** ISO 13616 / ISO/IEC 7064 MOD 97-10: country and check digits moved to the end, letters as 10 to 35. */
export function passesIban(iban: string): boolean {
  const moved = iban.slice(4) + iban.slice(0, 4)
  let rest = 0
  for (const char of moved) {
    const value = Number.parseInt(char, 36)
    rest = (value > 9 ? rest * 100 + value : rest * 10 + value) % 97
  }
  return rest === 1
}

/** ISO/IEC 7064 MOD 11,10, as the German tax id uses it; its first ten digits hold one digit two or three times. */
export function passesGermanTaxId(digits: string): boolean {
  if (!/^[1-9]\d{10}$/.test(digits)) return false
  const counts = new Map<string, number>()
  for (const digit of digits.slice(0, 10)) counts.set(digit, (counts.get(digit) ?? 0) + 1)
  const repeated = [...counts.values()].filter((count) => count > 1)
  if (repeated.length !== 1 || (repeated[0] ?? 0) > 3) return false
  let product = 10
  for (const digit of digits.slice(0, 10)) {
    const sum = (Number(digit) + product) % 10 || 10
    product = (sum * 2) % 11
  }
  return (11 - product) % 10 === Number(digits[10])
}

/** Key of the French NIR: 97 minus the number modulo 97; Corsican departments 2A and 2B count as 19 and 18. */
export function passesNir(nir: string): boolean {
  const number = nir.slice(0, 13).replace('2A', '19').replace('2B', '18')
  return 97 - Number(BigInt(number) % 97n) === Number(nir.slice(13))
}

const dniLetters = 'TRWAGMYFPDXBNJZSQVHLCKE'

/** Letter of the Spanish DNI and NIE: the number modulo 23; X, Y and Z of a NIE count as 0, 1 and 2. */
export function passesDni(dni: string): boolean {
  const number = dni.slice(0, -1).replace('X', '0').replace('Y', '1').replace('Z', '2')
  return dniLetters[Number(number) % 23] === dni.at(-1)
}

/** Values of the characters of a codice fiscale on odd places (the first is odd), by digit or letter. */
const oddPlaces = [
  1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
]

/** Check letter of the Italian codice fiscale (D.M. 23/12/1976). */
export function passesCodiceFiscale(code: string): boolean {
  let sum = 0
  for (let at = 0; at < 15; at++) {
    const char = code.charCodeAt(at)
    const value = char >= 0x41 ? char - 0x41 : char - 0x30
    sum += at % 2 === 0 ? (oddPlaces[value] ?? 0) : value
  }
  return String.fromCharCode(0x41 + (sum % 26)) === code[15]
}

/** The Dutch eleven test: weights 9 to 2, and -1 for the last digit. */
export function passesElevenTest(digits: string): boolean {
  let sum = 0
  for (let at = 0; at < 9; at++) sum += Number(digits[at]) * (at === 8 ? -1 : 9 - at)
  return digits.length === 9 && sum > 0 && sum % 11 === 0
}

/** Weights 1, 3, 7, 9 of the Polish PESEL, whose first six digits are a date with the century in the month. */
export function passesPesel(digits: string): boolean {
  const month = Number(digits.slice(2, 4)) % 20
  const day = Number(digits.slice(4, 6))
  if (month < 1 || month > 12 || day < 1 || day > 31) return false
  const weights = [1, 3, 7, 9]
  let sum = 0
  for (let at = 0; at < 10; at++) sum += Number(digits[at]) * (weights[at % 4] ?? 0)
  return (10 - (sum % 10)) % 10 === Number(digits[10])
}

/** Two check digits of the Brazilian CPF; eleven equal digits are none. */
export function passesCpf(digits: string): boolean {
  if (/^(\d)\1{10}$/.test(digits)) return false
  for (const length of [9, 10]) {
    let sum = 0
    for (let at = 0; at < length; at++) sum += Number(digits[at]) * (length + 1 - at)
    if (((sum * 10) % 11) % 10 !== Number(digits[length])) return false
  }
  return true
}

/** Multiplication of the dihedral group D5 and the permutation of Verhoeff's scheme (1969). */
const dihedral = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
  [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
  [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
  [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
  [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
  [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
  [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
  [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
  [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]
const permutation = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]

/** Verhoeff's check digit, as the Indian Aadhaar number uses it. */
export function passesVerhoeff(digits: string): boolean {
  let check = 0
  for (let at = 0; at < digits.length; at++) {
    let digit = Number(digits[digits.length - 1 - at])
    for (let times = at % 8; times > 0; times--) digit = permutation[digit] ?? 0
    check = dihedral[check]?.[digit] ?? 0
  }
  return digits.length > 0 && check === 0
}
