import { createHash } from 'node:crypto'
import { SealtrailError } from '../../schemas/errors.ts'
import { maxEnvelopeBytes } from './envelope.ts'
import { type KafkaAdmin, topicResource } from './kafka-client.ts'

/** What a topic says of itself for as long as it exists. */
export interface TopicIdentity {
  readonly topic: string
  /** Differs when the topic was deleted and made again. */
  readonly incarnation: string
  /** Partitions that logs are spread over: those the topic was made with, also when some were added since. */
  readonly partitions: number
}

export interface TopicOptions {
  readonly topic: string
  /** Used when the topic is made. */
  readonly partitions: number
  readonly random: (bytes: number) => Uint8Array
}

/**
 * The configuration that carries the identity. `delete.retention.ms` acts on compacted topics only, and ours is not
 * one; every broker stores it, it is set in the request that makes the topic, retention does not touch it, and it dies
 * with the topic. kafkajs does not speak the version of the Metadata request that tells topic ids.
 */
const identityConfig = 'delete.retention.ms'
/** Values from here on are identities: 2^51 + 39 random bits * 2^12 + number of partitions. */
const identityBase = 2 ** 51
const partitionsBase = 2 ** 12

const requiredConfig = {
  'cleanup.policy': 'delete',
  // Another client's lz4 batch would end the consumer for good; so the broker stores everything uncompressed.
  'compression.type': 'uncompressed',
  // With the sender's time a record of 1970 would be deleted at once.
  'message.timestamp.type': 'LogAppendTime',
} as const

export function identityNumber(partitions: number, random: (bytes: number) => Uint8Array): number {
  const bits = Buffer.from(random(5)).readUIntBE(0, 5) % 2 ** 39
  return identityBase + bits * partitionsBase + partitions
}

export function readIdentity(topic: string, value: string | undefined): TopicIdentity | undefined {
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < identityBase || number >= 2 * identityBase) {
    return undefined
  }
  const partitions = number % partitionsBase
  return partitions === 0 ? undefined : { topic, incarnation: number.toString(36), partitions }
}

/** Partition of a log: never changes while the topic exists, so that the order of a log is kept. */
export function partitionOfLog(logId: string, partitions: number): number {
  return createHash('sha256').update(logId).digest().readUInt32BE(0) % partitions
}

/**
 * Makes the topic, or checks the one that is there.
 *
 * @throws SealtrailError `CONFIG_INVALID` when the topic could lose or reorder records.
 */
export async function ensureTopic(
  admin: KafkaAdmin,
  options: TopicOptions,
): Promise<TopicIdentity> {
  const { topic, partitions } = options
  if (!Number.isInteger(partitions) || partitions < 1 || partitions >= partitionsBase) {
    throw new SealtrailError('CONFIG_INVALID', `a topic cannot have ${partitions} partitions`)
  }
  if (!(await admin.listTopics()).includes(topic)) {
    const { brokers } = await admin.describeCluster()
    const config = {
      ...requiredConfig,
      'max.message.bytes': String(maxEnvelopeBytes + 64 * 1024),
      [identityConfig]: String(identityNumber(partitions, options.random)),
    }
    // False when somebody else made it in the meantime; then theirs is checked.
    await admin.createTopics({
      topics: [
        {
          topic,
          numPartitions: partitions,
          replicationFactor: Math.min(3, brokers.length),
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        },
      ],
      waitForLeaders: true,
    })
  }
  return checkTopic(admin, options)
}

/** @throws SealtrailError `CONFIG_INVALID` */
export async function checkTopic(admin: KafkaAdmin, options: TopicOptions): Promise<TopicIdentity> {
  const { topic } = options
  const { resources } = await admin.describeConfigs({
    resources: [{ type: topicResource, name: topic }],
    includeSynonyms: false,
  })
  const config = new Map(
    resources[0]?.configEntries.map(({ configName, configValue }) => [configName, configValue]),
  )
  for (const [name, value] of Object.entries(requiredConfig)) {
    if (config.get(name) !== value) {
      throw unfit(topic, `has ${name}=${config.get(name)} instead of ${value}`, options)
    }
  }
  const identity = readIdentity(topic, config.get(identityConfig))
  if (identity === undefined) throw unfit(topic, 'carries no identity of ours', options)
  const found = (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions.length
  if (found === undefined || found < identity.partitions) {
    throw unfit(topic, `has ${found} of ${identity.partitions} partitions`, options)
  }
  return identity
}

function unfit(topic: string, what: string, options: TopicOptions): SealtrailError {
  const config = {
    ...requiredConfig,
    [identityConfig]: String(identityNumber(options.partitions, options.random)),
  }
  const flags = Object.entries(config).map(([name, value]) => `--config ${name}=${value}`)
  return new SealtrailError('CONFIG_INVALID', `the Kafka topic ${topic} ${what}`, {
    hint: `Let Sealtrail make the topic, or make it with: --partitions ${options.partitions} ${flags.join(' ')}`,
  })
}
