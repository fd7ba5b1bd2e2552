import { readFileSync } from 'node:fs'
import type { KafkaSasl, KafkaTls } from '../ingest/bus/kafka-client.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { isLoopback } from './network-reach.ts'

/** Settings of the bus over Kafka, as they were given. */
export interface KafkaEnvironment {
  readonly SEALTRAIL_KAFKA_BROKERS?: string | undefined
  readonly SEALTRAIL_KAFKA_TOPIC: string
  readonly SEALTRAIL_KAFKA_TLS?: 'true' | 'false' | undefined
  readonly SEALTRAIL_KAFKA_CA_FILE?: string | undefined
  readonly SEALTRAIL_KAFKA_CERT_FILE?: string | undefined
  readonly SEALTRAIL_KAFKA_KEY_FILE?: string | undefined
  readonly SEALTRAIL_KAFKA_SASL_MECHANISM?: KafkaSasl['mechanism'] | undefined
  readonly SEALTRAIL_KAFKA_USERNAME?: string | undefined
  readonly SEALTRAIL_KAFKA_PASSWORD_FILE?: string | undefined
}

export interface KafkaConfiguration {
  readonly brokers: readonly string[]
  readonly topic: string
  readonly tls: KafkaTls | undefined
  readonly sasl: KafkaSasl | undefined
}

/**
 * How the brokers are reached; undefined where there are none.
 *
 * @throws SealtrailError `CONFIG_INVALID` for halves, and for a password that would cross a network in the clear
 */
export function readKafka(env: KafkaEnvironment): KafkaConfiguration | undefined {
  if (env.SEALTRAIL_KAFKA_BROKERS === undefined) return undefined
  const brokers = env.SEALTRAIL_KAFKA_BROKERS.split(',')
  const tls = readTls(env)
  const sasl = readSasl(env)
  const local = brokers.every((broker) => isLoopback(broker.replace(/:\d+$/, '')))
  if (sasl?.mechanism === 'plain' && tls === undefined && !local) {
    throw invalid(
      'SEALTRAIL_KAFKA_SASL_MECHANISM: plain sends the password as it is, and nothing encrypts it',
      'Use a listener with TLS (SEALTRAIL_KAFKA_TLS=true), or SCRAM.',
    )
  }
  return { brokers, topic: env.SEALTRAIL_KAFKA_TOPIC, tls, sasl }
}

function readTls(env: KafkaEnvironment): KafkaTls | undefined {
  const caFile = env.SEALTRAIL_KAFKA_CA_FILE
  const certFile = env.SEALTRAIL_KAFKA_CERT_FILE
  const keyFile = env.SEALTRAIL_KAFKA_KEY_FILE
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw invalid('SEALTRAIL_KAFKA_CERT_FILE and SEALTRAIL_KAFKA_KEY_FILE go together')
  }
  const named = caFile !== undefined || certFile !== undefined
  if (env.SEALTRAIL_KAFKA_TLS === 'false' && named) {
    throw invalid('SEALTRAIL_KAFKA_TLS: is false, but certificate files are named')
  }
  return named || env.SEALTRAIL_KAFKA_TLS === 'true' ? { caFile, certFile, keyFile } : undefined
}

function readSasl(env: KafkaEnvironment): KafkaSasl | undefined {
  const mechanism = env.SEALTRAIL_KAFKA_SASL_MECHANISM
  const username = env.SEALTRAIL_KAFKA_USERNAME
  const passwordFile = env.SEALTRAIL_KAFKA_PASSWORD_FILE
  if (mechanism === undefined && username === undefined && passwordFile === undefined)
    return undefined
  if (mechanism === undefined || username === undefined || passwordFile === undefined) {
    throw invalid(
      'SEALTRAIL_KAFKA_SASL_MECHANISM, SEALTRAIL_KAFKA_USERNAME and SEALTRAIL_KAFKA_PASSWORD_FILE go together',
    )
  }
  return { mechanism, username, password: readFileSync(passwordFile, 'utf8').trim() }
}

function invalid(message: string, hint = 'See sealtrail up --help.'): SealtrailError {
  return new SealtrailError('CONFIG_INVALID', message, { hint })
}
