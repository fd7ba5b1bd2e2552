import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startKafka } from '../../scripts/kafka-server.ts'
import { killRounds, seedOfRun } from '../fixtures/kill-rounds.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

test('kill -9 at ten random moments over a real Kafka: every acknowledged record is there exactly once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sealtrail-kafka-kill-'))
  const kafka = await startKafka({ directory })
  const sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_KAFKA_BROKERS: kafka.brokers,
  })
  try {
    const { acknowledged, kills } = await killRounds(sealtrail, 10, seedOfRun())
    process.stdout.write(`${kills} kills, ${acknowledged} acknowledged records, each there once\n`)
    expect(acknowledged).toBeGreaterThan(100)
  } finally {
    await sealtrail.end()
    await kafka.stop()
    await rm(directory, { recursive: true, force: true })
  }
}, 600_000)
