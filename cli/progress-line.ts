/** How long work is silent, and then how often it speaks, where there is no terminal. */
const quietMs = 5000

export interface ProgressOutput {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/**
 * Says on standard error how far long work is: one line that is written over on a terminal, else a line of its own each
 * five seconds, so that the log of a scheduled job shows that it goes on and is not full of it.
 */
export class ProgressLine {
  private readonly output: ProgressOutput
  private readonly now: () => number
  private last = ''
  private quietUntilMs: number

  constructor(
    output: ProgressOutput = process.stderr,
    now: () => number = () => performance.now(),
  ) {
    this.output = output
    this.now = now
    this.quietUntilMs = now() + quietMs
  }

  /** `done` and `total` in any one unit. */
  update(what: string, done: number, total: number): void {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
    const text = `${what} ${percent} %`
    if (text === this.last) return
    if (this.output.isTTY) this.output.write(`\r\u001b[K  ${text}`)
    else if (this.now() >= this.quietUntilMs) {
      this.output.write(`  ${text}\n`)
      this.quietUntilMs = this.now() + quietMs
    }
    this.last = text
  }

  done(): void {
    if (this.output.isTTY && this.last !== '') this.output.write('\r\u001b[K')
    this.last = ''
    this.quietUntilMs = this.now() + quietMs
  }
}
