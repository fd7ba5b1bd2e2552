/** Longest line that is kept whole. Of longer ones the beginning is kept, and how long they were. */
export const maxLineBytes = 4 * 1024 * 1024
const initialBytes = 16 * 1024

export interface Line {
  readonly bytes: Uint8Array
  /** Full length; more than `bytes` when the line was longer than {@link maxLineBytes}. */
  readonly sizeBytes: number
}

/** Cuts a byte stream into lines at LF, whatever the chunks are. A trailing CR is dropped, empty lines are skipped. */
export class LineSplitter {
  /** The line so far. One buffer that grows: a list of parts would cost a hundred times their bytes for tiny chunks. */
  private buffer = new Uint8Array(initialBytes)
  private kept = 0
  private total = 0

  push(chunk: Uint8Array): Line[] {
    const lines: Line[] = []
    let from = 0
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, from)) {
      this.keep(chunk.subarray(from, at))
      const line = this.take()
      if (line.sizeBytes > 0) lines.push(line)
      from = at + 1
    }
    this.keep(chunk.subarray(from))
    return lines
  }

  /** What stands after the last newline, at the end of the stream. */
  end(): Line | undefined {
    const line = this.take()
    return line.sizeBytes > 0 ? line : undefined
  }

  private keep(part: Uint8Array): void {
    this.total += part.length
    const room = maxLineBytes - this.kept
    if (room <= 0 || part.length === 0) return
    const taken = part.subarray(0, room)
    const needed = this.kept + taken.length
    if (needed > this.buffer.length) {
      const grown = new Uint8Array(Math.min(maxLineBytes, Math.max(needed, 2 * this.buffer.length)))
      grown.set(this.buffer.subarray(0, this.kept))
      this.buffer = grown
    }
    this.buffer.set(taken, this.kept)
    this.kept = needed
  }

  private take(): Line {
    let bytes = this.buffer.slice(0, this.kept)
    let sizeBytes = this.total
    if (bytes.at(-1) === 0x0d && sizeBytes === bytes.length) {
      bytes = bytes.subarray(0, -1)
      sizeBytes--
    }
    // One long line must not hold its memory for the rest of the session.
    if (this.buffer.length > 16 * initialBytes) this.buffer = new Uint8Array(initialBytes)
    this.kept = 0
    this.total = 0
    return { bytes, sizeBytes }
  }
}
