/** A piece of text as a person may see it: plain text, or a mark that stands for what could not be seen. */
export type TextPiece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'mark'; readonly label: string; readonly meaning: string }

/**
 * C0, C1, DEL, soft hyphen, bidi controls, zero-width characters, fillers, line separators, variation selectors, the
 * tag block and lone surrogates: everything that hides, reorders or smuggles text. Tab and line feed are left alone.
 */
const hidden =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: single code points are meant, also combining ones
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|[\u{e0100}-\u{e01ef}]|\p{Surrogate}/u

const names: Readonly<Record<number, string>> = {
  0: 'null',
  7: 'bell',
  8: 'backspace',
  13: 'carriage return',
  27: 'escape, begins a terminal sequence',
  127: 'delete',
  173: 'soft hyphen',
  1564: 'Arabic letter mark',
  8203: 'zero-width space',
  8204: 'zero-width non-joiner',
  8205: 'zero-width joiner',
  8206: 'left-to-right mark',
  8207: 'right-to-left mark',
  8232: 'line separator',
  8233: 'paragraph separator',
  8234: 'left-to-right embedding',
  8235: 'right-to-left embedding',
  8236: 'end of directional embedding',
  8237: 'left-to-right override',
  8238: 'right-to-left override',
  8288: 'word joiner',
  8294: 'left-to-right isolate',
  8295: 'right-to-left isolate',
  8296: 'first strong isolate',
  8297: 'end of directional isolate',
  12644: 'Hangul filler',
  65279: 'byte order mark',
}

const maxMarks = 200

/** Cuts a text into what can be shown as it is and marks for the rest. Runs of hidden characters make one mark. */
export function textPieces(text: string): readonly TextPiece[] {
  const pieces: TextPiece[] = []
  let plain = ''
  let run: number[] = []
  let marks = 0
  const endRun = () => {
    if (run.length > 0) {
      pieces.push(markOf(run))
      marks++
    }
    run = []
  }
  const endPlain = () => {
    if (plain !== '') pieces.push({ kind: 'text', text: plain })
    plain = ''
  }
  const chars = [...text]
  for (const [at, char] of chars.entries()) {
    if (!hidden.test(char) || isPartOfEmoji(chars, at)) {
      endRun()
      plain += char
      continue
    }
    if (marks >= maxMarks) continue
    endPlain()
    const code = char.codePointAt(0) ?? 0
    const previous = run.at(-1)
    if (previous !== undefined && previous !== code && !(isTag(previous) && isTag(code))) endRun()
    run.push(code)
  }
  endRun()
  endPlain()
  if (marks >= maxMarks) {
    pieces.push({
      kind: 'mark',
      label: 'more hidden characters',
      meaning: `after the first ${maxMarks} they are not listed`,
    })
  }
  return pieces
}

/**
 * A joiner between two pictures, or the selector that asks for a picture right after one, is how emoji are written.
 * Anywhere else, and twice in a row, they hide something.
 */
function isPartOfEmoji(chars: readonly string[], at: number): boolean {
  const before = chars[at - 1] ?? ''
  if (chars[at] === '\ufe0f') return picture.test(before)
  if (chars[at] !== '\u200d' || !picture.test(chars[at + 1] ?? '')) return false
  return (
    picture.test(before) ||
    (/^[\ufe0f\u{1f3fb}-\u{1f3ff}]$/u.test(before) && picture.test(chars[at - 2] ?? ''))
  )
}

const picture = /^\p{Extended_Pictographic}$/u

function isTag(code: number): boolean {
  return code >= 0xe0000 && code <= 0xe007f
}

/** Tag characters repeat ASCII where nobody sees it: the mark says what they spell. */
function markOf(codes: readonly number[]): TextPiece {
  const [first = 0] = codes
  const label = `U+${first.toString(16).toUpperCase().padStart(4, '0')}`
  if (codes.some((code) => code > 0xe001f && isTag(code))) {
    const spelt = codes
      .filter((code) => code >= 0xe0020 && code < 0xe007f)
      .map((code) => String.fromCharCode(code - 0xe0000))
      .join('')
    return {
      kind: 'mark',
      label: `${label}… hidden text “${spelt.slice(0, 200)}”`,
      meaning: `${codes.length} invisible tag characters that spell ${JSON.stringify(spelt.slice(0, 200))}`,
    }
  }
  const times = codes.length > 1 ? ` ×${codes.length}` : ''
  return { kind: 'mark', label: label + times, meaning: `hidden character: ${meaningOf(first)}` }
}

function meaningOf(code: number): string {
  const name = names[code]
  if (name !== undefined) return name
  if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return 'control character'
  if (code >= 0xd800 && code <= 0xdfff) return 'half of a character'
  if ((code >= 0xfe00 && code <= 0xfe0f) || code >= 0xe0100) return 'variation selector'
  return 'invisible character'
}

/** True when one word mixes Latin with letters of other scripts that look alike. */
export function mixesScripts(text: string): boolean {
  return text
    .slice(0, 512)
    .split(/[^\p{L}\p{M}\p{N}]+/u)
    .some(
      (word) =>
        /\p{Script=Latin}/u.test(word) && /[\p{Script=Cyrillic}\p{Script=Greek}]/u.test(word),
    )
}
