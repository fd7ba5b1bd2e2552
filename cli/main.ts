import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { dataPaths } from '../ledger/data-directory.ts'
import { IntegrityReply } from '../schemas/api/integrity.ts'
import { CreateSourceKeyReply } from '../schemas/api/sources.ts'
import { ErasureException, ErasureGround } from '../schemas/erasure.ts'
import { isSealtrailError, SealtrailError } from '../schemas/errors.ts'
import type { BindFlags } from './bind-command.ts'
import { dataDirectoryOf } from './configuration.ts'
import { ControlClient } from './control-client.ts'
import type { EraseFlags } from './erase-command.ts'
import { systemErrorCode } from './system-error.ts'
import { version } from './version.ts'

/**
 * `sealtrail`: the commands. Each is a file of its own, loaded when it is asked for, so that a tap starts without
 * loading a server.
 */
const program = new Command('sealtrail')
  .description('The audit trail and the SIEM for MCP tool calls')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(sealtrail --help says more)')
  .addHelpText(
    'after',
    `
Examples:
  sealtrail up                                      start everything in ./.sealtrail
  sealtrail source-key create laptop                make a key for a source
  sealtrail tap --server files -- npx mcp-server-filesystem /srv
  sealtrail verify                                  recompute everything from stored bytes
  sealtrail doctor                                  say what is wrong with machine, directory, keys and engines
  sealtrail prove EVENT_ID                          write a proof that other programs verify
  sealtrail export --from 2026-11-01 --to 2026-12-01 --query 'outcome:denied' --out november

Data directory: --data DIR or SEALTRAIL_DATA, default .sealtrail. Commands other than up reach the running Sealtrail
through it, so run them as the same user.

Exit codes: 0 done; 1 verify found something wrong, or up had to stop; 2 it could not be done, and the message says why
(its code, in parentheses, is explained in docs/errors.md).`,
  )

interface DataFlag {
  readonly data?: string
}

const dataOption = () =>
  new Option('--data <dir>', 'data directory (SEALTRAIL_DATA, default .sealtrail)')

