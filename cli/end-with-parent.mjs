// Loaded into a child process with --import: its standard input is a pipe that closes when the parent goes, however it
// goes. Plain JavaScript, because it runs in the bare node binary.
import { isMainThread } from 'node:worker_threads'

if (isMainThread) {
  process.stdin.on('end', () => process.exit(0)).resume()
  process.stdin.unref()
}
