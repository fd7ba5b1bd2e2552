import { accessSync, constants } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import type { Reach } from '../analytics/api/reach.ts'
import { checkLogId, systemLogId } from '../ledger/log-id.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { type AnchorSettings, readAnchorSettings } from './anchors.ts'
import type { CertificateFiles } from './certificate-files.ts'
import { type KafkaConfiguration, readKafka } from './kafka-settings.ts'
import { readReach } from './network-reach.ts'
import { IssuerUrl, type OpenIdConfiguration, RoleMapping } from './openid-configuration.ts'
import { systemErrorCode } from './system-error.ts'

const port = integer(0, 65_535)

/** A file that is there and may be read; what it holds is checked where it is used. */
const file = z
  .string()
  .superRefine((path, context) => {
    try {
      accessSync(path, constants.R_OK)
    } catch (error) {
      context.addIssue({
        code: 'custom',
        message: `${path} cannot be read: ${systemErrorCode(error)}`,
      })
    }
  })
  .optional()

/** Every variable that `sealtrail up` reads; its help documents each (a test says so). */
export const Environment = z.object({
  SEALTRAIL_DATA: z.string().min(1).optional(),
  SEALTRAIL_HOST: z.string().min(1).default('127.0.0.1'),
  SEALTRAIL_PORT: port.default(3000),
  SEALTRAIL_OTLP_PORT: port.default(4318),
  SEALTRAIL_TLS_CERT_FILE: file,
  SEALTRAIL_TLS_KEY_FILE: file,
  SEALTRAIL_TLS_CLIENT_CA_FILE: file,
  SEALTRAIL_TRUSTED_PROXY: z.string().optional(),
  SEALTRAIL_PUBLIC_URL: z.string().optional(),
  SEALTRAIL_METRICS_TOKEN_FILE: file,
  SEALTRAIL_OIDC_ISSUER: IssuerUrl.optional(),
  SEALTRAIL_OIDC_CLIENT_ID: z.string().min(1).optional(),
  SEALTRAIL_OIDC_CLIENT_SECRET_FILE: file,
  SEALTRAIL_OIDC_ROLES: RoleMapping.optional(),
  SEALTRAIL_OIDC_ROLE_CLAIM: z.string().min(1).default('roles'),
  SEALTRAIL_OIDC_SCOPES: z
    .string()
    .regex(/^(?=.*\bopenid\b)/, 'must name the scope openid')
    .default('openid profile email'),
  SEALTRAIL_OIDC_NAME: z.string().min(1).max(64).optional(),
  SEALTRAIL_LOG: z
    .string()
    .superRefine((logId, context) => {
      if (!isEventLog(logId)) {
        const message = `${JSON.stringify(logId)} is no name of a log of events: use 1 to 64 lower-case letters, digits, _ or -`
        context.addIssue({ code: 'custom', message })
      }
    })
    .default('main'),
  SEALTRAIL_MASTER_KEY_FILE: file,
  SEALTRAIL_ADMIN_NAME: z.string().min(1).optional(),
  SEALTRAIL_ADMIN_PASSWORD_FILE: file,
  SEALTRAIL_SOURCE_SECRET_FILE: file,
  SEALTRAIL_KAFKA_BROKERS: z
    .string()
    .regex(/^[^,\s]+:\d+(?:,[^,\s]+:\d+)*$/, 'must be host:port, several with commas between')
    .optional(),
  SEALTRAIL_KAFKA_TLS: z.enum(['true', 'false'], { error: 'must be true or false' }).optional(),
  SEALTRAIL_KAFKA_CA_FILE: file,
  SEALTRAIL_KAFKA_CERT_FILE: file,
  SEALTRAIL_KAFKA_KEY_FILE: file,
  SEALTRAIL_KAFKA_SASL_MECHANISM: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'], {
      error: 'must be plain, scram-sha-256 or scram-sha-512',
    })
    .optional(),
  SEALTRAIL_KAFKA_USERNAME: z.string().min(1).optional(),
  SEALTRAIL_KAFKA_PASSWORD_FILE: file,
  SEALTRAIL_KAFKA_TOPIC: z.string().min(1).default('sealtrail.batches'),
  SEALTRAIL_LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'], {
      error: 'must be debug, info, warn, error or silent',
    })
    .optional(),
  SEALTRAIL_ALERTS_PER_DAY: z.coerce
    .number({ error: 'must be a number' })
    .positive('must be more than 0')
    .max(10_000, 'must be at most 10000')
    .default(10),
  SEALTRAIL_COLUMNAR_MEMORY_MIB: integer(256, 1_048_576).default(2048),
  SEALTRAIL_ANCHOR_DIRECTORY: z.string().optional(),
  SEALTRAIL_ANCHOR_WEBHOOK_URL: z.string().optional(),
  SEALTRAIL_ANCHOR_WEBHOOK_SECRET_FILE: file,
  SEALTRAIL_ANCHOR_BUCKET_URL: z.string().optional(),
  SEALTRAIL_ANCHOR_BUCKET_REGION: z.string().default('us-east-1'),
  SEALTRAIL_ANCHOR_BUCKET_CREDENTIALS_FILE: file,
  SEALTRAIL_ANCHOR_BUCKET_RETENTION_DAYS: integer(1, 36_500).default(400),
  SEALTRAIL_WITNESS_POLICY_FILE: file,
  SEALTRAIL_ANCHOR_INTERVAL_S: integer(1, 86_400).default(10),
})

