import kafkajs, { type Admin, type Consumer, type Kafka, type Producer } from 'kafkajs'
import type { Logger } from 'pino'

// The one file that knows kafkajs, its types included, so that a successor can take its place.
export type KafkaClient = Kafka
export type KafkaAdmin = Admin
export type KafkaConsumer = Consumer
export type KafkaProducer = Producer
export type { EachBatchPayload, KafkaMessage, RecordMetadata } from 'kafkajs'

export const topicResource = kafkajs.ConfigResourceTypes.TOPIC

export interface KafkaClientOptions {
  /** `host:port`, at least one. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly logger: Pick<Logger, 'debug' | 'warn'>
}

/** Connects nothing yet. kafkajs calls ordinary things errors and warnings, so its log is taken one level down. */
export function createKafkaClient({ brokers, clientId, logger }: KafkaClientOptions): KafkaClient {
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: 3000,
    // Longer than a collector's pause of the broker should last; a request is sent again after it.
    requestTimeout: 10_000,
    retry: { initialRetryTime: 200, retries: 5, maxRetryTime: 5000 },
    logLevel: kafkajs.logLevel.WARN,
    logCreator:
      () =>
      ({ level, namespace, log }) => {
        const about = { namespace, error: textOf(log.error) }
        if (level <= kafkajs.logLevel.ERROR) logger.warn(about, `kafkajs: ${log.message}`)
        else logger.debug(about, `kafkajs: ${log.message}`)
      },
  })
}

/** Of an error or text; anything else could hold content. */
function textOf(error: unknown): string | undefined {
  if (error instanceof Error) return error.message
  return typeof error === 'string' ? error : undefined
}

/**
 * The protocol error underneath. kafkajs wraps it after its retries (`KafkaJSNonRetriableError`), and its consumer
 * joins again only when it sees the typed one.
 */
export function typedCause(error: unknown): unknown {
  let at: unknown = error
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    if ('type' in at && typeof at.type === 'string') return at
    at = at.cause
  }
  return error
}

/** Names and protocol types of an error and of its causes: what one may branch on in kafkajs. */
export function kafkaErrorNames(error: unknown): ReadonlySet<string> {
  const names = new Set<string>()
  let at: unknown = error
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    names.add(at.name)
    if ('type' in at && typeof at.type === 'string') names.add(at.type)
    at = at.cause
  }
  return names
}

const lastingNames: ReadonlySet<string> = new Set([
  'GROUP_AUTHORIZATION_FAILED',
  'KafkaJSNotImplemented',
  'KafkaJSSASLAuthenticationError',
  'KafkaJSUnsupportedMagicByteInMessageSet',
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'SASL_AUTHENTICATION_FAILED',
  'TOPIC_AUTHORIZATION_FAILED',
])

/**
 * True when trying again does not help. kafkajs' own `retriable` says false also of a broker that is restarting, so
 * everything that is not known to last counts as passing.
 */
export function isLastingKafkaError(error: unknown): boolean {
  for (const name of kafkaErrorNames(error)) if (lastingNames.has(name)) return true
  return false
}
