import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { keyIdOf } from '../../ledger/payloads/sealed-payload.ts'
import { openPayloadWorkers, startPayloadWorker } from '../../ledger/verify/payload-workers.ts'
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

/** A thread as one that runs out of memory looks from outside: it takes a message and is gone. */
const dying = () =>
  new Worker("require('node:worker_threads').parentPort.once('message', () => process.exit(1))", {
    eval: true,
  })

test('other threads find what this one finds, also when they die', async () => {
  const path = await temporaryDirectory()
  const ledger = await openEmbeddedLedger(path)
  for (let n = 0; n < 6; n++) {
    const ofUser = (user: string) => aToolCall({ 'user.id': user })
    await ledger.sequencer.append('main', [ofUser(`u-${n}`), ofUser('erased'), aToolCall()])
  }
  await ledger.sequencer.publishCheckpoints()
  const [rootKeyId = ''] = keyIdOf((await ledger.payloads.get('main', 1)) ?? Buffer.alloc(2)).split(
    '.',
  )
  await ledger.keyring.destroyKeys('main', [rootKeyId])
  const verify = async (threads: ReturnType<typeof openPayloadWorkers> | undefined) => {
    const steps = verifyLog({
      logId: 'main',
      storage: ledger.storage,
      payloads: ledger.payloads,
      keyring: ledger.keyring,
      checker: threads,
      verifierKey: await ledger.signer.verifierKey('main'),
    })
    let step = await steps.next()
    while (!step.done) step = await steps.next()
    await threads?.close()
    return step.value
  }
  let answers = 0
  const counted = () => startPayloadWorker().on('message', () => answers++)
  const ways = async () => [
    await verify(undefined),
    await verify(openPayloadWorkers(2, counted)),
    await verify(openPayloadWorkers(2, dying)),
  ]
  const whole = await ways()
  expect(whole[0]).toMatchObject({ treeSize: 18, payloads: 12, erased: 6, firstProblem: undefined })
  expect(whole.slice(1)).toEqual([whole[0], whole[0]])
  expect(answers).toBe(6)

  const file = join(path, 'payloads', 'main', '000000.payloads')
  const bytes = readFileSync(file)
  bytes[bytes.length - 20] = (bytes.at(-20) ?? 0) ^ 1
  writeFileSync(file, bytes)
  const damaged = await ways()
  expect(damaged[0]?.firstProblem).toContain('payload of leaf 17')
  expect(damaged.slice(1)).toEqual([damaged[0], damaged[0]])
  await ledger.close()
  rmSync(path, { recursive: true, force: true })
})
