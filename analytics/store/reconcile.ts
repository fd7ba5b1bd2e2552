import { createHash } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { hex } from '../../schemas/bytes.ts'
import type { Call } from '../../schemas/call.ts'
import { isSealtrailError } from '../../schemas/errors.ts'
import { Assembler } from '../fold/assembler.ts'
import { callColumnNames } from './call-projection.ts'
import type { ColumnarClient, QueryOptions } from './columnar-client.ts'
import {
  callColumns,
  callRow,
  observationColumns,
  observationRow,
  writeRow,
} from './event-columns.ts'
import { observationColumnNames, rowsATurn } from './leaf-batch.ts'
import { blockLeaves } from './projected-prefix.ts'
import { RowBinaryWriter } from './row-binary.ts'

export interface ReconcileOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly logId: string
  /** Leaves that the table should hold: what the projector calls indexed, or the size of the log. */
  readonly until: number
  /** Leaves whose calls the table should hold. 0 when absent: calls are not compared. */
  readonly callsUntil?: number
  /** Where to begin; a multiple of the block. 0 when absent. */
  readonly from?: number
  /** What is known of blocks that were compared before; absent, everything is read from the ledger. */
  readonly memory?: ReconcileMemory
  readonly signal?: AbortSignal
  readonly onProgress?: (checkedUntil: number) => void
}

export interface BadRow {
  readonly table: 'observations' | 'calls'
  readonly block: number
  /** First bad leaf; the first of the block where rows cannot be read. */
  readonly leafIndex: number
  readonly reason: 'altered' | 'missing' | 'doubled' | 'extra' | 'unreadable'
}

export interface ReconcileResult {
  readonly logId: string
  /** Rows of leaves [from, checkedUntil) are in the tables once each, every column as the ledger says. */
  readonly checkedUntil: number
  readonly firstBad?: BadRow
}

/**
 * Digest of a stored row, computed in the engine from the columns themselves: SHA-256 over the row in RowBinary, in
 * the order of the catalogue. No stored hash takes part.
 */
export const rowDigestSql = `SHA256(formatRow('RowBinary', ${observationColumnNames.join(', ')}))`

/**
 * The same of a call. Its sign is counted instead; how far the fold had read depends on how its changes were batched,
 * so only what no batch can lead to makes a difference.
 */
export const callDigestSql = `SHA256(formatRow('RowBinary', ${callColumnNames
  .map(
    (name) =>
      ({
        sign: 'toInt8(1)',
        fold_leaf_index:
          'toUInt64(fold_leaf_index < arrayMax(observation_indexes) OR fold_leaf_index >= {size:UInt64})',
      })[name] ?? name,
  )
  .join(', ')}))`

const rowWriter = new RowBinaryWriter()

/** The digest that the row of a leaf must have. */
export function rowDigest(leaf: CommittedLeaf): Uint8Array {
  rowWriter.clear()
  writeRow(rowWriter, observationColumns, observationRow(leaf))
  return createHash('sha256').update(rowWriter.written()).digest()
}

/** The digest that the row of a call must have. */
export function callDigest(call: Call): Uint8Array {
  rowWriter.clear()
  writeRow(rowWriter, callColumns, callRow(call, 1, 0))
  return createHash('sha256').update(rowWriter.written()).digest()
}

/** Whole rows pass through memory: few at a time, whatever their size. The reader may not choose its settings. */
const smallBlocks =
  'SETTINGS max_block_size = 1024, preferred_block_size_bytes = 1048576, max_threads = 2'

function asWriter(signal: AbortSignal | undefined): QueryOptions {
  return { readOnly: false, ...(signal === undefined ? {} : { signal }) }
}

/** How the rows of a block stand in a table: leaf, digest, and how often. */
interface ComparedTable {
  readonly name: BadRow['table']
  readonly rowsSql: string
}

const blockCondition =
  'log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}'

const observations: ComparedTable = {
  name: 'observations',
  rowsSql: `SELECT leaf_index, ${rowDigestSql} AS digest, toInt64(1) AS n FROM observations WHERE ${blockCondition}`,
}

/** A state that was taken back cancels the one that was added; the rest stands once. */
const calls: ComparedTable = {
  name: 'calls',
  rowsSql: `SELECT leaf_index, digest, sum(toInt64(sign)) AS n
FROM (SELECT leaf_index, sign, ${callDigestSql} AS digest FROM calls WHERE ${blockCondition})
GROUP BY leaf_index, digest HAVING n != 0`,
}

