const candidate = /[A-Za-z0-9+_=-]{24,}/g
const minBitsPerChar = 4.2
/** Random text changes between small letters, capitals and digits at six places in ten, words joined by capitals at four. */
const minChanges = 0.5

/**
 * True when a text holds a run of characters that looks random: at least 24 of a base64 alphabet, upper and lower case
 * and two digits in no order, 4.2 bits of Shannon entropy a character. Hexadecimal digests, UUIDs, words and paths are
 * below that. A hint for people: nothing is replaced because of it.
 */
export function looksLikeKeyMaterial(text: string): boolean {
  for (const [run] of text.matchAll(candidate)) {
    if (!/[a-z]/.test(run) || !/[A-Z]/.test(run) || !/\d.*\d/.test(run)) continue
    const part = run.slice(0, 256)
    if (classChanges(part) >= minChanges && bitsPerChar(part) >= minBitsPerChar) return true
  }
  return false
}

/** Share of the places between two characters where their class changes. */
function classChanges(text: string): number {
  let changes = 0
  for (let at = 1; at < text.length; at++) {
    if (charClass(text.charCodeAt(at)) !== charClass(text.charCodeAt(at - 1))) changes++
  }
  return changes / (text.length - 1)
}

function charClass(code: number): 'small' | 'capital' | 'digit' | 'other' {
  if (code >= 0x61) return 'small'
  if (code >= 0x41) return 'capital'
  return code >= 0x30 && code <= 0x39 ? 'digit' : 'other'
}

/** Shannon entropy of the characters of a text, in bits. */
function bitsPerChar(text: string): number {
  const counts = new Map<string, number>()
  for (const char of text) counts.set(char, (counts.get(char) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values())
    bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}
