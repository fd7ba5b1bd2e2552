import { mixesScripts, textPieces } from '../format/hidden-characters.ts'

const maxChars = 4000

/**
 * Text out of the log, which attackers write: text nodes only, hidden characters shown as marks, never longer than
 * the layout bears, isolated from the direction of the text around it.
 */
export function HostileText({ text, limit = maxChars }: { text: string; limit?: number }) {
  const shown = text.length > limit ? text.slice(0, limit) : text
  return (
    <bdi>
      {withOffsets(textPieces(shown)).map(({ piece, offset }) =>
        piece.kind === 'text' ? (
          piece.text
        ) : (
          <span
            key={offset}
            className="mx-px whitespace-nowrap rounded bg-bad-soft px-1 font-mono text-[0.85em] text-bad"
            title={piece.meaning}
          >
            {piece.label}
          </span>
        ),
      )}
      {shown.length < text.length && (
        <span className="text-muted">
          {' '}
          … {(text.length - shown.length).toLocaleString('en')} more characters
        </span>
      )}
      {mixesScripts(shown) && (
        <span
          className="mx-1 whitespace-nowrap rounded bg-warn-soft px-1 text-[0.85em] text-warn"
          title="A word mixes Latin with look-alike letters of another script"
        >
          mixed scripts
        </span>
      )}
    </bdi>
  )
}

function withOffsets<T>(pieces: readonly T[]): { piece: T; offset: number }[] {
  return pieces.map((piece, offset) => ({ piece, offset }))
}
