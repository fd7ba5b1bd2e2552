import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { dataPaths } from '../ledger/data-directory.ts'
import { CreateSourceKeyReply } from '../schemas/api/sources.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import { ControlClient } from './control-client.ts'

/**
 * `sealtrail`: the only wiring. Each command is a file of its own, loaded when it is asked for, so that a tap starts
 * without loading a server.
 */
const program = new Command('sealtrail')
  .description('The audit trail and the SIEM for MCP tool calls')
  .version('0.1.0')
  .showHelpAfterError('(sealtrail --help says more)')
  .addHelpText(
    'after',
    `
Examples:
  sealtrail up                                      start everything in ./.sealtrail
  sealtrail source-key create laptop                make a key for a source
  sealtrail tap --server files -- npx mcp-server-filesystem /srv
  sealtrail verify                                  recompute everything from stored bytes
  sealtrail prove EVENT_ID                          write a proof that other programs verify
  sealtrail export --from 2026-11-01 --to 2026-12-01 --query 'outcome:denied' --out november

Data directory: --data DIR or SEALTRAIL_DATA, default .sealtrail`,
  )

const dataOption = [
  '--data <dir>',
  'data directory',
  process.env.SEALTRAIL_DATA ?? '.sealtrail',
] as const

program
  .command('up')
  .description('start receivers, ledger, detection, API and dashboard')
  .option('--data <dir>', 'data directory (SEALTRAIL_DATA, default .sealtrail)')
  .option('--port <port>', 'dashboard, API and JSON receiver (SEALTRAIL_PORT, default 3000)')
  .option('--otlp-port <port>', 'OTLP/HTTP receiver (SEALTRAIL_OTLP_PORT, default 4318)')
  .option('--no-web', 'without the dashboard')
  .addHelpText(
    'after',
    `
Environment, for unattended starts:
  SEALTRAIL_MASTER_KEY_FILE        64 hex digits; else made in DIR/keyring/master.key
  SEALTRAIL_ADMIN_NAME, SEALTRAIL_ADMIN_PASSWORD_FILE   first admin
  SEALTRAIL_SOURCE_SECRET_FILE     a source secret (sts_…) to accept
  SEALTRAIL_KAFKA_BROKERS          host:port,… puts Kafka between receivers and ledger
  SEALTRAIL_ALERTS_PER_DAY         how many findings you want to see; default 10
  SEALTRAIL_LOG_LEVEL              debug, info, warn, error, silent`,
  )
  .action(async (flags) => {
    const { upCommand } = await import('./up-command.ts')
    process.exitCode = await upCommand(flags)
    // Whatever still holds the event loop has nothing left to save.
    setTimeout(() => process.exit(), 500).unref()
  })

program
  .command('tap')
  .description('run an MCP stdio server and record what is asked of it (sealtrail tap --help)')
  .helpOption(false)
  .allowUnknownOption()
  .allowExcessArguments()
  .action(async () => {
    const { tapCommand } = await import('./tap-command.ts')
    process.exit(await tapCommand(process.argv.slice(process.argv.indexOf('tap') + 1)))
  })

const sourceKey = program.command('source-key').description('keys of sources')
sourceKey
  .command('create <name>')
  .description('make a source; its key and secret are shown once')
  .option(...dataOption)
  .option('--print <what>', 'only this, for scripts: key, secret or id')
  .action(async (name: string, flags: { data: string; print?: string }) => {
    const created = await clientOf(flags.data).call(
      CreateSourceKeyReply,
      'POST',
      '/api/v1/source-keys',
      { name },
    )
    if (flags.print === 'key' || flags.print === 'secret' || flags.print === 'id')
      say(created[flags.print])
    else {
      say(`Source ${name} (${created.id}). Shown once:`)
      say(`  key     ${created.key}     Bearer token for gateways, servers and scripts`)
      say(`  secret  ${created.secret}     for sealtrail tap, as SEALTRAIL_SOURCE_SECRET`)
    }
  })