/**
 * Compares observations with the ledger and calls with what the fold makes of it, block by block: the digest of a block
 * is SHA-256 over the hex digests of its rows in the order of leaf indexes, which a hole, a double and an alteration all
 * change. In a block that differs, the first bad row is named. Rows beyond the end of the log are found too.
 */
export async function reconcile(options: ReconcileOptions): Promise<ReconcileResult> {
  const { logId, until, callsUntil = 0, signal } = options
  let checkedUntil = options.from ?? 0
  for (; checkedUntil < until; ) {
    signal?.throwIfAborted()
    const from = Math.floor(checkedUntil / blockLeaves) * blockLeaves
    const blockUntil = Math.min(from + blockLeaves, until)
    const range = { from, until: blockUntil, callsUntil: Math.min(blockUntil, callsUntil) }
    const bad = await badRowOf(options, range)
    if (bad !== undefined) return { logId, checkedUntil: bad.leafIndex, firstBad: bad }
    checkedUntil = blockUntil
    options.onProgress?.(checkedUntil)
  }
  const firstBad =
    (await firstExtraRow(options, observations)) ?? (await firstExtraRow(options, calls))
  return firstBad === undefined ? { logId, checkedUntil } : { logId, checkedUntil, firstBad }
}

/** Leaves of one block that are compared: observations of [from, until), calls of [from, callsUntil). */
interface BlockRange {
  readonly from: number
  readonly until: number
  readonly callsUntil: number
}

/**
 * The first bad row of a block. The ledger is read where it was not before; and always before something is called bad:
 * an erasure changes what a row must be.
 */
async function badRowOf(options: ReconcileOptions, range: BlockRange): Promise<BadRow | undefined> {
  const { memory } = options
  const known = memory?.summaryOf(range)
  if (known !== undefined) {
    const bad = await firstBadOf(options, range, known)
    if (bad === undefined) return undefined
    memory?.forget(range.from)
  }
  const open = known === undefined ? memory?.openBlock(range.from) : undefined
  if (open !== undefined && open.read > range.from) {
    await readExpected(options, open, range.until)
    if ((await firstBadOf(options, range, open)) === undefined) {
      memory?.remember(range, open)
      return undefined
    }
    memory?.forget(range.from)
  }
  const fresh = emptyBlock(range.from)
  await readExpected(options, fresh, range.until)
  const bad = await firstBadOf(options, range, fresh)
  if (bad === undefined) memory?.remember(range, fresh)
  return bad
}

async function firstBadOf(
  options: ReconcileOptions,
  { from, until, callsUntil }: BlockRange,
  expected: ExpectedBlock | BlockSummary,
): Promise<BadRow | undefined> {
  return (
    (await firstBadRow(options, observations, expected.observations, from, until)) ??
    (await firstBadRow(options, calls, expected.calls, from, callsUntil))
  )
}

/** Digests by leaf of the block; undefined where the leaf has no row. */
type ExpectedRows = (Uint8Array | undefined)[]

/** What the tables must hold of the leaves [from, read) of a block, leaf by leaf. */
interface ExpectedBlock {
  readonly from: number
  read: number
  readonly observations: ExpectedRows
  readonly calls: ExpectedRows
}

/** The same of a block in two digests. */
interface BlockSummary {
  readonly observations: TableSummary
  readonly calls: TableSummary
}

interface TableSummary {
  readonly count: number
  /** Hex SHA-256 over the hex digests of the rows in the order of leaves: the engine cuts zeros off raw ones. */
  readonly digest: string
}

function emptyBlock(from: number): ExpectedBlock {
  return { from, read: from, observations: [], calls: [] }
}

function summaryOf(rows: ExpectedRows): TableSummary {
  const digest = createHash('sha256')
  let count = 0
  for (const row of rows) {
    if (row === undefined) continue
    digest.update(hex(row))
    count++
  }
  return { count, digest: digest.digest('hex') }
}

/**
 * What is known of a log since it was read: two digests a block that is whole, every row of the last one. In memory
 * only, where nobody who writes to the disk can reach it, so the comparison of an old block costs the engine alone.
 */
export class ReconcileMemory {
  private readonly blocks = new Map<number, BlockSummary>()
  private open: ExpectedBlock | undefined

  /** Blocks that are known as a whole. */
  get size(): number {
    return this.blocks.size
  }

  forget(from: number): void {
    this.blocks.delete(from)
    if (this.open?.from === from) this.open = undefined
  }

