import { randomUUID } from 'node:crypto'
import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { systemLogId } from '../../ledger/log-id.ts'
import type { CallChange } from '../../schemas/call.ts'
import { Assembler } from '../fold/assembler.ts'
import { fillRollup, insertCalls } from './call-projection.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { encodeBatch, insertBatch, writerOf } from './leaf-batch.ts'
import { readRuns } from './leaf-range.ts'
import type { Projector } from './projector.ts'

export interface RebuildOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  /** One log; all of them, and rows of logs that the ledger does not know, when absent. */
  readonly logId?: string
  /** The one that runs on these logs; absent where none does. */
  readonly projector?: Pick<Projector, 'exclusive'>
  readonly onProgress?: (progress: RebuildProgress) => void
  /** Leaves that may be left for the moment in which the projection stands still; 8,192 when absent. */
  readonly tailLeaves?: number
  readonly signal?: AbortSignal
}

export interface RebuildProgress {
  readonly logId: string
  readonly done: number
  readonly total: number
}

const tables = ['observations', 'calls', 'calls_per_minute'] as const
const defaultTailLeaves = 8192
/** After this many the rest is filled in that moment: senders are faster than the filling. */
const maxPasses = 16

/**
 * Makes the tables anew from the ledger while people read them. The rows are written into tables of their own beside
 * them, which then take the place of a log's partition in one step (`REPLACE PARTITION`): whoever asks sees the old
 * rows or the new ones. A rebuild that was interrupted leaves only tables that nobody reads; the next one, or the next
 * start, drops them ({@link dropRebuildTables}).
 *
 * A projector that runs goes on: it stands still for the last leaves and the exchange. Rows that it replaced meanwhile,
 * after an erasure, must not come back: that log is begun again.
 */
export async function rebuild(options: RebuildOptions): Promise<void> {
  const { client, reader, signal } = options
  const logIds = options.logId === undefined ? await reader.logIds() : [options.logId]
  await dropRebuildTables(client)
  try {
    for (const table of tables) {
      await client.command(`CREATE TABLE ${besideOf(table)} AS ${table}`)
    }
    for (const logId of logIds) {
      // Until nothing was replaced meanwhile.
      while (!(await rebuildLog(options, logId))) signal?.throwIfAborted()
    }
    if (options.logId !== undefined) return
    for (const table of tables) {
      await client.command(`ALTER TABLE ${table} DELETE WHERE log_id NOT IN {logs:Array(String)}`, {
        logs: logIds,
      })
    }
  } finally {
    await dropRebuildTables(client)
  }
}

/** Drops what an interrupted rebuild left. */
export async function dropRebuildTables(client: ColumnarClient): Promise<void> {
  for (const table of tables) await client.command(`DROP TABLE IF EXISTS ${besideOf(table)} SYNC`)
}

function besideOf(table: (typeof tables)[number]): string {
  return `${table}_rebuild`
}

/** @returns false when rows were replaced meanwhile, and nothing was exchanged. */
async function rebuildLog(options: RebuildOptions, logId: string): Promise<boolean> {
  const { client, signal } = options
  const held = holderOf(options)
  for (const table of tables) await client.command(`TRUNCATE TABLE ${besideOf(table)} SYNC`)
  const rows = new BesideTables(options, logId)
  const began = await held(logId, async (now) => now)
  let now = began
  for (let pass = 0; pass < maxPasses; pass++) {
    signal?.throwIfAborted()
    // Both tables hold leaves below this; what one of them lacks comes last.
    const until = hasCalls(logId) ? Math.min(now.indexed, now.callsUntil) : now.indexed
    if (until - rows.indexed <= (options.tailLeaves ?? defaultTailLeaves)) break
    await rows.fill({ indexed: until, callsUntil: until }, now.indexed)
    now = await held(logId, async (later) => later)
  }
  return held(logId, async (last) => {
    if (last.replaced !== began.replaced) return false
    await rows.fill(last, last.indexed)
    await fillRollup(client, logId, besideOf('calls'), besideOf('calls_per_minute'))
    signal?.throwIfAborted()
    for (const table of tables) await exchange(client, logId, table)
    options.onProgress?.({ logId, done: last.indexed, total: last.indexed })
    return true
  })
}

