import { describe, expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'
import { knownTargets } from './known-targets.ts'

const seed = Number(process.env.SEALTRAIL_SEED ?? Math.floor(Math.random() * 1e9))

/** A sample; `npm run fuzz` goes on for as long as one likes. */
describe(`decoders hold under mutated input, SEALTRAIL_SEED=${seed}`, () => {
  test.each(knownTargets.map((target) => [target.name, target] as const))(
    '%s',
    async (_name, target) => {
      const endMs = performance.now() + 250
      const result = await fuzz(
        target,
        seed,
        (executions) => executions > target.corpus.length && performance.now() > endMs,
      )
      const told = result.findings.map(
        ({ what, input }) => `${what}\n${Buffer.from(input).toString('base64')}`,
      )
      expect(told).toEqual([])
    },
  )
})