  /** @internal Of a whole block. */
  summaryOf({ from, until, callsUntil }: BlockRange): BlockSummary | undefined {
    return until === from + blockLeaves && callsUntil === until ? this.blocks.get(from) : undefined
  }

  /** @internal */
  openBlock(from: number): ExpectedBlock | undefined {
    return this.open?.from === from ? this.open : undefined
  }

  /** @internal Takes over what was found equal. */
  remember({ from, until, callsUntil }: BlockRange, rows: ExpectedBlock): void {
    if (until === from + blockLeaves && callsUntil === until) {
      this.blocks.set(from, {
        observations: summaryOf(rows.observations),
        calls: summaryOf(rows.calls),
      })
      if (this.open?.from === from) this.open = undefined
    } else if (until < from + blockLeaves) this.open = rows
  }
}

/**
 * Reads on what the tables must hold of a block. A call stands at the leaf of its first observation; as long as one
 * observation is one call, a block needs no state of the fold from before it.
 */
async function readExpected(
  { reader, logId, signal }: ReconcileOptions,
  block: ExpectedBlock,
  until: number,
): Promise<void> {
  const assembler = new Assembler()
  block.observations.length = Math.max(block.observations.length, until - block.from)
  block.calls.length = block.observations.length
  for await (const leaves of reader.read(logId, block.read, until)) {
    signal?.throwIfAborted()
    for (const [at, leaf] of leaves.entries()) {
      block.observations[leaf.index - block.from] = rowDigest(leaf)
      for (const { sign, call } of assembler.observe(leaf)) {
        const offset = (call.observations[0] ?? 0) - block.from
        block.calls[offset] = sign > 0 ? callDigest(call) : undefined
      }
      block.read = leaf.index + 1
      if (at % rowsATurn === rowsATurn - 1) await nextTurn()
    }
  }
}

/** The first row of [from, until) that is not what it must be; of a summary, only that there is one. */
async function firstBadRow(
  options: ReconcileOptions,
  table: ComparedTable,
  expected: ExpectedRows | TableSummary,
  from: number,
  until: number,
): Promise<BadRow | undefined> {
  if (until <= from) return undefined
  const block = Math.floor(from / blockLeaves)
  try {
    const bad = await firstDifferenceOf(options, table, expected, from, until)
    return bad === undefined ? undefined : { table: table.name, block, ...bad }
  } catch (error) {
    if (!isDamage(error)) throw error
    return { table: table.name, block, leafIndex: from, reason: 'unreadable' }
  }
}

/**
 * Whether the engine answered that it cannot read what it stored. Not being there, limits and what passes by itself are
 * no damage.
 */
function isDamage(error: unknown): boolean {
  return (
    isSealtrailError(error, 'STORE_UNAVAILABLE') &&
    !error.retryable &&
    error.details?.engineCode !== undefined
  )
}

async function firstDifferenceOf(
  options: ReconcileOptions,
  table: ComparedTable,
  expected: ExpectedRows | TableSummary,
  from: number,
  until: number,
): Promise<Pick<BadRow, 'leafIndex' | 'reason'> | undefined> {
  const { client, logId, signal } = options
  const rows = Array.isArray(expected) ? expected.slice(0, until - from) : undefined
  const { count, digest } = Array.isArray(expected) ? summaryOf(rows ?? []) : expected
  const params = { log_id: logId, from, until, size: await options.reader.size(logId) }
  const [stored] = await client.query<{ rows: string; odd: string; digest: string }>(
    `SELECT count() AS rows, countIf(n != 1) AS odd,
  lower(hex(SHA256(arrayStringConcat(arrayMap(x -> x.2, arraySort(groupArray((leaf_index, lower(hex(digest)))))))))) AS digest
FROM (${table.rowsSql}) ${smallBlocks}`,
    params,
    asWriter(signal),
  )
  const equal =
    Number(stored?.rows) === count && Number(stored?.odd) === 0 && stored?.digest === digest
  if (equal) return undefined
  if (rows === undefined) return { leafIndex: from, reason: 'altered' }
  const listed = await client.query<StoredRow>(
    `SELECT leaf_index AS leaf, lower(hex(digest)) AS digest, n
FROM (${table.rowsSql}) ORDER BY leaf_index LIMIT {limit:UInt64} ${smallBlocks}`,
    { ...params, limit: 2 * blockLeaves },
    asWriter(signal),
  )
  return firstDifference(rows, from, listed)
}

