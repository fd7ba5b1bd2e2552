import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { type Logger, pino } from 'pino'
import { dataPaths } from '../ledger/data-directory.ts'
import { SealtrailError } from '../schemas/errors.ts'
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
  const { core, listeners, web } = running
  const failure = await Promise.race([core.failed, signal])
  if (failure instanceof Error) logger.fatal({ err: failure }, 'stopping: the ledger cannot go on')
  else say('Stopping …')
  await listeners.close()
  await web?.stop()
  await core.stop()
  return failure instanceof Error ? 1 : 0
}

interface Running {
  readonly core: Core
  readonly listeners: Listeners
  readonly web: WebProcess | undefined
}

async function start(
  configuration: Configuration,
  withWeb: boolean,
  logger: Logger,
): Promise<Running> {
  // First, because all the rest takes long.
  await checkPort(configuration.host, configuration.port, '--port')
  await checkPort(configuration.host, configuration.otlpPort, '--otlp-port')
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
  let listeners: Listeners
  try {
    listeners = await openListeners({ core, configuration, controlSocket, webPort: web?.port })
  } catch (error) {
    await web?.stop()
    await core.stop()
    throw error
  }
  const { control } = core
  say(
    welcomeText({
      origin: listeners.origin,
      otlpOrigin: listeners.otlpOrigin,
      dataDirectory: configuration.dataDirectory,
      isDefaultDirectory: configuration.dataDirectory === resolve('.sealtrail'),
      setupToken: control.needsSetup() ? await control.createSetupLink() : undefined,
      withWeb,
    }),
  )
  return { core, listeners, web }
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
