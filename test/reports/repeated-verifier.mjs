// Runs the one-file verifier of a bundle again and again in one process, because a process a run takes 50 times as
// long. Each line of standard input is {"verifier", "vkey", "folder"}; each line of standard output what became of it.
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const answer = process.stdout.write.bind(process.stdout)
let run = 0
for await (const line of createInterface({ input: process.stdin })) {
  const { verifier, vkey, folder } = JSON.parse(line)
  let said = ''
  const hear = (text) => {
    said += text
    return true
  }
  process.argv = [process.execPath, verifier, vkey, folder]
  process.exitCode = 0
  process.stdout.write = hear
  process.stderr.write = hear
  run++
  await import(`${pathToFileURL(verifier)}?${run}`)
  const code = process.exitCode
  process.exitCode = 0
  answer(`${JSON.stringify({ code, said })}\n`)
}
