import { rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { verifyLog } from '../../ledger/verify/verify-log.ts'
import { aToolCall, openEmbeddedLedger, temporaryDirectory } from '../fixtures/embedded-ledger.ts'

test('a log that grows and is signed while it is verified is not taken for one that was rolled back', async () => {
  const path = await temporaryDirectory()
  const ledger = await openEmbeddedLedger(path)
  const grow = async () => {
    await ledger.sequencer.append('main', [aToolCall()])
    await ledger.sequencer.publishCheckpoints()
  }
  await grow()
  /** The real part, with the log growing before and after each answer of it. */
  const growing = <Part extends object>(part: Part): Part =>
    new Proxy(part, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        if (property === 'readSegments') return value.bind(target)
        return async (...args: unknown[]) => {
          await grow()
          const answer: unknown = await Reflect.apply(value, target, args)
          await grow()
          return answer
        }
      },
    })
  const steps = verifyLog({
    logId: 'main',
    storage: growing(ledger.storage),
    payloads: ledger.payloads,
    keyring: ledger.keyring,
    verifierKey: await ledger.signer.verifierKey('main'),
    lastSigned: growing({ lastSigned: () => ledger.signer.lastSigned('main') }).lastSigned,
  })
  let step = await steps.next()
  while (!step.done) step = await steps.next()
  expect(step.value.firstProblem).toBeUndefined()
  expect(step.value.checkpoints).toBeGreaterThan(1)
  await ledger.close()
  rmSync(path, { recursive: true, force: true })
})