command('up', 'start receivers, ledger, detection, API and dashboard')
  .addOption(dataOption())
  .option('--port <port>', 'dashboard, API and JSON receiver (SEALTRAIL_PORT, default 3000)')
  .option('--otlp-port <port>', 'OTLP/HTTP receiver (SEALTRAIL_OTLP_PORT, default 4318)')
  .option('--no-web', 'without the dashboard')
  .option(
    '--accept-clock',
    'start although the clock is more than a year ahead of the newest record',
  )
  .addHelpText(
    'after',
    `
Examples:
  sealtrail up
  sealtrail up --data /var/lib/sealtrail --port 8080 --otlp-port 0     (0 takes a free port)

Stop it with Ctrl-C or SIGTERM: what was acknowledged is on disk, and a second Ctrl-C does not wait.

Environment, for unattended starts. Flags win over variables:
  SEALTRAIL_HOST                   address to listen on; default 127.0.0.1. Beyond loopback it needs an account and TLS
  SEALTRAIL_TLS_CERT_FILE          certificate of every listener, PEM, then those of its authorities, with
  SEALTRAIL_TLS_KEY_FILE           its key. Both are read again when they change, and at SIGHUP
  SEALTRAIL_TLS_CLIENT_CA_FILE     authorities whose client certificates sources may show
  SEALTRAIL_TRUSTED_PROXY          addresses of a proxy that has TLS, e.g. 127.0.0.1 or 10.0.0.0/28,192.0.2.7
  SEALTRAIL_PUBLIC_URL             how people reach it, e.g. https://audit.example
  SEALTRAIL_METRICS_TOKEN_FILE     token for /metrics from other machines, at least 16 characters
  SEALTRAIL_MASTER_KEY_FILE        file with 64 hex digits; else made in DIR/keyring/master.key
  SEALTRAIL_ADMIN_NAME             first admin, where there is none, with
  SEALTRAIL_ADMIN_PASSWORD_FILE    a file that holds the password, at least 12 characters
  SEALTRAIL_SOURCE_SECRET_FILE     file with a source secret (sts_…) to accept
  SEALTRAIL_LOG                    name of the log of events; default main
  SEALTRAIL_OIDC_ISSUER            sign-in with an identity provider (OpenID Connect): its issuer, with
  SEALTRAIL_OIDC_CLIENT_ID         the client there, whose redirect address is <dashboard>/oidc/callback, and
  SEALTRAIL_OIDC_ROLES             who gets which role, e.g. admin=sealtrail-admins,analyst=soc,viewer=*
  SEALTRAIL_OIDC_ROLE_CLAIM        claim that holds those values; default roles; a path like realm_access.roles
  SEALTRAIL_OIDC_CLIENT_SECRET_FILE  file with the secret of the client; none for a public client
  SEALTRAIL_OIDC_SCOPES            default "openid profile email"
  SEALTRAIL_OIDC_NAME              what the button says; default the host of the issuer
  SEALTRAIL_KAFKA_BROKERS          host:port,… puts Kafka between receivers and ledger
  SEALTRAIL_KAFKA_TOPIC            default sealtrail.batches
  SEALTRAIL_KAFKA_TLS              true where the brokers speak TLS with a certificate that everybody knows, else
  SEALTRAIL_KAFKA_CA_FILE          the authority of their certificate, PEM
  SEALTRAIL_KAFKA_CERT_FILE        certificate to show them, with
  SEALTRAIL_KAFKA_KEY_FILE         its key
  SEALTRAIL_KAFKA_SASL_MECHANISM   plain, scram-sha-256 or scram-sha-512, with
  SEALTRAIL_KAFKA_USERNAME         and
  SEALTRAIL_KAFKA_PASSWORD_FILE    a file that holds the password
  SEALTRAIL_ALERTS_PER_DAY         how many findings you want to see a day; default 10
  SEALTRAIL_COLUMNAR_MEMORY_MIB    limit of the columnar store, MiB; default 2048
  SEALTRAIL_ANCHOR_DIRECTORY       folder on another disk that takes a copy of each checkpoint, append-only
  SEALTRAIL_ANCHOR_WEBHOOK_URL     address that takes checkpoints as signed posts (Standard Webhooks), with
  SEALTRAIL_ANCHOR_WEBHOOK_SECRET_FILE        a file that holds the shared secret
  SEALTRAIL_ANCHOR_BUCKET_URL      https://<endpoint>/<bucket>[/<prefix>] of an S3 bucket with object lock, with
  SEALTRAIL_ANCHOR_BUCKET_CREDENTIALS_FILE    a file like ~/.aws/credentials
  SEALTRAIL_ANCHOR_BUCKET_REGION   default us-east-1
  SEALTRAIL_ANCHOR_BUCKET_RETENTION_DAYS      how long nobody can delete a checkpoint there; default 400
  SEALTRAIL_WITNESS_POLICY_FILE    C2SP tlog-policy: witnesses with their addresses, and which of them are enough
  SEALTRAIL_ANCHOR_INTERVAL_S      least time between two checkpoints that are put outside; default 10
  SEALTRAIL_LOG_LEVEL              debug, info, warn, error or silent; default warn on a terminal, else info

Health: GET /healthz (the process answers), /readyz (it takes events), /metrics (Prometheus), on the dashboard's port. TLS, proxies and
other machines: docs/tls.md.`,
  )
  .action(
    async (
      flags: DataFlag & { port?: string; otlpPort?: string; web: boolean; acceptClock?: true },
    ) => {
      const { upCommand } = await import('./up-command.ts')
      // Whatever still holds the event loop has nothing left to save.
      process.exit(await upCommand(flags))
    },
  )

command('tap', 'run an MCP stdio server and record what is asked of it')
  .helpOption(false)
  .allowUnknownOption()
  .allowExcessArguments()
  .action(async () => {
    const { tapCommand } = await import('./tap-command.ts')
    process.exit(await tapCommand(process.argv.slice(process.argv.indexOf('tap') + 1)))
  })

