import { createHash } from 'node:crypto'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { hex } from '../../schemas/bytes.ts'
import type { Call } from '../../schemas/call.ts'
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
  readonly signal?: AbortSignal
  readonly onProgress?: (checkedUntil: number) => void
}

export interface BadRow {
  readonly table: 'observations' | 'calls'
  readonly block: number
  readonly leafIndex: number
  readonly reason: 'altered' | 'missing' | 'doubled' | 'extra'
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
 * is SHA-256 over the digests of its rows in the order of leaf indexes, which a hole, a double and an alteration all
 * change. In a block that differs, the first bad row is named. Rows beyond the end of the log are found too.
 */
export async function reconcile(options: ReconcileOptions): Promise<ReconcileResult> {
  const { logId, until, callsUntil = 0, signal } = options
  let checkedUntil = options.from ?? 0
  for (; checkedUntil < until; ) {
    signal?.throwIfAborted()
    const from = Math.floor(checkedUntil / blockLeaves) * blockLeaves
    const blockUntil = Math.min(from + blockLeaves, until)
    const expected = await expectedBlock(options, from, blockUntil)
    const bad =
      (await firstBadOf(options, observations, expected.observations, from, blockUntil)) ??
      (await firstBadOf(options, calls, expected.calls, from, Math.min(blockUntil, callsUntil)))
    if (bad !== undefined) return { logId, checkedUntil: bad.leafIndex, firstBad: bad }
    checkedUntil = blockUntil
    options.onProgress?.(checkedUntil)
  }
  const firstBad =
    (await firstExtraRow(options, observations)) ?? (await firstExtraRow(options, calls))
  return firstBad === undefined ? { logId, checkedUntil } : { logId, checkedUntil, firstBad }
}

/** Digests by leaf of the block; undefined where the leaf has no row. */
type ExpectedRows = (Uint8Array | undefined)[]

/**
 * What the tables must hold of a block. A call stands at the leaf of its first observation; as long as one observation
 * is one call, a block needs no state of the fold from before it.
 */
async function expectedBlock(
  { reader, logId, signal }: ReconcileOptions,
  from: number,
  until: number,
): Promise<{ observations: ExpectedRows; calls: ExpectedRows }> {
  const expected = {
    observations: new Array<Uint8Array | undefined>(until - from),
    calls: new Array<Uint8Array | undefined>(until - from),
  }
  const assembler = new Assembler()
  for await (const leaves of reader.read(logId, from, until)) {
    signal?.throwIfAborted()
    for (const [at, leaf] of leaves.entries()) {
      expected.observations[leaf.index - from] = rowDigest(leaf)
      for (const { sign, call } of assembler.observe(leaf)) {
        expected.calls[(call.observations[0] ?? 0) - from] = sign > 0 ? callDigest(call) : undefined
      }
      if (at % rowsATurn === rowsATurn - 1) await nextTurn()
    }
  }
  return expected
}

/** The first row of [from, until) that is not what it must be. */
async function firstBadOf(
  options: ReconcileOptions,
  table: ComparedTable,
  expected: ExpectedRows,
  from: number,
  until: number,
): Promise<BadRow | undefined> {
  if (until <= from) return undefined
  const { client, logId, signal } = options
  const rows = expected.slice(0, until - from)
  const digest = createHash('sha256')
  let count = 0
  for (const row of rows) {
    if (row === undefined) continue
    digest.update(row)
    count++
  }
  const params = { log_id: logId, from, until, size: await options.reader.size(logId) }
  const [stored] = await client.query<{ rows: string; odd: string; digest: string }>(
    `SELECT count() AS rows, countIf(n != 1) AS odd,
  lower(hex(SHA256(arrayStringConcat(arrayMap(x -> x.2, arraySort(groupArray((leaf_index, digest)))))))) AS digest
FROM (${table.rowsSql}) ${smallBlocks}`,
    params,
    asWriter(signal),
  )
  const equal =
    Number(stored?.rows) === count &&
    Number(stored?.odd) === 0 &&
    stored?.digest === digest.digest('hex')
  if (equal) return undefined
  const listed = await client.query<StoredRow>(
    `SELECT leaf_index AS leaf, lower(hex(digest)) AS digest, n
FROM (${table.rowsSql}) ORDER BY leaf_index LIMIT {limit:UInt64} ${smallBlocks}`,
    { ...params, limit: 2 * blockLeaves },
    asWriter(signal),
  )
  const bad = firstDifference(rows, from, listed)
  return bad === undefined
    ? undefined
    : { table: table.name, block: Math.floor(from / blockLeaves), ...bad }
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

const rollupKey = 'minute, event_class, mcp_server_name, gen_ai_tool_name, outcome_status'
