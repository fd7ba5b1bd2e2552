import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type KafkaServer, startKafka } from '../../scripts/kafka-server.ts'
import { demoOutcome } from '../fixtures/demo-outcome.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

let kafka: KafkaServer
let directory: string

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sealtrail-kafka-demo-'))
  kafka = await startKafka({ directory })
})
afterAll(async () => {
  await kafka?.stop()
  await rm(directory, { recursive: true, force: true })
})

test('the demo over a real Kafka gives the calls and findings that it gives in the process, and every proof verifies', async () => {
  const embedded = await RunningSealtrail.start()
  const inProcess = await demoOutcome(embedded)
  await embedded.end()
  const overKafka = await RunningSealtrail.start(undefined, {
    SEALTRAIL_KAFKA_BROKERS: kafka.brokers,
  })
  try {
    const outcome = await demoOutcome(overKafka)
    expect(outcome.findings).toEqual(inProcess.findings)
    expect(outcome.calls.length).toBe(inProcess.calls.length)
    expect(outcome.calls).toEqual(inProcess.calls)
    expect(outcome.entities).toEqual(['inbox-assistant'])
    expect(await overKafka.verify('main')).toMatchObject({ ok: true, firstProblem: null })
  } finally {
    await overKafka.end()
  }
})