const sourceKey = command('source-key', 'make keys for what sends events')
sourceKey
  .command('create <name>')
  .description('make a source; its key and secret are shown once')
  .addOption(dataOption())
  .addOption(
    new Option('--print <what>', 'only this, for scripts').choices(['key', 'secret', 'id']),
  )
  .addHelpText(
    'after',
    `
The key (stk_…) is the Bearer token for gateways, servers and scripts; the secret (sts_…) is for sealtrail tap. Both
belong to one source, whose name stands on each of its events. Revoke them under Sources in the dashboard.

Examples:
  sealtrail source-key create gateway
  KEY=$(sealtrail source-key create ci --print key)`,
  )
  .action(async (name: string, flags: DataFlag & PrintFlag) => {
    const body = { name }
    const path = '/api/v1/source-keys'
    sayKey(name, await clientOf(flags).call(CreateSourceKeyReply, 'POST', path, body), flags)
  })

sourceKey
  .command('rotate <source>')
  .description('make a new key and secret for a source, named by id or name')
  .addOption(dataOption())
  .option('--overlap <time>', 'how long the former key works too: 0, 90m, 24h, 7d', '24h')
  .addOption(
    new Option('--print <what>', 'only this, for scripts').choices(['key', 'secret', 'id']),
  )
  .addHelpText(
    'after',
    `
The source keeps its id and name. With --overlap 0 the former key stops working at once: for one that leaked.

Examples:
  sealtrail source-key rotate gateway
  KEY=$(sealtrail source-key rotate 3f9a0c11d2e4 --overlap 0 --print key)`,
  )
  .action(async (source: string, flags: DataFlag & PrintFlag & { overlap: string }) => {
    const { durationSeconds, rotateSourceKey } = await import('./source-key-command.ts')
    const overlapSeconds = durationSeconds(flags.overlap)
    if (overlapSeconds === undefined) {
      throw new SealtrailError(
        'REQUEST_INVALID',
        `--overlap ${flags.overlap} is no length of time`,
        {
          hint: 'Write 0, 90m, 24h or 7d.',
        },
      )
    }
    sayKey(source, await rotateSourceKey(clientOf(flags), source, overlapSeconds), flags)
  })

sourceKey
  .command('list')
  .description(
    'print the keys of all sources: which work, until when, and when they were last used',
  )
  .addOption(dataOption())
  .action(async (flags: DataFlag) => {
    const { sourceKeyLines } = await import('./source-key-command.ts')
    for (const line of await sourceKeyLines(clientOf(flags))) say(line)
  })

sourceKey
  .command('bind <id>')
  .description('let a source show a client certificate, besides its key or instead of it')
  .addOption(dataOption())
  .option('--certificate <name>', 'URI:…, DNS:…, email:…, subject:… or spki-sha256:…')
  .option('--certificate-file <file>', 'PEM; the source is bound to its public key')
  .option('--instead-of-key', 'the certificate is enough; a key is not asked for')
  .option('--none', 'free the source of its certificate')
  .addHelpText(
    'after',
    `
Needs SEALTRAIL_TLS_CLIENT_CA_FILE, the authorities whose certificates are accepted (docs/tls.md). From the next request on.

Examples:
  sealtrail source-key bind 4f1c02ab99d0 --certificate URI:spiffe://acme/gateway
  sealtrail source-key bind 4f1c02ab99d0 --certificate-file gateway.crt --instead-of-key
  sealtrail source-key bind 4f1c02ab99d0 --none`,
  )
  .action(async (id: string, flags: DataFlag & BindFlags) => {
    const { bindCommand } = await import('./bind-command.ts')
    say(await bindCommand(id, flags, clientOf(flags)))
  })

command('setup-link', 'print a one-time link that makes an admin account')
  .addOption(dataOption())
  .option('--url <url>', 'address of the dashboard; default: where it listens')
  .addHelpText(
    'after',
    `
For the first account, or when nobody can sign in any more. The link works once, and earlier ones stop working. It
is opened on the machine that Sealtrail runs on, from elsewhere through ssh -L.`,
  )
  .action(async (flags: DataFlag & { url?: string }) => {
    const { setupLink } = await import('./setup-link.ts')
    say(await setupLink(clientOf(flags), flags.url))
  })