interface StoredRow {
  readonly leaf: string
  readonly digest: string
  readonly n: string
}

/** By leaf: both lists are in its order. */
function firstDifference(
  expected: ExpectedRows,
  from: number,
  stored: readonly StoredRow[],
): Pick<BadRow, 'leafIndex' | 'reason'> | undefined {
  let at = 0
  for (const [offset, digest] of expected.entries()) {
    const leafIndex = from + offset
    const first = at
    while (Number(stored[at]?.leaf) === leafIndex) at++
    const here = stored.slice(first, at)
    const [only] = here
    if (only === undefined) {
      if (digest !== undefined) return { leafIndex, reason: 'missing' }
      continue
    }
    if (digest === undefined) return { leafIndex, reason: 'extra' }
    if (here.length > 1 || Number(only.n) !== 1) return { leafIndex, reason: 'doubled' }
    if (only.digest !== hex(digest)) return { leafIndex, reason: 'altered' }
  }
  return undefined
}

/** The table is asked before the ledger: what is committed meanwhile is no extra row. */
async function firstExtraRow(
  options: ReconcileOptions,
  { name: table }: ComparedTable,
): Promise<BadRow | undefined> {
  const { client, reader, logId, signal } = options
  const query = signal === undefined ? {} : { signal }
  const [row] = await client.query<{ n: string; highest: string }>(
    `SELECT count() AS n, max(leaf_index) AS highest FROM ${table} WHERE log_id = {log_id:String}`,
    { log_id: logId },
    query,
  )
  const size = await reader.size(logId)
  if (row === undefined || Number(row.n) === 0 || Number(row.highest) < size) return undefined
  const [first] = await client.query<{ leaf: string }>(
    `SELECT min(leaf_index) AS leaf FROM ${table} WHERE log_id = {log_id:String} AND leaf_index >= {size:UInt64}`,
    { log_id: logId, size },
    query,
  )
  const leafIndex = Number(first?.leaf ?? size)
  return { table, block: Math.floor(leafIndex / blockLeaves), leafIndex, reason: 'extra' }
}

/**
 * The first minute whose counts in the rollup are not those of the calls. Asked again before it is told: the engine
 * feeds the rollup a moment after the calls.
 */
export async function firstBadMinute(
  client: ColumnarClient,
  logId: string,
  signal?: AbortSignal,
): Promise<string | undefined> {
  for (let tries = 3; ; tries--) {
    const [row] = await client.query<{ minute: string }>(
      `SELECT toString(minute) AS minute FROM (
  SELECT ${rollupKey}, calls AS n FROM calls_per_minute WHERE log_id = {log_id:String}
  UNION ALL
  SELECT toStartOfMinute(toDateTime(time_occurred, 'UTC')) AS minute, event_class, mcp_server_name, gen_ai_tool_name,
    outcome_status, -toInt64(sign) AS n FROM calls WHERE log_id = {log_id:String}
) GROUP BY ${rollupKey} HAVING sum(n) != 0 ORDER BY minute LIMIT 1`,
      { log_id: logId },
      asWriter(signal),
    )
    if (row === undefined || tries === 1) return row?.minute
    await sleep(500, undefined, signal === undefined ? {} : { signal })
  }
}

/** The first finding that the view of findings does not show as its row says. */
export async function firstBadFinding(
  client: ColumnarClient,
  logId: string,
  signal?: AbortSignal,
): Promise<number | undefined> {
  const compared = 'leaf_index, finding_id, detector, severity, p, sentence, explanation, evidence'
  const [row] = await client.query<{ leaf: string }>(
    `SELECT leaf_index AS leaf FROM (
  SELECT ${compared}, 1 AS n FROM findings WHERE log_id = {log_id:String}
  UNION ALL
  SELECT leaf_index, finding_id, finding_detector AS detector, finding_severity AS severity, finding_p AS p,
    finding_sentence AS sentence, finding_explanation AS explanation,
    arrayMap(x -> toUInt64OrZero(x), finding_evidence) AS evidence, -1 AS n
  FROM observations WHERE log_id = {log_id:String} AND event_class = 'finding'
) GROUP BY ${compared} HAVING sum(n) != 0 ORDER BY leaf LIMIT 1`,
    { log_id: logId },
    asWriter(signal),
  )
  return row === undefined ? undefined : Number(row.leaf)
}

const rollupKey = 'minute, event_class, mcp_server_name, gen_ai_tool_name, outcome_status'