/** The log id was checked where it came from (ledger/log-id.ts): letters, digits, `_` and `-`. */
async function exchange(
  client: ColumnarClient,
  logId: string,
  table: (typeof tables)[number],
): Promise<void> {
  const [row] = await client.query<{ n: string }>(
    `SELECT count() AS n FROM ${besideOf(table)} WHERE log_id = {log_id:String}`,
    { log_id: logId },
  )
  // The engine refuses to replace something by nothing, unless it is said.
  await client.command(
    Number(row?.n) === 0
      ? `ALTER TABLE ${table} DROP PARTITION '${logId}'`
      : `ALTER TABLE ${table} REPLACE PARTITION '${logId}' FROM ${besideOf(table)}`,
  )
}

/** The fold does not follow the log of the deployment itself. */
function hasCalls(logId: string): boolean {
  return logId !== systemLogId
}

/** Without a projector nothing changes the tables, and they shall hold the whole log. */
function holderOf({ client, reader, projector }: RebuildOptions): Projector['exclusive'] {
  if (projector !== undefined) return (logId, work) => projector.exclusive(logId, work)
  return async (logId, work) => {
    await client.fence(writerOf(logId))
    await client.fence(`calls-${writerOf(logId)}`)
    const size = await reader.size(logId)
    return work({ indexed: size, callsUntil: hasCalls(logId) ? size : 0, replaced: 0 })
  }
}

/** The tables that are filled beside those that people read, in the order of leaves. */
class BesideTables {
  private readonly options: RebuildOptions
  private readonly logId: string
  private readonly epoch = randomUUID()
  private readonly assembler = new Assembler()
  private readonly writer: string
  private done = 0
  private callsDone = 0

  constructor(options: RebuildOptions, logId: string) {
    this.options = options
    this.logId = logId
    this.writer = `rebuild-${writerOf(logId)}`
  }

  get indexed(): number {
    return this.done
  }

  /** Adds rows up to these leaves. */
  async fill(until: { indexed: number; callsUntil: number }, total: number): Promise<void> {
    const { reader, signal, onProgress } = this.options
    const { logId } = this
    const end = Math.max(until.indexed, until.callsUntil)
    onProgress?.({ logId, done: this.done, total })
    for await (const leaves of readRuns(reader, logId, Math.min(this.done, this.callsDone), end)) {
      signal?.throwIfAborted()
      await this.addObservations(leaves, until.indexed)
      await this.addCalls(leaves, until.callsUntil)
      onProgress?.({ logId, done: this.done, total })
    }
  }

  private async addObservations(leaves: readonly CommittedLeaf[], until: number): Promise<void> {
    const { client, signal } = this.options
    for (;;) {
      const rest = leaves.filter(({ index }) => index >= this.done && index < until)
      const batch = await encodeBatch(this.epoch, this.logId, rest)
      if (batch === undefined) return
      await insertBatch(client, batch, {
        table: { name: besideOf('observations'), writer: this.writer },
        giveUpAfterMs,
        ...(signal === undefined ? {} : { signal }),
      })
      this.done = batch.untilIndex
    }
  }

  private async addCalls(leaves: readonly CommittedLeaf[], until: number): Promise<void> {
    const { client, signal } = this.options
    const changes: CallChange[] = []
    const from = this.callsDone
    for (const leaf of leaves) {
      if (leaf.index < this.callsDone || leaf.index >= until) continue
      changes.push(...this.assembler.observe(leaf))
      this.callsDone = leaf.index + 1
    }
    await insertCalls(
      client,
      this.epoch,
      { logId: this.logId, from, until: this.callsDone, changes },
      signal ?? new AbortController().signal,
      () => undefined,
      { name: besideOf('calls'), writer: `calls-${this.writer}`, feedsRollup: false },
    )
  }
}

const giveUpAfterMs = 30_000