command('verify', 'recompute logs from stored bytes and name the first thing that is wrong')
  .addOption(dataOption())
  .option('--log <log>', 'one log; default all')
  .option('--key <vkey>', 'verifier key that you hold elsewhere; it names its log')
  .option(
    '--size <leaves>',
    'number of leaves that you saw before: a smaller log was rolled back',
    wholeNumber,
  )
  .option('--anchor <dir>', 'anchor directory to compare with, as it is mounted here', collect)
  .option('--checkpoint <file>', 'signed checkpoint that you hold, e.g. of an export', collect)
  .option('--witness-key <vkey>', 'witness that must have cosigned; its verifier key', collect)
  .option('--offline', 'read the directory itself; Sealtrail must be stopped')
  .option('--tree-only', 'offline: leaves, segments and checkpoints, not payloads')
  .addHelpText(
    'after',
    `
Through a running Sealtrail where one answers, and then with the rows of the tables; else, or with --offline, from the
files of the directory alone. Prints a line for each log, OK or BAD with the first thing that is wrong; exit code 0 or 1.

Without --key the log is checked against the key beside it, which whoever rewrote the log may have replaced too. A whole
older state, or another history signed with the same key, shows only against what lies outside: --anchor, --checkpoint,
--witness-key and --size. Each may be given more than once; what they cover, and what they do not, is printed.

Examples:
  sealtrail verify
  sealtrail verify --key 'sealtrail-…/main+…' --size 2774
  sealtrail verify --anchor /mnt/worm/anchors --witness-key 'witness.example/w1+…'
  sealtrail verify --offline --data /mnt/copy-of-the-directory --checkpoint november/checkpoint`,
  )
  .action(
    async (
      flags: DataFlag & {
        log?: string
        key?: string
        size?: number
        anchor?: string[]
        checkpoint?: string[]
        witnessKey?: string[]
        offline?: true
        treeOnly?: true
      },
    ) => {
      const { verifyCommand } = await import('./verify-command.ts')
      const client = clientOf(flags)
      const running = flags.offline !== true && (await client.answers()) ? client : undefined
      process.exitCode = await verifyCommand(
        { ...flags, data: dataDirectoryOf(flags.data, process.env) },
        running,
      )
    },
  )

command('doctor', 'check machine, directory, keys and engines, and say what to do')
  .addOption(dataOption())
  .option('--json', 'for programs: every finding with state, what and next')
  .addHelpText(
    'after',
    `
Ports, room and speed of the disk, clock, Node.js and engine, limits, permissions, keys, what was signed against what is
there, torn ends, and whether what is sealed stands readable anywhere. Works while Sealtrail runs and while it is
stopped; it reads only, but for a temporary file in the directory and a temporary engine, both removed.

Prints a line for each finding: ok, warn or fail, with what to do. Exit code 1 where something fails. sealtrail verify
is what recomputes the record itself.`,
  )
  .action(async (flags: DataFlag & { json?: true }) => {
    const { doctorCommand } = await import('./doctor-command.ts')
    const client = clientOf(flags)
    const running = (await client.answers()) ? client : undefined
    process.exitCode = await doctorCommand(
      { ...flags, data: dataDirectoryOf(flags.data, process.env) },
      running,
    )
  })

command('prove <event-id>', 'write the leaf of an event and a C2SP tlog-proof of it')
  .addOption(dataOption())
  .option('--out <dir>', 'folder to write to', '.')
  .addHelpText(
    'after',
    `
Writes EVENT_ID.leaf and EVENT_ID.tlog-proof, and prints the verifier key. Any implementation of C2SP tlog-proof@v1
verifies them. The leaf holds the clear fields, and commitments to the others: export opens them.

Example:
  sealtrail prove 01a2152b-9136-7001-8204-512fef02ed52 --out proofs`,
  )
  .action(async (eventId: string, flags: DataFlag & { out: string }) => {
    const { proveCommand } = await import('./prove-command.ts')
    await proveCommand(eventId, flags.out, clientOf(flags))
  })

