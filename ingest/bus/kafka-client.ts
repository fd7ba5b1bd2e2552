import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, connect } from 'node:tls'
import kafkajs, {
  type Admin,
  type Consumer,
  type Kafka,
  type KafkaConfig,
  type Producer,
  type SASLOptions,
} from 'kafkajs'
import type { Logger } from 'pino'
import { SealtrailError } from '../../schemas/errors.ts'

// The one file that knows kafkajs, its types included, so that a successor can take its place.
export type KafkaClient = Kafka
export type KafkaAdmin = Admin
export type KafkaConsumer = Consumer
export type KafkaProducer = Producer
export type { EachBatchPayload, KafkaMessage, RecordMetadata } from 'kafkajs'

export const topicResource = kafkajs.ConfigResourceTypes.TOPIC

/** PEM files; each is read again for a new connection, so that they can be renewed. */
export interface KafkaTls {
  /** Authorities of the brokers; absent: those that Node.js knows. */
  readonly caFile?: string | undefined
  /** Certificate that this client shows, with its key. */
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

export interface KafkaClientOptions {
  /** Absent: connections are not encrypted. */
  readonly tls?: KafkaTls | undefined
  readonly sasl?: KafkaSasl | undefined
  /** `host:port`, at least one. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly logger: Pick<Logger, 'debug' | 'warn'>
}

/**
 * Connects nothing yet. kafkajs calls ordinary things errors and warnings, so its log is taken one level down.
 *
 * @throws SealtrailError `CONFIG_INVALID` when a certificate file cannot be read
 */
export function createKafkaClient(options: KafkaClientOptions): KafkaClient {
  const { brokers, clientId, logger, tls, sasl } = options
  return new kafkajs.Kafka({
    ...(tls === undefined ? {} : encrypted(tls)),
    ...(sasl === undefined ? {} : { sasl: saslOptions(sasl) }),
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

/** One branch each, because kafkajs types each mechanism on its own. */
function saslOptions({ mechanism, username, password }: KafkaSasl): SASLOptions {
  switch (mechanism) {
    case 'plain':
      return { mechanism, username, password }
    case 'scram-sha-256':
      return { mechanism, username, password }
    case 'scram-sha-512':
      return { mechanism, username, password }
  }
}

function encrypted(tls: KafkaTls): Pick<KafkaConfig, 'ssl' | 'socketFactory'> {
  let material = readTls(tls)
  return {
    ssl: true,
    socketFactory: ({ host, port, onConnect }) => {
      try {
        material = readTls(tls)
      } catch {
        // Half a renewal does not end what works.
      }
      const servername = isIP(host) === 0 ? host : ''
      const socket = connect({ host, port, servername, minVersion: 'TLSv1.2', ...material })
      socket.once('secureConnect', onConnect)
      return socket.setKeepAlive(true, 60_000)
    },
  }
}

function readTls({ caFile, certFile, keyFile }: KafkaTls): ConnectionOptions {
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8')
    } catch (cause) {
      throw new SealtrailError('CONFIG_INVALID', `${path} cannot be read`, { cause })
    }
  }
  return {
    ...(caFile === undefined ? {} : { ca: read(caFile) }),
    ...(certFile === undefined ? {} : { cert: read(certFile) }),
    ...(keyFile === undefined ? {} : { key: read(keyFile) }),
  }
}

/** What to do about a connection that does not come about; undefined where the message says all there is. */
export function kafkaConnectionHint(message: string): string | undefined {
  if (/self.signed certificate|unable to (?:get|verify)/i.test(message))
    return "The brokers' certificate comes from an authority that is not known here: name it with SEALTRAIL_KAFKA_CA_FILE."
  if (/certificate has expired/i.test(message)) return "Renew the brokers' certificate."
  if (/does not match certificate/i.test(message))
    return 'Name the brokers in SEALTRAIL_KAFKA_BROKERS as their certificate does.'
  if (/before secure TLS connection|wrong version number|packet length too long/i.test(message))
    return 'That listener does not speak TLS: name the port of the one that does, or unset SEALTRAIL_KAFKA_TLS.'
  if (/SSL alert number (?:40|42|46|48|116)\b|bad certificate/i.test(message))
    return 'The brokers want another client certificate: SEALTRAIL_KAFKA_CERT_FILE and SEALTRAIL_KAFKA_KEY_FILE.'
  if (/SASL .*authentication failed/i.test(message))
    return 'Check SEALTRAIL_KAFKA_USERNAME, SEALTRAIL_KAFKA_PASSWORD_FILE and SEALTRAIL_KAFKA_SASL_MECHANISM.'
  if (/Closed connection/i.test(message))
    return 'The listener hangs up: it may want TLS (SEALTRAIL_KAFKA_TLS=true) or a user (SEALTRAIL_KAFKA_SASL_MECHANISM).'
  return undefined
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

/** What a broker answers while a topic becomes known to it, or while it loads a group: both are over in seconds. */
const settlingTypes: readonly string[] = [
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
]
const settlingMs = 30_000
const settlingPauseMs = 250

/** Asks again while the cluster settles, at most half a minute: a start beside a fresh broker is no reason to end. */
export async function whenSettled<T>(ask: () => Promise<T>): Promise<T> {
  const untilMs = performance.now() + settlingMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const names = kafkaErrorNames(error)
      const passes = settlingTypes.some((type) => names.has(type))
      if (!passes || performance.now() > untilMs) throw error
      await delay(settlingPauseMs)
    }
  }
}
