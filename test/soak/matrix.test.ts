import { expect, test } from 'vitest'
import { FaultBench, faultKinds, operationNames } from '../fixtures/fault-matrix.ts'

/** More than any of the operations has. */
const mostFileOperations = 40

test.each(operationNames)(
  'every file operation of one %s: killed, failed, without room, cut',
  async (operation) => {
    const bench = new FaultBench()
    const counts = new Map<string, number>()
    try {
      for (const kind of faultKinds) {
        let faults = 0
        for (let nth = 1; nth <= mostFileOperations; nth++) {
          const outcome = await bench.run(operation, kind, nth)
          if (!outcome.fired) break
          faults++
          const result = `${outcome.said}, ${outcome.process}`
          counts.set(`${kind.name}: ${result}`, (counts.get(`${kind.name}: ${result}`) ?? 0) + 1)
        }
        expect(faults).toBeGreaterThan(1)
        expect(faults).toBeLessThan(mostFileOperations)
      }
    } finally {
      await bench.close()
      for (const [what, times] of counts) process.stdout.write(`${operation}, ${what}: ${times}\n`)
    }
  },
  1_800_000,
)
