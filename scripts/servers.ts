import { isSealtrailError } from '../schemas/errors.ts'
import { startKafka } from './kafka-server.ts'

// The servers that Sealtrail can run behind, natively, for trying the server mode on one machine.
try {
  const kafka = await startKafka()
  process.stdout.write(
    `Kafka answers at ${kafka.brokers} (process ${kafka.pid}).\n` +
      `Start Sealtrail against it in another terminal:\n\n` +
      `  SEALTRAIL_KAFKA_BROKERS=${kafka.brokers} npm start\n\n` +
      `Ctrl-C stops it; its data stay in .servers/kafka.\n`,
  )
  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    process.stdout.write('Stopping Kafka.\n')
    kafka.stop().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  // Keeps the process, and notices when the broker ends by itself.
  setInterval(() => {
    try {
      process.kill(kafka.pid, 0)
    } catch {
      if (!stopping) process.stderr.write('Kafka ended: look into .servers/kafka/broker.log.\n')
      stop()
    }
  }, 1000)
} catch (error) {
  if (!isSealtrailError(error)) throw error
  process.stderr.write(`${error.code}: ${error.message}\n${error.hint ?? ''}\n`)
  process.exitCode = 1
}