program
  .command('setup-link')
  .description('print a new one-time link for the first account')
  .option(...dataOption)
  .option('--url <url>', 'address of the dashboard', 'http://127.0.0.1:3000')
  .action(async (flags: { data: string; url: string }) => {
    const { token } = await clientOf(flags.data).call(
      z.object({ token: z.string() }),
      'POST',
      '/control/setup-link',
      {},
    )
    say(`${flags.url}/setup?token=${token}`)
  })

program
  .command('verify')
  .description('recompute logs from stored bytes and name the first thing that is wrong')
  .option(...dataOption)
  .option('--log <log>', 'one log; default all')
  .option('--key <vkey>', 'verifier key that you hold elsewhere')
  .option('--size <leaves>', 'tree size that you saw before: a smaller log was rolled back')
  .option('--offline', 'read the directory itself; Sealtrail must be stopped')
  .option('--tree-only', 'offline: leaves and checkpoints, not payloads')
  .action(async (flags) => {
    const { verifyCommand } = await import('./verify-command.ts')
    const socket = dataPaths(resolve(flags.data)).controlSocket
    const running = !flags.offline && existsSync(socket) ? new ControlClient(socket) : undefined
    process.exitCode = await verifyCommand({ ...flags, data: resolve(flags.data) }, running)
  })

program
  .command('prove <event-id>')
  .description('write the leaf of an event and a C2SP tlog-proof of it')
  .option(...dataOption)
  .option('--out <dir>', 'folder to write to', '.')
  .action(async (eventId: string, flags: { data: string; out: string }) => {
    const Reply = z.object({
      leafIndex: z.int(),
      leaf: z.string(),
      proof: z.string(),
      verifierKey: z.string(),
    })
    const reply = await clientOf(flags.data).call(
      Reply,
      'GET',
      `/api/v1/events/${encodeURIComponent(eventId)}/tlog-proof`,
    )
    await writeFile(resolve(flags.out, `${eventId}.leaf`), Buffer.from(reply.leaf, 'base64'))
    await writeFile(resolve(flags.out, `${eventId}.tlog-proof`), reply.proof)
    say(`leaf ${reply.leafIndex}: ${eventId}.leaf, ${eventId}.tlog-proof`)
    say(`verifier key ${reply.verifierKey}`)
  })

program
  .command('export')
  .description('write an evidence bundle that an auditor verifies offline')
  .requiredOption('--from <time>', 'first day or instant')
  .requiredOption('--to <time>', 'day or instant after the last')
  .requiredOption('--out <dir>', 'new folder')
  .option('--query <query>', 'only what matches', '')
  .option(...dataOption)
  .action(async (flags) => {
    const { exportCommand } = await import('./export-command.ts')
    await exportCommand(flags, clientOf(flags.data))
  })

program
  .command('rebuild')
  .description(
    'drop the columnar store and fill it again from the ledger; Sealtrail must be stopped',
  )
  .option(...dataOption)
  .action(async (flags: { data: string }) => {
    const { rebuildCommand } = await import('./rebuild-command.ts')
    await rebuildCommand(resolve(flags.data))
  })

program
  .command('vkey')
  .description('print the verifier key of the log, to keep elsewhere')
  .option(...dataOption)
  .action(async (flags: { data: string }) => {
    const Reply = z.object({ logs: z.array(z.object({ verifierKey: z.string() })) })
    const { logs } = await clientOf(flags.data).call(Reply, 'GET', '/api/v1/integrity')
    for (const { verifierKey } of logs.slice(0, 1)) say(verifierKey)
  })

program
  .command('demo')
  .description('import two weeks of history, drive real MCP servers, and let one agent be misled')
  .option(...dataOption)
  .option('--days <days>', 'days of history', '14')
  .action(async (flags: { data: string; days: string }) => {
    const { demoCommand } = await import('./demo-command.ts')
    await demoCommand(clientOf(flags.data), Number(flags.days))
  })

function clientOf(data: string): ControlClient {
  return new ControlClient(dataPaths(resolve(data)).controlSocket)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

try {
  await program.parseAsync()
} catch (error) {
  const known = isSealtrailError(error)
    ? error
    : new SealtrailError(
        'INTERNAL',
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      )
  process.stderr.write(
    `sealtrail: ${known.message} (${known.code})\n${known.hint === undefined ? '' : `${known.hint}\n`}`,
  )
  process.exit(2)
}