export interface Configuration {
  readonly dataDirectory: string
  readonly host: string
  readonly port: number
  readonly otlpPort: number
  /** Certificate of every listener; absent: plain HTTP. */
  readonly tls: CertificateFiles | undefined
  readonly reach: Reach
  /** Others than this machine come here: by address or through a proxy. */
  readonly exposed: boolean
  readonly metricsTokenFile: string | undefined
  readonly logId: string
  readonly masterKeyFile: string | undefined
  readonly adminName: string | undefined
  readonly adminPasswordFile: string | undefined
  readonly sourceSecretFile: string | undefined
  readonly openId: OpenIdConfiguration | undefined
  readonly kafka: KafkaConfiguration | undefined
  /** Absent: what suits where the log goes. */
  readonly logLevel: string | undefined
  readonly alertsPerDay: number
  readonly columnarMemoryMib: number
  /** A clock that is more than a year ahead of the newest record is right. */
  readonly acceptClock: boolean
  readonly anchors: AnchorSettings
}

/** What flags may override. */
export interface ConfigurationFlags {
  readonly data?: string | undefined
  readonly port?: string | undefined
  readonly otlpPort?: string | undefined
  readonly acceptClock?: boolean | undefined
}

/** The data directory of a command: flag over environment over default, as an absolute path. */
export function dataDirectoryOf(
  flag: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return resolve(flag || environment.SEALTRAIL_DATA || '.sealtrail')
}

/**
 * Flags over environment over defaults, checked once, every problem named by the flag or variable it stands in. An
 * empty variable is one that is not set.
 *
 * @throws SealtrailError `CONFIG_INVALID`, `LISTEN_REFUSED`
 */
