import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { z } from 'zod'

export interface Verdict {
  readonly code: number | null
  /** Everything it printed. */
  readonly said: string
}

/** What an auditor does: `node verify.mjs VKEY FOLDER` with the verifier of the bundle. */
export function verifyBundle(folder: string, vkey: string): Verdict {
  const run = spawnSync(process.execPath, [join(folder, 'verify.mjs'), vkey, folder], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  return { code: run.status, said: `${run.stdout}${run.stderr}` }
}

const Answer = z.strictObject({ code: z.number(), said: z.string() })

/** The same file, run many times in one child process. */
export class RepeatedVerifier {
  private readonly child = spawn(
    process.execPath,
    [join(import.meta.dirname, 'repeated-verifier.mjs')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  private readonly answers = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()

  async verify(verifier: string, vkey: string, folder: string): Promise<Verdict> {
    this.child.stdin.write(`${JSON.stringify({ verifier, vkey, folder })}\n`)
    const { value, done } = await this.answers.next()
    if (done) throw new Error('the verifier ended')
    return Answer.parse(JSON.parse(value))
  }

  async close(): Promise<void> {
    const gone = once(this.child, 'exit')
    this.child.stdin.end()
    await gone
  }
}
