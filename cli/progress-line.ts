/** One line on standard error that says how far long work is; a plain line each step where there is no terminal. */
export class ProgressLine {
  private last = ''

  update(what: string, done: number, total: number): void {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
    const text = `${what} ${percent} %`
    if (text === this.last) return
    this.last = text
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K  ${text}`)
    else if (percent === 100) process.stderr.write(`  ${text}\n`)
  }

  done(): void {
    if (process.stderr.isTTY && this.last !== '') process.stderr.write('\r\u001b[K')
    this.last = ''
  }
}