command('export', 'write an evidence bundle that an auditor verifies offline')
  .requiredOption('--from <time>', 'first day or instant')
  .requiredOption('--to <time>', 'day or instant after the last')
  .requiredOption('--out <dir>', 'new folder')
  .option('--query <query>', 'only what matches; default everything', '')
  .addOption(dataOption())
  .addHelpText(
    'after',
    `
Times are days (2026-11-24, from 00:00 UTC) or RFC 3339 (2026-11-24T13:00:00Z), of when an event occurred. The query is
that of the search field of the dashboard. The bundle holds opened records, and its own verifier: see VERIFY.md in it.
That it was made is on the record, as a leaf of the log.

Examples:
  sealtrail export --from 2026-11-01 --to 2026-12-01 --out november
  sealtrail export --from 2026-11-24 --to 2026-11-25 --query 'outcome:denied mcp.server.name:mail' --out denied`,
  )
  .action(async (flags: DataFlag & { from: string; to: string; out: string; query: string }) => {
    const { exportCommand } = await import('./export-command.ts')
    await exportCommand(flags, clientOf(flags))
  })

const redaction = command('redaction', 'say what is replaced in records beside credentials')
const ofSource = () =>
  new Option('--source <id>', 'of this source; default all without a policy of their own').default(
    'default',
    'all sources without a policy of their own',
  )
redaction
  .command('show')
  .description('print the policy in force as JSON')
  .addOption(ofSource())
  .addOption(dataOption())
  .action(async (flags: DataFlag & { source: string }) => {
    const { showRedactionPolicy } = await import('./redaction-command.ts')
    await showRedactionPolicy(flags.source, clientOf(flags))
  })
redaction
  .command('set [policy-file]')
  .description('set a policy, or take it away with --remove')
  .addOption(ofSource())
  .option('--remove', 'take the policy away')
  .addOption(dataOption())
  .addHelpText(
    'after',
    `
A policy is JSON: {"personalData": ["card", "email"], "paths": [{"path": "/gen_ai.tool.call.arguments/**/name",
"action": "hash"}], "entropyHints": false}. It holds for what is received from then on; the ledger is never rewritten.
Kinds, paths and actions are explained in docs/redaction.md.

Example:
  sealtrail redaction show > policy.json
  sealtrail redaction preview policy.json
  sealtrail redaction set policy.json`,
  )
  .action(
    async (
      file: string | undefined,
      flags: DataFlag & { source: string; remove?: boolean },
      self: Command,
    ) => {
      if ((file === undefined) !== (flags.remove === true)) {
        self.error('error: give either a policy file or --remove')
      }
      const { setRedactionPolicy } = await import('./redaction-command.ts')
      await setRedactionPolicy(flags.source, file, clientOf(flags))
    },
  )
redaction
  .command('preview [policy-file]')
  .description(
    'what a policy, or the one in force, would replace in stored events; changes nothing',
  )
  .addOption(ofSource())
  .option('--events <count>', 'newest events to look at, at most 1000', wholeNumber, 200)
  .addOption(dataOption())
  .action(
    async (file: string | undefined, flags: DataFlag & { source: string; events: number }) => {
      const { previewRedactionPolicy } = await import('./redaction-command.ts')
      const { source, events } = flags
      await previewRedactionPolicy(source, { file, events }, clientOf(flags))
    },
  )

command('rebuild', 'make the columnar store anew from the ledger, while it is read')
  .addOption(dataOption())
  .addHelpText(
    'after',
    `
The ledger is only read. The new rows are written beside the old ones and take their place in one step, so searches see
the old or the new ones, whether Sealtrail runs or not. What was interrupted is begun again.`,
  )
  .action(async (flags: DataFlag) => {
    const { rebuildCommand } = await import('./rebuild-command.ts')
    process.exitCode = await rebuildCommand(dataDirectoryOf(flags.data, process.env))
  })

