import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'

const root = fileURLToPath(new URL('../', import.meta.url))
const require = createRequire(import.meta.url)
/** A URL, because `--import` of a Windows path is none. */
const tsx = ['--import', pathToFileURL(require.resolve('tsx')).href]

export type DemoServer = 'files' | 'everything' | 'memory' | 'mail'

export interface TappedAgent {
  readonly agent: string
  readonly user: string
  /** Ties the taps of one piece of work together. */
  readonly conversation: string
}

export interface TapSetup {
  readonly url: string
  readonly sourceSecret: string
  readonly workspace: string
  readonly spool: string
  /** Program and arguments of the tap, see {@link tapProgram}. */
  readonly tap: readonly string[]
}

/** The sources by way of tsx where they are, because a bundle beside them may be older; else the bundle. */
export function tapProgram(): string[] {
  const source = join(root, 'cli', 'collector-main.ts')
  const bundle = join(root, 'dist', 'collector', 'sealtrail.mjs')
  return existsSync(source) ? [...tsx, source] : [bundle]
}

/** Connects the official client to a server with the tap in between, as a client's configuration would. */
export async function connectTapped(
  server: DemoServer,
  who: TappedAgent,
  setup: TapSetup,
): Promise<Client> {
  const client = new Client({ name: 'demo-client', version: '1.0.0' })
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [
      ...setup.tap,
      'tap',
      '--server',
      server,
      '--url',
      setup.url,
      '--spool',
      join(setup.spool, server),
      '--',
      process.execPath,
      ...serverProgram(server, setup.workspace),
    ],
    // The SDK hands on only a few variables of its own; the secret is never an argument.
    env: {
      PATH: process.env.PATH ?? '',
      SEALTRAIL_SOURCE_SECRET: setup.sourceSecret,
      SEALTRAIL_AGENT: who.agent,
      SEALTRAIL_USER: who.user,
      SEALTRAIL_CONVERSATION: who.conversation,
      MEMORY_FILE_PATH: join(setup.workspace, 'memory.jsonl'),
    },
    stderr: 'ignore',
  })
  await client.connect(transport)
  return client
}

function serverProgram(server: DemoServer, workspace: string): string[] {
  switch (server) {
    case 'files':
      return [published('server-filesystem'), workspace]
    case 'everything':
      return [published('server-everything'), 'stdio']
    case 'memory':
      return [published('server-memory')]
    case 'mail':
      return [...tsx, join(root, 'demo', 'mail-server.ts'), workspace]
  }
}

function published(name: string): string {
  const manifest = require.resolve(`@modelcontextprotocol/${name}/package.json`)
  return join(dirname(manifest), 'dist', 'index.js')
}
