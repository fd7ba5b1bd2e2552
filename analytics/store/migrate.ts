import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { isSealtrailError, SealtrailError } from '../../schemas/errors.ts'
import type { ColumnarClient } from './columnar-client.ts'

export interface MigrateOptions {
  readonly client: ColumnarClient
  /** True on servers whose tables are replicated. */
  readonly replicated?: boolean
  /** Folder of the numbered .sql files; the one beside this module when absent. */
  readonly folder?: URL
}

export interface Migration {
  readonly number: number
  readonly name: string
  /** Hex SHA-256 of the file. */
  readonly sha256: string
  readonly statements: readonly string[]
}

const fileName = /^(\d{4})_([a-z0-9_]+)\.sql$/

/**
 * Brings the tables up to date. Each file is run once and recorded with its hash; its statements are idempotent, so a
 * start that was interrupted is repeated.
 *
 * @returns numbers of the migrations that were run now.
 * @throws SealtrailError `STORE_MIGRATION_FAILED` when a statement is refused, or a file that was run has changed.
 */
export async function migrate(options: MigrateOptions): Promise<number[]> {
  const { client } = options
  const variables = engineVariables(options.replicated ?? false)
  await client.createDatabase()
  await run(client, substitute(recordTable, variables), 'the table of migrations')
  const recorded = new Map(
    (
      await client.query<{ number: number; sha256: string }>(
        'SELECT number, sha256 FROM migrations ORDER BY number',
      )
    ).map((row) => [row.number, row.sha256]),
  )
  const applied: number[] = []
  for (const migration of await readMigrations(options.folder)) {
    const sha256 = recorded.get(migration.number)
    if (sha256 === migration.sha256) continue
    if (sha256 !== undefined) {
      throw new SealtrailError(
        'STORE_MIGRATION_FAILED',
        `migration ${migration.name} differs from the one that was run`,
        { hint: 'Drop the database of the columnar store and run sealtrail rebuild.' },
      )
    }
    for (const statement of migration.statements) {
      await run(client, substitute(statement, variables), `migration ${migration.name}`)
    }
    await client.insertRows(
      'migrations',
      [{ number: migration.number, name: migration.name, sha256: migration.sha256 }],
      { token: migration.sha256 },
    )
    applied.push(migration.number)
  }
  return applied
}

const recordTable = `CREATE TABLE IF NOT EXISTS migrations
(
  number UInt32,
  name String,
  sha256 String,
  applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = {{engine_prefix}}MergeTree
ORDER BY number
SETTINGS {{deduplication_window}} = 1000`

/** Migrations of a folder in order. @throws SealtrailError `STORE_MIGRATION_FAILED` for a hole or a stray file. */
export async function readMigrations(
  folder: URL = new URL('./migrations/', import.meta.url),
): Promise<Migration[]> {
  const migrations: Migration[] = []
  for (const name of (await readdir(folder)).sort()) {
    const match = fileName.exec(name)
    const number = Number(match?.[1])
    if (number !== migrations.length + 1) {
      throw new SealtrailError(
        'STORE_MIGRATION_FAILED',
        `${name} is not migration ${migrations.length + 1}`,
      )
    }
    const text = await readFile(new URL(name, folder), 'utf8')
    migrations.push({
      number,
      name,
      sha256: createHash('sha256').update(text).digest('hex'),
      statements: text
        .split(/;\s*(?:\n|$)/)
        .map((statement) => statement.trim())
        .filter((statement) => statement !== ''),
    })
  }
  return migrations
}

function engineVariables(replicated: boolean): Readonly<Record<string, string>> {
  return replicated
    ? { engine_prefix: 'Replicated', deduplication_window: 'replicated_deduplication_window' }
    : { engine_prefix: '', deduplication_window: 'non_replicated_deduplication_window' }
}

function substitute(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = variables[name]
    if (value === undefined) {
      throw new SealtrailError(
        'STORE_MIGRATION_FAILED',
        `a migration uses the unknown variable ${name}`,
      )
    }
    return value
  })
}

async function run(client: ColumnarClient, statement: string, what: string): Promise<void> {
  try {
    await client.command(statement)
  } catch (cause) {
    if (isSealtrailError(cause) && cause.retryable) throw cause
    const reason = cause instanceof Error ? `: ${cause.message}` : ''
    throw new SealtrailError('STORE_MIGRATION_FAILED', `${what} failed${reason}`, { cause })
  }
}
