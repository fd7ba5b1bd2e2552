import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seeded } from '../../fixtures/agent-history.ts'
import { FaultBench, faultKinds, operationNames } from '../../fixtures/fault-matrix.ts'
import { seedOfRun } from '../../fixtures/kill-rounds.ts'

let bench: FaultBench
beforeAll(() => {
  bench = new FaultBench()
})
afterAll(() => bench.close())

// Every file operation of every one: npm run soak.
describe('a fault at a file operation of a running process', () => {
  const random = seeded(seedOfRun())
  const cases = operationNames.flatMap((operation) =>
    faultKinds.map((kind) => ({
      operation,
      kind,
      name: kind.name,
      nth: 1 + Math.floor(random() * 4),
    })),
  )
  test.each(cases)(
    '$name at operation $nth of one $operation: nothing acknowledged is lost, nothing is doubled',
    async ({ operation, kind, nth }) => {
      const outcome = await bench.run(operation, kind, nth)
      expect(outcome.fired).toBe(true)
      if (kind.name.startsWith('KILL')) expect(['killed', 'goes on']).toContain(outcome.process)
      if (kind.name === 'EIO') expect(outcome.process).toBe('stopped with a sentence')
      if (kind.name === 'short write') expect(outcome.process).toBe('goes on')
    },
  )
})
