import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { SealtrailError } from '../schemas/errors.ts'

const port = z.coerce.number().int().min(0).max(65_535)

const Environment = z.object({
  SEALTRAIL_DATA: z.string().min(1).default('.sealtrail'),
  SEALTRAIL_HOST: z.string().min(1).default('127.0.0.1'),
  SEALTRAIL_PORT: port.default(3000),
  SEALTRAIL_OTLP_PORT: port.default(4318),
  SEALTRAIL_LOG: z.string().min(1).default('main'),
  SEALTRAIL_MASTER_KEY_FILE: z.string().min(1).optional(),
  SEALTRAIL_ADMIN_NAME: z.string().min(1).optional(),
  SEALTRAIL_ADMIN_PASSWORD_FILE: z.string().min(1).optional(),
  SEALTRAIL_SOURCE_SECRET_FILE: z.string().min(1).optional(),
  SEALTRAIL_KAFKA_BROKERS: z.string().min(1).optional(),
  SEALTRAIL_KAFKA_TOPIC: z.string().min(1).default('sealtrail.batches'),
  SEALTRAIL_LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  SEALTRAIL_ALERTS_PER_DAY: z.coerce.number().positive().max(10_000).default(10),
  SEALTRAIL_COLUMNAR_MEMORY_MIB: z.coerce.number().int().min(256).default(2048),
})

export interface Configuration {
  readonly dataDirectory: string
  readonly host: string
  readonly port: number
  readonly otlpPort: number
  readonly logId: string
  readonly masterKeyFile: string | undefined
  readonly adminName: string | undefined
  readonly adminPasswordFile: string | undefined
  readonly sourceSecretFile: string | undefined
  readonly kafka: { readonly brokers: readonly string[]; readonly topic: string } | undefined
  readonly logLevel: string
  readonly alertsPerDay: number
  readonly columnarMemoryMib: number
}

/** What flags may override. */
export interface ConfigurationFlags {
  readonly data?: string | undefined
  readonly port?: string | undefined
  readonly otlpPort?: string | undefined
}

/**
 * Flags over environment over defaults, checked once, every problem named.
 *
 * @throws SealtrailError `CONFIG_INVALID`, `LISTEN_REFUSED`
 */
export function readConfiguration(
  flags: ConfigurationFlags,
  environment: Readonly<Record<string, string | undefined>>,
): Configuration {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const parsed = Environment.safeParse({
    ...given,
    ...(flags.data === undefined ? {} : { SEALTRAIL_DATA: flags.data }),
    ...(flags.port === undefined ? {} : { SEALTRAIL_PORT: flags.port }),
    ...(flags.otlpPort === undefined ? {} : { SEALTRAIL_OTLP_PORT: flags.otlpPort }),
  })
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new SealtrailError('CONFIG_INVALID', problems.join('; '), {
      hint: 'See sealtrail up --help.',
    })
  }
  const env = parsed.data
  if (!isLoopback(env.SEALTRAIL_HOST)) {
    throw new SealtrailError('LISTEN_REFUSED', `${env.SEALTRAIL_HOST} is not a loopback address`, {
      hint: 'Listening wider needs TLS and roles, which this version does not have. Put a proxy that has them in front.',
    })
  }
  const dataDirectory = resolve(env.SEALTRAIL_DATA)
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
    logId: env.SEALTRAIL_LOG,
    masterKeyFile: env.SEALTRAIL_MASTER_KEY_FILE,
    adminName: env.SEALTRAIL_ADMIN_NAME,
    adminPasswordFile: env.SEALTRAIL_ADMIN_PASSWORD_FILE,
    sourceSecretFile: env.SEALTRAIL_SOURCE_SECRET_FILE,
    kafka:
      env.SEALTRAIL_KAFKA_BROKERS === undefined
        ? undefined
        : { brokers: env.SEALTRAIL_KAFKA_BROKERS.split(','), topic: env.SEALTRAIL_KAFKA_TOPIC },
    logLevel: env.SEALTRAIL_LOG_LEVEL,
    alertsPerDay: env.SEALTRAIL_ALERTS_PER_DAY,
    columnarMemoryMib: env.SEALTRAIL_COLUMNAR_MEMORY_MIB,
  }
}

function isLoopback(host: string): boolean {
  if (host === 'localhost' || host === '::1') return true
  return isIP(host) === 4 && host.startsWith('127.')
}
