import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ClickHouseError,
  ClickHouseLogLevel,
  type ClickHouseSettings,
  createClient,
} from '@clickhouse/client'
import { SealtrailError } from '../../schemas/errors.ts'
import { databaseName, readerUser } from './columnar-config.ts'
import type { NativeBlock } from './native-block.ts'

export interface ColumnarClientOptions {
  readonly url: string
  /** Writes and migrates. */
  readonly user: string
  readonly password: string
  /** Runs queries; the read-only user of columnar-config.ts when absent. */
  readonly readUser?: string
  readonly database?: string
}

/** What a query may use at most; the profile of the reader when absent. */
export interface QueryLimits {
  readonly maxExecutionSeconds?: number
  readonly maxResultRows?: number
  readonly maxMemoryBytes?: number
}

export interface QueryOptions {
  readonly signal?: AbortSignal
  readonly limits?: QueryLimits
  /** False runs as the writer, for what the reader may not see. True when absent. */
  readonly readOnly?: boolean
}

export interface InsertOptions {
  /**
   * Hex. The same token makes a repeat of the same insert a no-op, as long as the engine was not killed in between;
   * different rows need a different token.
   */
  readonly token: string
  /** Who inserts, letters, digits and dashes: what {@link ColumnarClient.fence} ends. */
  readonly writer?: string
  readonly signal?: AbortSignal
}

/** A value that can be bound to a placeholder `{name:Type}`. */
export type QueryParams = Readonly<Record<string, unknown>>

/**
 * ClickHouse over HTTP, with the settings without which it loses or alters rows.
 *
 * Errors: `STORE_UNAVAILABLE` (retryable when nobody answered), `QUERY_TOO_EXPENSIVE` when a limit stopped a query.
 * An error names the engine's code; its text is kept only where no stored or asked value can stand in it.
 */
export interface ColumnarClient {
  /**
   * Rows as objects by column name. Every row is stored, or none; unknown columns and texts that are no number are
   * refused. Repeated for 30 s while nobody answers. The engine wraps numbers that do not fit their column and takes null for its default: check before.
   */
  insertRows(
    table: string,
    rows: Iterable<Readonly<Record<string, unknown>>>,
    options: InsertOptions,
  ): Promise<void>
  /** Every row of the block is stored, or none. One try: see repeated-insert.ts. */
  insertBlock(table: string, block: NativeBlock, options: InsertOptions): Promise<void>
  /** Ends inserts of this writer that a run before may have left behind, and waits until they are gone. */
  fence(writer: string): Promise<void>
  /** Rows of a SELECT; 64-bit integers arrive as decimal text. Values only as bound parameters. */
  query<T>(sql: string, params?: QueryParams, options?: QueryOptions): Promise<T[]>
  /** Makes the database when it is not there. The first thing that migrations do. */
  createDatabase(): Promise<void>
  /** A statement without rows: DDL, mutations. Waits until it is done. */
  command(sql: string, params?: QueryParams): Promise<void>
  ping(): Promise<boolean>
  close(): Promise<void>
}

export function openColumnarClient(options: ColumnarClientOptions): ColumnarClient {
  return new HttpColumnarClient(options)
}

type Driver = ReturnType<typeof createClient>

const requestTimeoutMs = 300_000
const insertRetryMs = 30_000
const firstBackoffMs = 50
const maxBackoffMs = 2000

/**
 * `wait_end_of_query`: an error after the first rows would else look like success. `async_insert` is on by default
 * since 26.2. The rest makes the engine refuse what it would silently change.
 */
const insertSettings: ClickHouseSettings = {
  async_insert: 0,
  wait_end_of_query: 1,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  input_format_skip_unknown_fields: 0,
  input_format_null_as_default: 0,
  input_format_defaults_for_omitted_fields: 1,
  date_time_input_format: 'best_effort',
}

class HttpColumnarClient implements ColumnarClient {
  private readonly database: string
  /** Writer that needs no database to be there. */
  private readonly systemWriter: Driver
  private readonly writer: Driver
  private readonly reader: Driver

  constructor(options: ColumnarClientOptions) {
    const shared = {
      url: options.url,
      password: options.password,
      database: options.database ?? databaseName,
      request_timeout: requestTimeoutMs,
      max_open_connections: 16,
      keep_alive: { enabled: true, idle_socket_ttl: 2500 },
      application: 'sealtrail',
      // The driver would print statements with their values.
      log: { level: ClickHouseLogLevel.OFF },
    }
    this.database = shared.database
    this.systemWriter = createClient({ ...shared, username: options.user, database: 'default' })
    this.writer = createClient({ ...shared, username: options.user })
    this.reader = createClient({ ...shared, username: options.readUser ?? readerUser })
  }

  async insertRows(
    table: string,
    rows: Iterable<Readonly<Record<string, unknown>>>,
    options: InsertOptions,
  ): Promise<void> {
    const values = [...rows]
    if (values.length === 0) return
    await withRetry(options.signal, () =>
      this.writer.insert({
        table,
        values,
        format: 'JSONEachRow',
        clickhouse_settings: { ...insertSettings, insert_deduplication_token: options.token },
      }),
    )
  }