const erasureOptions = (each: Command) =>
  each
    .addOption(dataOption())
    .addOption(
      new Option('--ground <ground>', 'why; it goes on the record').choices(ErasureGround.options),
    )
    .option('--reference <number>', 'number of the request in your own register; never a name')
    .option('--approver <name>', 'another admin who approved it')
    .option('--yes', 'erase; without it only what would be erased is shown')

erasureOptions(command('erase', 'erase what is stored of a person or a source, for good'))
  .option('--user <id>', 'user id, as events have it (user.id)')
  .option('--issuer <issuer>', 'issuer of the user id (user.issuer); default: none')
  .option('--email <address>', 'e-mail address of events without user id')
  .option('--source <id>', 'id of a source: its events without user id and e-mail address')
  .addOption(
    new Option('--refuse <exception>', 'put on the record that a request is refused').choices(
      ErasureException.options,
    ),
  )
  .addHelpText(
    'after',
    `
Destroys the keys of the subject: what is sealed in its events (who, arguments, results, addresses, texts, raw records)
can never be opened again. Rows lose those columns, findings about it their text, detectors what they learnt from it.
Leaves, their clear fields, counts and proofs stay. What arrives of the subject later is new data, under a new key.

The grounds are those of GDPR Article 17(1)(a) to (f), the exceptions of --refuse those of Article 17(3)(a) to (e). Who
erased, why and how much is on the record; whom is not.

Examples:
  sealtrail erase --user 4711 --issuer https://id.example.com --email ann@example.com
  sealtrail erase --email ann@example.com --ground consent_withdrawn --reference DSR-17 --yes
  sealtrail erase --refuse legal_claims --reference DSR-18`,
  )
  .action(async (flags: DataFlag & EraseFlags) => {
    const { eraseCommand } = await import('./erase-command.ts')
    await eraseCommand(flags, clientOf(flags))
  })

erasureOptions(command('shred <event-id>', 'erase the sealed content of one event, for good'))
  .addHelpText(
    'after',
    `
Overwrites what is sealed of the event, and findings that have it as evidence lose their text. The leaf stays, with its
clear fields and its proofs; the event says that it was erased, and sealtrail erasures when and why.

Example:
  sealtrail shred 01a2152b-9136-7001-8204-512fef02ed52 --ground unlawful_processing --yes`,
  )
  .action(async (eventId: string, flags: DataFlag & EraseFlags) => {
    const { shredCommand } = await import('./erase-command.ts')
    await shredCommand(eventId, flags, clientOf(flags))
  })

command('erasures', 'list what was erased, and which requests were refused')
  .addOption(dataOption())
  .addHelpText(
    'after',
    `
A line each, newest first: when, id, state, what and why, the leaf that says so, your reference. "running" means that the
keys are destroyed, and the tables are not clean yet: it goes on by itself, also after a restart.

With --list what was erased is printed as JSON, for restore --erased: keep the newest one outside of your backups.

Example:
  sealtrail erasures --list > /safe/erased.json`,
  )
  .option('--list', 'print what was erased, as restore takes it')
  .action(async (flags: DataFlag & { list?: true }) => {
    const { listErasures, printErasedList } = await import('./erase-command.ts')
    await (flags.list === true ? printErasedList : listErasures)(clientOf(flags))
  })

command('backup <folder>', 'copy what cannot be made again into a new folder; Sealtrail may run')
  .addOption(dataOption())
  .option('--keys <folder>', 'put the keyring into a folder of its own, to be kept apart')
  .option('--verify', 'read the copy again, and recompute its logs')
  .addHelpText(
    'after',
    `
Ledger, payloads, keyring, signer and anchors, with a manifest of sizes and SHA-256. What was acknowledged before it
began is in it. The tables are left out: they are filled from the ledger. The master key is never in it: keep its file
elsewhere, and beside it the newest list of what was erased (sealtrail erasures --list).

Examples:
  sealtrail backup /mnt/backup/2026-11-26 --verify
  sealtrail backup /mnt/backup/2026-11-26 --keys /mnt/safe/2026-11-26`,
  )
  .action(async (folder: string, flags: DataFlag & { keys?: string; verify?: true }) => {
    const { backupCommand } = await import('./backup-command.ts')
    const client = clientOf(flags)
    const data = dataDirectoryOf(flags.data, process.env)
    const running = (await client.answers()) ? client : undefined
    process.exitCode = await backupCommand(folder, { ...flags, data }, running)
  })

