import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKafkaClient, type KafkaSasl, type KafkaTls } from '../../ingest/bus/kafka-client.ts'
import { asBusError } from '../../ingest/bus/kafka-producer.ts'
import { freePort, type KafkaServer, startKafka } from '../../scripts/kafka-server.ts'
import { CertificateAuthority } from '../fixtures/certificate-authority.ts'
import { RunningSealtrail } from '../fixtures/running-sealtrail.ts'

/** A real broker with every way in: plain, SASL over TLS, and client certificates. */
let folder: string
let kafka: KafkaServer
let authority: CertificateAuthority
let tls: KafkaTls
let client: { certFile: string; keyFile: string }
const ports = { sasl: 0, mutual: 0 }
const at = (port: number) => `127.0.0.1:${port}`

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealtrail-kafka-tls-'))
  authority = await CertificateAuthority.create()
  const ca = authority.writeFile(folder)
  const server = await authority.issueFiles(folder, 'broker', { commonName: 'localhost' })
  client = await authority.issueFiles(folder, 'client', { commonName: 'seal', purpose: 'client' })
  tls = { caFile: ca }
  const pem = join(folder, 'broker.pem')
  writeFileSync(
    pem,
    `${readFileSync(server.keyFile, 'utf8')}${readFileSync(server.certFile, 'utf8')}`,
  )
  ports.sasl = await freePort()
  ports.mutual = await freePort()
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const plain =
    'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret";'
  kafka = await startKafka({
    directory: join(folder, 'kafka'),
    listeners: [`SASL_SSL://${at(ports.sasl)}`, `MTLS://${at(ports.mutual)}`],
    scramUsers: [
      'SCRAM-SHA-256=[name=bob,password=bob-secret]',
      'SCRAM-SHA-512=[name=carol,password=carol-secret]',
    ],
    properties: {
      'listener.security.protocol.map':
        'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,MTLS:SSL',
      'inter.broker.listener.name': 'PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.sasl_ssl.plain.sasl.jaas.config': plain,
      'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': scram,
      'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': scram,
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.location': pem,
      'listener.name.mtls.ssl.truststore.type': 'PEM',
      'listener.name.mtls.ssl.truststore.location': ca,
      'listener.name.mtls.ssl.client.auth': 'required',
    },
  })
})
afterAll(async () => {
  await kafka?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Connects, or rejects as the bus would. */
async function connects(options: { broker: string; tls?: KafkaTls; sasl?: KafkaSasl }) {
  const { broker, ...rest } = options
  const logger = pino({ level: 'silent' })
  const admin = createKafkaClient({ brokers: [broker], clientId: 'test', logger, ...rest }).admin({
    retry: { retries: 0 },
  })
  try {
    await admin.connect()
    return (await admin.describeCluster()).brokers.length
  } catch (error) {
    throw asBusError(error)
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

describe('the Kafka client', () => {
  test.each<[KafkaSasl['mechanism'], string]>([
    ['plain', 'alice'],
    ['scram-sha-256', 'bob'],
    ['scram-sha-512', 'carol'],
  ])('signs in with %s over TLS', async (mechanism, username) => {
    const sasl = { mechanism, username, password: `${username}-secret` }
    expect(await connects({ broker: at(ports.sasl), tls, sasl })).toBe(1)
  })

  test('shows its certificate', async () => {
    expect(await connects({ broker: at(ports.mutual), tls: { ...tls, ...client } })).toBe(1)
  })

  const sasl: KafkaSasl = { mechanism: 'plain', username: 'alice', password: 'alice-secret' }
  test.each<[string, () => Parameters<typeof connects>[0], RegExp]>([
    ['an unknown authority', () => ({ broker: at(ports.sasl), tls: {}, sasl }), /KAFKA_CA_FILE/],
    [
      'a wrong password',
      () => ({ broker: at(ports.sasl), tls, sasl: { ...sasl, password: 'x' } }),
      /SEALTRAIL_KAFKA_PASSWORD_FILE/,
    ],
    ['no user', () => ({ broker: at(ports.sasl), tls }), /hangs up.*SASL_MECHANISM/],
    ['no TLS', () => ({ broker: at(ports.sasl) }), /hangs up: it may want TLS/],
    ['TLS where there is none', () => ({ broker: kafka.brokers, tls }), /does not speak TLS/],
    ['no certificate', () => ({ broker: at(ports.mutual), tls }), /SEALTRAIL_KAFKA_CERT_FILE/],
  ])('says what to do about %s', async (_name, options, hint) => {
    await expect(connects(options())).rejects.toMatchObject({
      code: 'BUS_UNAVAILABLE',
      hint: expect.stringMatching(hint),
    })
  })
})

test('a whole Sealtrail acknowledges over SASL and TLS', async () => {
  writeFileSync(join(folder, 'password'), 'carol-secret\n')
  const sealtrail = await RunningSealtrail.start(undefined, {
    SEALTRAIL_KAFKA_BROKERS: at(ports.sasl),
    SEALTRAIL_KAFKA_CA_FILE: tls.caFile ?? '',
    SEALTRAIL_KAFKA_SASL_MECHANISM: 'scram-sha-512',
    SEALTRAIL_KAFKA_USERNAME: 'carol',
    SEALTRAIL_KAFKA_PASSWORD_FILE: join(folder, 'password'),
  })
  try {
    const key = await sealtrail.key('gateway')
    const response = await fetch(`${sealtrail.url}/v1/events?ack=ledger`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({ 'event.class': 'tool_call', 'gen_ai.tool.name': 'hello' }),
    })
    expect(response.status).toBe(200)
  } finally {
    await sealtrail.end()
  }
})
