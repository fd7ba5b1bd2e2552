/**
 * Lines of an NDJSON reply while something long runs: what it tells on the way, as it comes, and what it gives at last.
 *
 * @param work must not throw: a failure is its last line
 */
export async function* progressLines<Line>(
  work: (tell: (line: Line) => void) => Promise<Line>,
): AsyncIterable<string> {
  const queue: Line[] = []
  let wake: () => void = () => undefined
  let finished = false
  const tell = (line: Line) => {
    queue.push(line)
    wake()
  }
  void work(tell)
    .then((last) => queue.push(last))
    .finally(() => {
      finished = true
      wake()
    })
  while (!finished || queue.length > 0) {
    const next = queue.shift()
    if (next !== undefined) yield `${JSON.stringify(next)}\n`
    else {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}