command(
  'restore <backup>',
  'make a data directory out of a backup, erase again what was erased since',
)
  .addOption(dataOption())
  .option('--keys <folder>', 'folder of the keyring, where it was kept apart')
  .option('--master-key <file>', 'file of the master key; it is copied into the directory')
  .option('--erased <file>', 'newest list of what was erased (sealtrail erasures --list)')
  .option('--nothing-erased-since', 'you are sure that nothing was erased after the backup')
  .addHelpText(
    'after',
    `
Into a new or empty directory; an existing one is never touched. Every file is compared with the manifest before
anything is written, and the result is verified. Start Sealtrail with it afterwards: it fills the tables.

What was signed after the backup is lost, and the log goes on from an older size under the same key: whoever holds a
newer checkpoint (a witness, an anchor, a browser, an export) will rightly say that the log was rolled back. If the
signer of the lost machine survives, put its signer folder in place: Sealtrail then refuses to start instead. See
docs/backup.md for the honest ways on.

Example:
  sealtrail restore /mnt/backup/2026-11-26 --data /var/lib/sealtrail --master-key /safe/master.key --erased /safe/erased.json`,
  )
  .action(
    async (
      backup: string,
      flags: DataFlag & {
        keys?: string
        masterKey?: string
        erased?: string
        nothingErasedSince?: true
      },
    ) => {
      const { restoreCommand } = await import('./backup-command.ts')
      const data = dataDirectoryOf(flags.data, process.env)
      process.exitCode = await restoreCommand(backup, { ...flags, data })
    },
  )

const masterKey = command(
  'master-key',
  'the key under which keyring and signing keys are encrypted',
)
masterKey
  .command('rotate')
  .description('put the data directory under a new master key; Sealtrail must be stopped')
  .addOption(dataOption())
  .option('--new-key-file <file>', 'file with the new key, made where there is none')
  .addHelpText(
    'after',
    `
Payloads stay as they are: their keys are in the keyring, which is rewritten as a whole. Wherever it is interrupted, the
directory opens under exactly one of the two keys, and the next start, or the same command again, ends it. Where
SEALTRAIL_MASTER_KEY_FILE names the present key, --new-key-file names the new one; else the key in the directory changes.

Examples:
  sealtrail master-key rotate
  SEALTRAIL_MASTER_KEY_FILE=/run/keys/2026 sealtrail master-key rotate --new-key-file /run/keys/2027`,
  )
  .action(async (flags: DataFlag & { newKeyFile?: string }) => {
    const { rotateMasterKeyCommand } = await import('./master-key-command.ts')
    await rotateMasterKeyCommand(dataDirectoryOf(flags.data, process.env), flags.newKeyFile)
  })

const signingKey = command('signing-key', 'the keys with which checkpoints of the logs are signed')
signingKey
  .command('rotate')
  .description('sign a log with a new key; the old one signs too for a while')
  .addOption(dataOption())
  .option('--log <log>', 'of this log; default the log of events')
  .option('--overlap-days <days>', 'how long both keys sign', wholeNumber, 30)
  .addHelpText(
    'after',
    `
The new key becomes a leaf of the log, in a tree that both keys sign: whoever trusts the old key trusts the new one from
there, and verify, bundles and browsers follow by themselves. Give the new verifier key to whoever holds the old one, and to
witnesses, before the overlap ends; then the old key is destroyed. Checkpoints that only the old key signed are refused from
the leaf on.

A key that was stolen signs as well as you do: rotate with --overlap-days 0, give out the new key at once by another way,
and trust nothing that the old one signed later than a checkpoint that an anchor holds.

Examples:
  sealtrail signing-key rotate
  sealtrail signing-key rotate --log _system --overlap-days 7`,
  )
  .action(async (flags: DataFlag & { log?: string; overlapDays: number }) => {
    const { RotateReply } = await import('./signing-key-route.ts')
    const client = clientOf(flags)
    const { logs } = await client.call(IntegrityReply, 'GET', '/api/v1/integrity')
    const { overlapDays } = flags
    const body = { logId: flags.log ?? logs[0]?.logId ?? '', overlapDays }
    const rotated = await client.call(RotateReply, 'POST', '/control/rotate-signing-key', body)
    say(`Rotated at leaf ${rotated.index}. From now on:`)
    say(rotated.next)
    say(
      overlapDays === 0
        ? `No longer: ${rotated.previous}`
        : `For ${overlapDays} days also: ${rotated.previous}`,
    )
  })

