import type { ReactNode } from 'react'

const maxChars = 4000
/** C0, C1, DEL, soft hyphen, zero-width, bidi, variation selectors and the tag block: what hides or reorders text. */
const hidden =
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]|[\u{e0000}-\u{e007f}]|[\u{e0100}-\u{e01ef}]/gu

/**
 * Text out of the log, which attackers write: text nodes only, hidden characters shown as chips, never longer than
 * the layout bears, isolated from the direction of the text around it.
 */
export function HostileText({ text, limit = maxChars }: { text: string; limit?: number }) {
  const shown = text.length > limit ? text.slice(0, limit) : text
  const parts: ReactNode[] = []
  let at = 0
  for (const match of shown.matchAll(hidden)) {
    if (match.index > at) parts.push(shown.slice(at, match.index))
    parts.push(<HiddenCharacter key={match.index} character={match[0]} />)
    at = match.index + match[0].length
  }
  parts.push(shown.slice(at))
  return (
    <bdi>
      {parts}
      {shown.length < text.length && (
        <span className="text-muted"> … {text.length - shown.length} more characters</span>
      )}
    </bdi>
  )
}

function HiddenCharacter({ character }: { character: string }) {
  const code = character.codePointAt(0) ?? 0
  const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
  // Tag characters spell ASCII that only machines read: show what they say.
  const decoded =
    code >= 0xe0020 && code <= 0xe007e ? ` “${String.fromCharCode(code - 0xe0000)}”` : ''
  return (
    <span
      className="mx-px rounded bg-bad-soft px-1 font-mono text-[11px] text-bad"
      title={`hidden character ${name}`}
    >
      {name}
      {decoded}
    </span>
  )
}
