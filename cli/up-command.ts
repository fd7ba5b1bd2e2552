import { createServer } from 'node:net'
import { pino } from 'pino'
import { dataPaths, lockDataDirectory } from '../ledger/data-directory.ts'
import { type ConfigurationFlags, readConfiguration } from './configuration.ts'
import { openCore } from './core.ts'
import { openListeners } from './http-listeners.ts'
import { ProgressLine } from './progress-line.ts'
import { buildDashboard, dashboardIsStale, startDashboard } from './web-process.ts'

export interface UpFlags extends ConfigurationFlags {
  /** False leaves the dashboard out: receivers, ledger and API only. */
  readonly web?: boolean | undefined
}

/** Starts everything and stays until a signal or a failure; resolves with the exit code. */
export async function upCommand(flags: UpFlags): Promise<number> {
  const configuration = readConfiguration(flags, process.env)
  const say = (text: string) => process.stdout.write(`${text}\n`)
  const progress = new ProgressLine()
  const unlock = await lockDataDirectory(configuration.dataDirectory)
  const logger = pino(
    {
      level:
        process.env.SEALTRAIL_LOG_LEVEL ?? (process.stderr.isTTY ? 'warn' : configuration.logLevel),
      base: null,
    },
    pino.destination(2),
  )
  try {
    const withWeb = flags.web !== false
    if (withWeb && dashboardIsStale()) {
      say('Building the dashboard, once (about half a minute) …')
      await buildDashboard()
    }
    say('Starting …')
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
    const listeners = await openListeners({
      core,
      configuration,
      controlSocket,
      webPort: web?.port,
    })
    const origin = `http://${configuration.host === '::1' ? '[::1]' : configuration.host}:${listeners.port}`
    await welcome(core.control, origin, listeners.otlpPort, configuration.dataDirectory, say)

    const failure = await Promise.race([core.failed, untilSignal()])
    if (failure instanceof Error)
      logger.fatal({ err: failure }, 'stopping: the ledger cannot go on')
    else say('Stopping …')
    await listeners.close()
    await web?.stop()
    await core.stop()
    return failure instanceof Error ? 1 : 0
  } finally {
    progress.done()
    unlock()
  }
}

async function welcome(
  control: {
    needsSetup(): boolean
    createSetupLink(): Promise<string>
    sourceKeys(): readonly unknown[]
  },
  origin: string,
  otlpPort: number,
  dataDirectory: string,
  say: (text: string) => void,
): Promise<void> {
  say('\nSealtrail is ready.\n')
  if (control.needsSetup()) {
    say(
      `  Make your account   ${origin}/setup?token=${await control.createSetupLink()}   (works once)`,
    )
  } else {
    say(`  Dashboard           ${origin}`)
  }
  say(
    `  Events              ${origin}/v1/events   (JSON, NDJSON; Authorization: Bearer <source key>)`,
  )
  say(`  OTLP/HTTP           http://127.0.0.1:${otlpPort}/v1/logs and /v1/traces   (http/json)`)
  say(`  Data                ${dataDirectory}\n`)
  say('Ship a first event, from another terminal in this folder:\n')
  say(
    `  KEY=$(npx sealtrail source-key create first --print key); curl ${origin}/v1/events -H "authorization: Bearer $KEY" \\`,
  )
  say(
    `    -H 'content-type: application/json' -d '{"event.class":"tool_call","mcp.server.name":"demo","gen_ai.tool.name":"hello"}'\n`,
  )
  say('Or see it at work: npm run demo\n')
}

function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      )
    })
  })
}