command('vkey', 'print the verifier key of the log, to keep elsewhere')
  .addOption(dataOption())
  .option('--log <log>', 'of this log; default the log of events')
  .addHelpText(
    'after',
    `
Keep it where the operator of this machine cannot rewrite it. Verifiers take it: sealtrail verify --key, and the
verify.mjs of a bundle.`,
  )
  .action(async (flags: DataFlag & { log?: string }) => {
    const { logs } = await clientOf(flags).call(IntegrityReply, 'GET', '/api/v1/integrity')
    const log = flags.log === undefined ? logs[0] : logs.find((each) => each.logId === flags.log)
    if (log === undefined) throw new SealtrailError('NOT_FOUND', `there is no log ${flags.log}`)
    say(log.verifierKey)
  })

command('demo', 'import two weeks of history, drive real MCP servers, and let one agent be misled')
  .addOption(dataOption())
  .option('--days <days>', 'days of history', wholeNumber, 14)
  .addHelpText(
    'after',
    `
Needs a running Sealtrail, and takes about half a minute. Its events stay in the log: use a data directory of its own.`,
  )
  .action(async (flags: DataFlag & { days: number }) => {
    const { demoCommand } = await import('./demo-command.ts')
    await demoCommand(clientOf(flags), flags.days)
  })

function command(nameAndArguments: string, description: string): Command {
  const [name] = nameAndArguments.split(' ')
  return program
    .command(nameAndArguments)
    .description(description)
    .showHelpAfterError(`(sealtrail ${name} --help says more)`)
}

/** @throws InvalidArgumentError */
function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

/** An option that may be given more than once. */
function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

function clientOf(flags: DataFlag): ControlClient {
  return new ControlClient(dataPaths(dataDirectoryOf(flags.data, process.env)).controlSocket)
}

interface PrintFlag {
  readonly print?: 'key' | 'secret' | 'id'
}

/** Key and secret of a source: only now are they known. */
function sayKey(name: string, made: CreateSourceKeyReply, { print }: PrintFlag): void {
  if (print !== undefined) {
    say(made[print])
    return
  }
  say(`Source ${name} (${made.id}). Shown once:`)
  say(`  key     ${made.key}     Bearer token for gateways, servers and scripts`)
  say(`  secret  ${made.secret}     for sealtrail tap, as SEALTRAIL_SOURCE_SECRET`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** What a person reads of an error: where the system refused, a sentence; of a fault of ours, the stack. */
function describe(error: unknown): SealtrailError {
  if (isSealtrailError(error)) return error
  if (!(error instanceof Error)) return new SealtrailError('INTERNAL', String(error))
  const plain = systemErrorCode(error)?.startsWith('E') === true && 'syscall' in error
  return new SealtrailError('INTERNAL', plain ? error.message : (error.stack ?? error.message))
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) {
    // What is wrong, or the help, was printed.
    process.exitCode = error.exitCode === 0 ? 0 : 2
  } else {
    const { message, code, hint } = describe(error)
    process.stderr.write(
      `sealtrail: ${message} (${code})\n${hint === undefined ? '' : `${hint}\n`}`,
    )
    process.exit(2)
  }
}
