import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Shipper, type WhenFull } from '../ingest/collectors/shipper.ts'
import { runStdioTap } from '../ingest/collectors/stdio-tap.ts'
import { SealtrailError } from '../schemas/errors.ts'
import { parseSourceSecret } from '../schemas/source-key.ts'

export const tapHelp = `sealtrail tap --server NAME [--url URL] [--spool DIR] [--when-full drop|block] [--allow-http] -- COMMAND [ARGS…]

Runs an MCP stdio server and records what a client asks of it. Put it in front of the command in your client's
configuration:

  { "command": "sealtrail", "args": ["tap", "--server", "files", "--", "npx", "mcp-server-filesystem", "/srv"] }

Bytes pass unchanged in both directions, with the server's stderr and exit code. Secrets are replaced before anything
leaves this machine. While the receiver is away, records wait in an encrypted spool.

  --server NAME   Name of the server on the record. Required.
  --url URL       Receiver; default $SEALTRAIL_URL or http://127.0.0.1:3000
  --spool DIR     Folder of the spool; default ~/.sealtrail/spool/NAME
  --when-full     What happens when the spool is full: drop (default) loses records and leaves a gap that is on the
                  record; block makes the server wait until they can be kept.
  --allow-http    Sends the key and the records to another machine in the clear. Without it such a URL is refused.

Environment:
  SEALTRAIL_SOURCE_SECRET        Source secret (sts_…) as shown when the source was created.
  SEALTRAIL_SOURCE_SECRET_FILE   A file that holds it instead.
  SEALTRAIL_CA_FILE              Authority of the receiver's certificate (PEM), where it is your own.
  SEALTRAIL_CLIENT_CERT_FILE     Certificate that this source shows, with its key in SEALTRAIL_CLIENT_KEY_FILE.
  SEALTRAIL_AGENT, SEALTRAIL_USER, SEALTRAIL_WORKFLOW   Who uses the server; stand on the record as asserted.
  SEALTRAIL_CONVERSATION         Ties the servers of one conversation together on the record.
  SEALTRAIL_SPOOL_BYTES          Size limit of the spool folder; default 67108864.
  SEALTRAIL_WHEN_FULL            As --when-full.

Without a source secret the tap passes everything through and records nothing.
`

const defaultSpoolBytes = 64 * 1024 * 1024

/** Runs the tap; resolves with the exit code of the wrapped server. Never prints to standard output. */
export async function tapCommand(argv: readonly string[]): Promise<number> {
  const separator = argv.indexOf('--')
  const own = separator < 0 ? [...argv] : argv.slice(0, separator)
  const [command, ...args] = separator < 0 ? [] : argv.slice(separator + 1)
  if (own.includes('--help') || own.includes('-h')) {
    process.stderr.write(tapHelp)
    return 0
  }
  const { values } = parseArgs({
    args: own,
    options: {
      server: { type: 'string' },
      url: { type: 'string' },
      spool: { type: 'string' },
      'when-full': { type: 'string', default: nonEmpty(process.env.SEALTRAIL_WHEN_FULL) ?? 'drop' },
      'allow-http': { type: 'boolean', default: false },
    },
  })
  if (values.server === undefined || command === undefined) {
    throw new SealtrailError('CONFIG_INVALID', 'tap needs --server NAME and a command after --', {
      hint: 'See sealtrail tap --help.',
    })
  }
  const whenFull = values['when-full']
  if (whenFull !== 'drop' && whenFull !== 'block') {
    throw new SealtrailError('CONFIG_INVALID', '--when-full is drop or block', {
      hint: 'See sealtrail tap --help.',
    })
  }
  return runStdioTap({
    serverName: values.server,
    command,
    args,
    agentName: nonEmpty(process.env.SEALTRAIL_AGENT),
    userName: nonEmpty(process.env.SEALTRAIL_USER),
    workflowId: nonEmpty(process.env.SEALTRAIL_WORKFLOW),
    conversationId: nonEmpty(process.env.SEALTRAIL_CONVERSATION),
    shipper: shipperOf(values.server, {
      url: values.url,
      spool: values.spool,
      whenFull,
      allowHttp: values['allow-http'],
    }),
    clock: () => performance.timeOrigin + performance.now(),
    stdin: process.stdin,
    stdout: process.stdout,
  })
}

interface ShipperSettings {
  readonly url: string | undefined
  readonly spool: string | undefined
  readonly whenFull: WhenFull
  readonly allowHttp: boolean
}

/** A broken configuration must not break the wrapped server: it runs unrecorded, and stderr says so. */
function shipperOf(
  server: string,
  { spool, whenFull, allowHttp, ...given }: ShipperSettings,
): Shipper | undefined {
  const secret = parseSourceSecret(readSecret() ?? '')
  if (secret === undefined) {
    warn('no valid source secret in SEALTRAIL_SOURCE_SECRET; nothing is recorded')
    return undefined
  }
  const url = given.url ?? nonEmpty(process.env.SEALTRAIL_URL) ?? 'http://127.0.0.1:3000'
  const refusal = urlRefusal(url, allowHttp)
  if (refusal !== undefined) {
    warn(`${refusal}; nothing is recorded`)
    return undefined
  }
  const folder = server.replace(/[^A-Za-z0-9_.-]/g, '_').slice(0, 64)
  return new Shipper({
    url,
    whenFull,
    secret,
    certificates: {
      caFile: nonEmpty(process.env.SEALTRAIL_CA_FILE),
      certFile: nonEmpty(process.env.SEALTRAIL_CLIENT_CERT_FILE),
      keyFile: nonEmpty(process.env.SEALTRAIL_CLIENT_KEY_FILE),
    },
    spoolDirectory: spool ?? join(homedir(), '.sealtrail', 'spool', folder),
    spoolMaxBytes: Number(process.env.SEALTRAIL_SPOOL_BYTES) || defaultSpoolBytes,
    clock: () => performance.timeOrigin + performance.now(),
    onProblem: warn,
  })
}

/** Why nothing is sent to a URL: key and records would cross a network in the clear. */
function urlRefusal(text: string, allowHttp: boolean): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'https:') return undefined
  if (url?.protocol !== 'http:') return `${text.slice(0, 200)} is no http or https URL`
  const isLocal =
    /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname) || allowHttp
  return isLocal
    ? undefined
    : `${url.origin} is another machine, and http sends the source key in the clear (use https, or --allow-http)`
}

function readSecret(): string | undefined {
  const file = nonEmpty(process.env.SEALTRAIL_SOURCE_SECRET_FILE)
  try {
    return file === undefined
      ? process.env.SEALTRAIL_SOURCE_SECRET
      : readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}

function nonEmpty(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value
}

function warn(message: string): void {
  process.stderr.write(`sealtrail tap: ${message}\n`)
}
