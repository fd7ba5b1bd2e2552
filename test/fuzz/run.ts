import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fuzz } from './fuzz.ts'
import { knownTargets } from './known-targets.ts'

const usage = `npm run fuzz -- [--seconds N] [--decoder NAME]... [--seed N] [--findings DIR]

Feeds each decoder (or those named) mutated inputs for N seconds, 60 unless told. Inputs that break an invariant are
written to DIR, fuzz-findings unless told. Exit status 1 when there was one.

Decoders: ${knownTargets.map(({ name }) => name).join(', ')}`

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    decoder: { type: 'string', multiple: true, default: [] },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
    findings: { type: 'string', default: 'fuzz-findings' },
    help: { type: 'boolean', short: 'h', default: false },
  },
})
const seconds = Number(values.seconds)
const seed = Number(values.seed)
const unknown = values.decoder.find((name) => knownTargets.every((each) => each.name !== name))
if (values.help || unknown !== undefined || !(seconds > 0) || !Number.isInteger(seed)) {
  if (unknown !== undefined) console.error(`There is no decoder ${unknown}.\n`)
  console.error(usage)
  process.exit(values.help ? 0 : 2)
}

let found = 0
for (const target of knownTargets) {
  if (values.decoder.length > 0 && !values.decoder.includes(target.name)) continue
  const endMs = Date.now() + seconds * 1000
  const result = await fuzz(
    target,
    seed,
    () => Date.now() >= endMs,
    ({ decoder, what, input }) => {
      const file = join(values.findings, `${decoder}-${seed}-${++found}`)
      mkdirSync(values.findings, { recursive: true })
      writeFileSync(file, input)
      writeFileSync(`${file}.txt`, what)
      console.log(`FINDING ${file}: ${what}`)
    },
  )
  console.log(
    `${result.decoder}: ${result.executions} executions, ${result.signatures} ways, ${result.findings.length} findings, ` +
      `${result.cpuSeconds.toFixed(0)} s of CPU in ${seconds} s, seed ${seed}`,
  )
}
process.exit(found === 0 ? 0 : 1)
