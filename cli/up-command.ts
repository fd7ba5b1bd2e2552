import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { type Logger, pino } from 'pino'
import { dataPaths } from '../ledger/data-directory.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { type Certificates, WatchedCertificates } from './certificate-files.ts'
import { type Configuration, type ConfigurationFlags, readConfiguration } from './configuration.ts'
import { type Core, openCore } from './core.ts'
import { lockDirectory } from './existing-directory.ts'
import { type Listeners, openListeners } from './http-listeners.ts'
import { ProgressLine } from './progress-line.ts'
import { signalExitCodes, untilStopSignal } from './stop-signal.ts'
import { systemErrorCode } from './system-error.ts'
import { buildDashboard, dashboardIsStale, startDashboard, type WebProcess } from './web-process.ts'
import { welcomeText } from './welcome-text.ts'

export interface UpFlags extends ConfigurationFlags {
  /** False leaves the dashboard out: receivers, ledger and API only. */
  readonly web?: boolean | undefined
}

/**
 * Starts everything and stays until a signal or a failure.
 *
 * @returns exit code: 0 after a signal, 1 when the ledger could not go on, 130 or 143 for a signal during the start
 * @throws SealtrailError for what is wrong with the configuration, the directory, the ports or the stores
 */
export async function upCommand(flags: UpFlags): Promise<number> {
  const configuration = readConfiguration(flags, process.env)
  const signal = untilStopSignal(
    process,
    () => performance.now(),
    (code) => process.exit(code),
  )
  const unlock = await lockDirectory(configuration.dataDirectory)
  // However this process ends, but for kill -9: the lock then names a process that is gone.
  process.once('exit', unlock)
  const logger = pino(
    { level: configuration.logLevel ?? (process.stderr.isTTY ? 'warn' : 'info'), base: null },
    pino.destination(2),
  )
  const starting = start(configuration, flags.web !== false, logger)
  const running = await Promise.race([starting, signal])
  if (typeof running === 'string') {
    // Nothing was acknowledged yet, and what lies on disk is whole at any moment.
    say('Stopped while it started.')
    return signalExitCodes[running]
  }
  const { core, listeners, web, certificates } = running
  // Where a terminal is closed, SIGHUP means what it always did.
  if (certificates !== undefined && !process.stdout.isTTY)
    process.on('SIGHUP', () => void certificates.reload())
  const failure = await Promise.race([core.failed, signal])
  if (failure instanceof Error) {
    logger.fatal({ err: failure }, 'stopping: the ledger cannot go on')
    process.stderr.write(`${sentenceOf(failure)}\n`)
    // Whoever waits for a disk that does not answer waits for ever; what was acknowledged is on it.
    setTimeout(() => process.exit(1), stopAfterFailureMs).unref()
  } else say('Stopping …')
  certificates?.close()
  await listeners.close()
  await web?.stop()
  await core.stop()
  return failure instanceof Error ? 1 : 0
}

const stopAfterFailureMs = 10_000

/** Why it stops, and what to do, for whoever reads no logs. */
function sentenceOf(failure: Error): string {
  const why = failure.cause instanceof Error ? `: ${failure.cause.message}` : ''
  const hint = isSealtrailError(failure) ? failure.hint : undefined
  return `sealtrail: stopping, because the ledger cannot go on: ${failure.message}${why}
${hint ?? 'Check the disk, then start again: what was acknowledged is safe.'}`
}

interface Running {
  readonly core: Core
  readonly listeners: Listeners
  readonly web: WebProcess | undefined
  readonly certificates: WatchedCertificates | undefined
}

async function start(
  configuration: Configuration,
  withWeb: boolean,
  logger: Logger,
): Promise<Running> {
  // First, because all the rest takes long.
  await checkPort(configuration.host, configuration.port, '--port')
  await checkPort(configuration.host, configuration.otlpPort, '--otlp-port')
  const metricsToken = await readMetricsToken(configuration.metricsTokenFile)
  let listeners: Listeners | undefined
  const certificates = await watchCertificates(configuration, logger, (renewed) =>
    listeners?.useCertificates(renewed),
  )
  if (withWeb && dashboardIsStale()) {
    say('Building the dashboard, once (about half a minute) …')
    await buildDashboard()
  }
  say('Starting …')
  const progress = new ProgressLine()
  const [core, web] = await Promise.all([
    openCore({
      configuration,
      logger,
      onProgress: (what, done, total) => progress.update(what, done, total),
    }),
    withWeb
      ? freePort().then((port) =>
          startDashboard(port, (code) =>
            logger.error({ code }, 'dashboard ended; it is started again'),
          ),
        )
      : undefined,
  ])
  progress.done()
  const { controlSocket } = dataPaths(configuration.dataDirectory)
  try {
    refuseWithoutAdmin(core, configuration)
    listeners = await openListeners({
      core,
      configuration,
      controlSocket,
      webPort: web?.port,
      certificates,
      metricsToken,
    })
  } catch (error) {
    await web?.stop()
    await core.stop()
    throw error
  }
  const { control } = core
  say(
    welcomeText({
      origin: configuration.reach.publicOrigin ?? listeners.origin,
      otlpOrigin: listeners.otlpOrigin,
      dataDirectory: configuration.dataDirectory,
      isDefaultDirectory: configuration.dataDirectory === resolve('.sealtrail'),
      setupToken: control.accounts.needsSetup()
        ? await control.accounts.createSetupLink()
        : undefined,
      withWeb,
    }),
  )
  return { core, listeners, web, certificates }
}

