import { parseArgs } from 'node:util'
import { isSealtrailError } from '../schemas/errors.ts'
import { runDemo } from './run.ts'

/** `tsx demo/main.ts --url http://127.0.0.1:3000`, with the secret of a source in SEALTRAIL_SOURCE_SECRET. */
const { values } = parseArgs({
  options: {
    url: { type: 'string', default: process.env.SEALTRAIL_URL ?? 'http://127.0.0.1:3000' },
    days: { type: 'string', default: '14' },
  },
})

try {
  await runDemo({
    url: values.url,
    sourceSecret: process.env.SEALTRAIL_SOURCE_SECRET ?? '',
    days: Number(values.days),
    log: (line) => process.stdout.write(`${line}\n`),
  })
} catch (error) {
  const hint = isSealtrailError(error) && error.hint !== undefined ? ` ${error.hint}` : ''
  process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}.${hint}\n`)
  process.exitCode = 1
}