export function readConfiguration(
  flags: ConfigurationFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Configuration {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const byFlag = new Map<string, { flag: string; value: string }>()
  for (const [variable, flag, value] of [
    ['SEALTRAIL_PORT', '--port', flags.port],
    ['SEALTRAIL_OTLP_PORT', '--otlp-port', flags.otlpPort],
  ] as const) {
    if (value === undefined) continue
    byFlag.set(variable, { flag, value })
    given[variable] = value
  }
  const parsed = Environment.safeParse(given)
  const problems = (parsed.error?.issues ?? []).map((issue) => {
    const variable = issue.path.join('.')
    return `${byFlag.get(variable)?.flag ?? variable}: ${issue.message}`
  })
  if (
    (given.SEALTRAIL_ADMIN_NAME === undefined) !==
    (given.SEALTRAIL_ADMIN_PASSWORD_FILE === undefined)
  )
    problems.push('SEALTRAIL_ADMIN_NAME and SEALTRAIL_ADMIN_PASSWORD_FILE go together')
  const openIdParts = ['SEALTRAIL_OIDC_ISSUER', 'SEALTRAIL_OIDC_CLIENT_ID', 'SEALTRAIL_OIDC_ROLES']
  const openIdGiven = openIdParts.filter((name) => given[name] !== undefined)
  if (openIdGiven.length > 0 && openIdGiven.length < openIdParts.length)
    problems.push(`${openIdParts.join(', ')} go together`)
  const env = parsed.data
  if (
    env !== undefined &&
    env.SEALTRAIL_PORT !== 0 &&
    env.SEALTRAIL_PORT === env.SEALTRAIL_OTLP_PORT
  )
    problems.push(`--port and --otlp-port are both ${env.SEALTRAIL_PORT}`)
  if (env === undefined || problems.length > 0) {
    throw new SealtrailError('CONFIG_INVALID', problems.join('; '), {
      hint: 'See sealtrail up --help.',
    })
  }
  const { tls, reach, exposed } = readReach({
    host: env.SEALTRAIL_HOST,
    certFile: env.SEALTRAIL_TLS_CERT_FILE,
    keyFile: env.SEALTRAIL_TLS_KEY_FILE,
    clientCaFile: env.SEALTRAIL_TLS_CLIENT_CA_FILE,
    trustedProxy: env.SEALTRAIL_TRUSTED_PROXY,
    publicUrl: env.SEALTRAIL_PUBLIC_URL,
  })
  const dataDirectory = dataDirectoryOf(flags.data, given)
  // The kernel bounds the path of a socket: 108 bytes on Linux, 104 on macOS, and the end must fit too.
  if (Buffer.byteLength(join(dataDirectory, 'control.sock')) > 103) {
    throw new SealtrailError(
      'CONFIG_INVALID',
      `the path of the data directory is too long: ${dataDirectory}`,
      {
        hint: 'Its control socket needs a path of at most 103 bytes: name a shorter directory with --data.',
      },
    )
  }
  return {
    dataDirectory,
    host: env.SEALTRAIL_HOST,
    port: env.SEALTRAIL_PORT,
    otlpPort: env.SEALTRAIL_OTLP_PORT,
    tls,
    reach,
    exposed,
    metricsTokenFile: env.SEALTRAIL_METRICS_TOKEN_FILE,
    logId: env.SEALTRAIL_LOG,
    masterKeyFile: env.SEALTRAIL_MASTER_KEY_FILE,
    adminName: env.SEALTRAIL_ADMIN_NAME,
    adminPasswordFile: env.SEALTRAIL_ADMIN_PASSWORD_FILE,
    sourceSecretFile: env.SEALTRAIL_SOURCE_SECRET_FILE,
    openId: openIdOf(env),
    kafka: readKafka(env),
    logLevel: env.SEALTRAIL_LOG_LEVEL,
    alertsPerDay: env.SEALTRAIL_ALERTS_PER_DAY,
    columnarMemoryMib: env.SEALTRAIL_COLUMNAR_MEMORY_MIB,
    acceptClock: flags.acceptClock === true,
    anchors: readAnchorSettings(env),
  }
}

function openIdOf(env: z.infer<typeof Environment>): OpenIdConfiguration | undefined {
  const { SEALTRAIL_OIDC_ISSUER: issuer, SEALTRAIL_OIDC_CLIENT_ID: clientId } = env
  if (issuer === undefined || clientId === undefined) return undefined
  return {
    issuer: new URL(issuer),
    clientId,
    clientSecretFile: env.SEALTRAIL_OIDC_CLIENT_SECRET_FILE,
    scopes: env.SEALTRAIL_OIDC_SCOPES,
    roleClaim: env.SEALTRAIL_OIDC_ROLE_CLAIM,
    roles: env.SEALTRAIL_OIDC_ROLES ?? [],
    name: env.SEALTRAIL_OIDC_NAME ?? new URL(issuer).host,
  }
}

function isEventLog(logId: string): boolean {
  try {
    return checkLogId(logId) !== systemLogId
  } catch {
    return false
  }
}

function integer(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`
  return z
    .string()
    .regex(/^\d{1,9}$/, message)
    .transform(Number)
    .pipe(z.number().min(min, message).max(max, message))
}