/** @throws SealtrailError `CONFIG_INVALID` when the files are not good now; later they only replace good ones */
async function watchCertificates(
  { tls }: Configuration,
  logger: Logger,
  onReloaded: (renewed: Certificates) => void,
): Promise<WatchedCertificates | undefined> {
  if (tls === undefined) return undefined
  const watched = await WatchedCertificates.open(
    tls,
    {
      onReloaded: (renewed) => {
        logger.info(datesOf(renewed), 'certificate renewed')
        onReloaded(renewed)
      },
      onRefused: ({ message, hint }) =>
        logger.error(
          { problem: message, hint, ...datesOf(watched.current) },
          'new certificate files are not used; the former certificate stays',
        ),
    },
    { clock: Date.now },
  )
  const { notAfterMs, notBeforeMs } = watched.current
  if (notAfterMs <= Date.now() || notBeforeMs > Date.now())
    logger.error(
      datesOf(watched.current),
      'the certificate is not in force: clients will refuse it',
    )
  else if (notAfterMs - Date.now() < expiryWarningMs)
    logger.warn(datesOf(watched.current), 'the certificate ends soon')
  return watched
}

const expiryWarningMs = 14 * 24 * 60 * 60_000

function datesOf({ subject, notBeforeMs, notAfterMs }: Certificates) {
  return {
    subject,
    notBefore: new Date(notBeforeMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
  }
}

/**
 * Who opens the one-time link first is the admin, so nobody else may come before there is one.
 *
 * @throws SealtrailError `LISTEN_REFUSED`
 */
function refuseWithoutAdmin({ control }: Core, { exposed }: Configuration): void {
  if (!exposed || !control.accounts.needsSetup()) return
  throw new SealtrailError(
    'LISTEN_REFUSED',
    'there is no account yet, and others than this machine could come here',
    {
      hint: 'Give the first admin with SEALTRAIL_ADMIN_NAME and SEALTRAIL_ADMIN_PASSWORD_FILE, or start once without SEALTRAIL_HOST and SEALTRAIL_TRUSTED_PROXY and make the account there.',
    },
  )
}

/** @throws SealtrailError `CONFIG_INVALID` */
async function readMetricsToken(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined
  const token = (await readFile(path, 'utf8')).trim()
  if (token.length >= 16) return token
  throw new SealtrailError(
    'CONFIG_INVALID',
    'SEALTRAIL_METRICS_TOKEN_FILE: the token has less than 16 characters',
    { hint: 'Make one: openssl rand -hex 32' },
  )
}

/** @throws SealtrailError `PORT_IN_USE`, `CONFIG_INVALID` */
async function checkPort(host: string, port: number, flag: string): Promise<void> {
  if (port === 0) return
  const server = createServer()
  await new Promise<void>((resolvePort, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => server.close(() => resolvePort()))
  }).catch((cause: unknown) => {
    const code = systemErrorCode(cause)
    if (code === 'EADDRINUSE') {
      throw new SealtrailError('PORT_IN_USE', `${flag}: port ${port} on ${host} is in use`, {
        cause,
        hint: `Another Sealtrail, or another program, listens there. Choose another port with ${flag}; 0 takes a free one.`,
      })
    }
    throw new SealtrailError(
      'CONFIG_INVALID',
      `${flag}: cannot listen on ${host} port ${port}: ${code}`,
      {
        cause,
        hint:
          code === 'EACCES'
            ? 'Ports below 1024 need a right that this user does not have.'
            : 'Check SEALTRAIL_HOST.',
      },
    )
  })
}

function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolvePort(address.port)
          : reject(new Error('no port')),
      )
    })
  })
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