  async insertBlock(table: string, block: NativeBlock, options: InsertOptions): Promise<void> {
    if (block.columns.length === 0) return
    try {
      const { stream } = await this.writer.exec({
        query: `INSERT INTO ${table} (${block.columns.join(', ')}) FORMAT Native`,
        values: Readable.from([block.bytes], { objectMode: false }),
        clickhouse_settings: { ...insertSettings, insert_deduplication_token: options.token },
        ...(options.writer === undefined
          ? {}
          : { query_id: `${queryPrefix(options.writer)}${randomUUID()}` }),
      })
      stream.resume()
      await finished(stream)
    } catch (cause) {
      throw storeError(cause, 'an insert')
    }
  }

  async fence(writer: string): Promise<void> {
    await this.command('KILL QUERY WHERE startsWith(query_id, {prefix:String}) SYNC', {
      prefix: queryPrefix(writer),
    })
  }

  async query<T>(sql: string, params: QueryParams = {}, options: QueryOptions = {}): Promise<T[]> {
    const driver = options.readOnly === false ? this.writer : this.reader
    try {
      const result = await driver.query({
        query: sql,
        query_params: { ...params },
        format: 'JSONEachRow',
        clickhouse_settings: limitSettings(options.limits),
        ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
      })
      return await result.json<T>()
    } catch (cause) {
      options.signal?.throwIfAborted()
      throw storeError(cause, 'a query')
    }
  }

  async createDatabase(): Promise<void> {
    await this.run(this.systemWriter, `CREATE DATABASE IF NOT EXISTS ${this.database}`, {})
  }

  async command(sql: string, params: QueryParams = {}): Promise<void> {
    await this.run(this.writer, sql, params)
  }

  private async run(driver: Driver, sql: string, params: QueryParams): Promise<void> {
    try {
      await driver.command({
        query: sql,
        query_params: { ...params },
        clickhouse_settings: { wait_end_of_query: 1, mutations_sync: '2', alter_sync: '2' },
      })
    } catch (cause) {
      throw storeError(cause, 'a statement')
    }
  }

  async ping(): Promise<boolean> {
    const reply = await this.reader.ping({ select: true })
    return reply.success
  }

  async close(): Promise<void> {
    await Promise.all([this.systemWriter.close(), this.writer.close(), this.reader.close()])
  }
}

function queryPrefix(writer: string): string {
  return `sealtrail/${writer}/`
}

function limitSettings(limits: QueryLimits | undefined): ClickHouseSettings {
  if (limits === undefined) return {}
  return {
    ...(limits.maxExecutionSeconds === undefined
      ? {}
      : { max_execution_time: limits.maxExecutionSeconds }),
    ...(limits.maxResultRows === undefined
      ? {}
      : { max_result_rows: String(limits.maxResultRows) }),
    ...(limits.maxMemoryBytes === undefined
      ? {}
      : { max_memory_usage: String(limits.maxMemoryBytes) }),
  }
}

/** Repeats an insert whose outcome nobody knows: its token makes the repeat safe. The driver itself never repeats. */
async function withRetry(
  signal: AbortSignal | undefined,
  insert: () => Promise<unknown>,
): Promise<void> {
  const until = performance.now() + insertRetryMs
  for (let backoffMs = firstBackoffMs; ; backoffMs = Math.min(backoffMs * 2, maxBackoffMs)) {
    try {
      await insert()
      return
    } catch (cause) {
      signal?.throwIfAborted()
      const error = storeError(cause, 'an insert')
      if (!error.retryable || performance.now() + backoffMs > until) throw error
    }
    await sleep(backoffMs, undefined, signal === undefined ? {} : { signal })
  }
}

function finished(stream: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('end', resolve).once('error', reject).once('close', resolve)
  })
}

/** TOO_MANY_ROWS, TIMEOUT_EXCEEDED, TOO_SLOW, MEMORY_LIMIT_EXCEEDED, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES. */
const tooExpensive: ReadonlySet<string> = new Set(['158', '159', '160', '241', '307', '396'])
/** Statements that the engine does not understand: its text quotes the statement, in which no value stands. */
const misunderstood: ReadonlySet<string> = new Set([
  '36',
  '42',
  '43',
  '46',
  '47',
  '53',
  '60',
  '62',
  '81',
])
/** TOO_MANY_SIMULTANEOUS_QUERIES, TABLE_IS_READ_ONLY, TOO_MANY_PARTS, SERVER_OVERLOADED: go by themselves. */
const passing: ReadonlySet<string> = new Set(['202', '242', '252', '745'])

function storeError(cause: unknown, what: string): SealtrailError {
  if (!(cause instanceof ClickHouseError)) {
    return new SealtrailError('STORE_UNAVAILABLE', `the columnar store did not answer ${what}`, {
      cause: cause instanceof Error && 'code' in cause ? String(cause.code) : undefined,
      retryable: true,
    })
  }
  const details = { engineCode: cause.code, engineType: cause.type ?? 'unknown' }
  if (tooExpensive.has(cause.code)) {
    return new SealtrailError('QUERY_TOO_EXPENSIVE', `${what} was stopped: ${details.engineType}`, {
      details,
      hint: 'Choose a shorter time range or a narrower query.',
    })
  }
  const text = misunderstood.has(cause.code) ? `: ${cause.message.slice(0, 500)}` : ''
  return new SealtrailError(
    'STORE_UNAVAILABLE',
    `the columnar store refused ${what} with ${cause.code} ${details.engineType}${text}`,
    { details, retryable: passing.has(cause.code) },
  )
}
