import { createHash, type Hash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CommittedLeaf, LedgerReader } from '../../ledger/committed.ts'
import { hex } from '../../schemas/bytes.ts'
import type { ColumnarClient, QueryOptions } from './columnar-client.ts'
import { writeObservation } from './event-columns.ts'
import { observationColumnNames, rowsATurn } from './leaf-batch.ts'
import { blockLeaves } from './projected-prefix.ts'
import { RowBinaryWriter } from './row-binary.ts'

export interface ReconcileOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly logId: string
  /** Leaves that the table should hold: what the projector calls indexed, or the size of the log. */
  readonly until: number
  /** Where to begin; a multiple of the block. 0 when absent. */
  readonly from?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (checkedUntil: number) => void
}

export interface BadRow {
  readonly block: number
  readonly leafIndex: number
  readonly reason: 'altered' | 'missing' | 'doubled' | 'extra'
}

export interface ReconcileResult {
  readonly logId: string
  /** Leaves [from, checkedUntil) are in the table once each, every column as the ledger says. */
  readonly checkedUntil: number
  readonly firstBad?: BadRow
}

/**
 * Digest of a stored row, computed in the engine from the columns themselves: SHA-256 over the row in RowBinary, in
 * the order of the catalogue. No stored hash takes part.
 */
export const rowDigestSql = `SHA256(formatRow('RowBinary', ${observationColumnNames.join(', ')}))`

const rowWriter = new RowBinaryWriter()

/** The digest that the row of a leaf must have. */
export function rowDigest(leaf: CommittedLeaf): Uint8Array {
  rowWriter.clear()
  writeObservation(rowWriter, leaf)
  return createHash('sha256').update(rowWriter.written()).digest()
}

/** Whole rows pass through memory: few at a time, whatever their size. The reader may not choose its settings. */
const smallBlocks =
  'SETTINGS max_block_size = 1024, preferred_block_size_bytes = 1048576, max_threads = 2'

function asWriter(signal: AbortSignal | undefined): QueryOptions {
  return { readOnly: false, ...(signal === undefined ? {} : { signal }) }
}

/**
 * Compares the table with the ledger, block by block: the digest of a block is SHA-256 over the digests of its rows in
 * the order of leaf indexes, which a hole, a double and an alteration all change. In a block that differs, the first
 * bad row is named. Rows beyond the end of the log are found too.
 */
export async function reconcile(options: ReconcileOptions): Promise<ReconcileResult> {
  const { client, logId, until, signal } = options
  let checkedUntil = options.from ?? 0
  for (; checkedUntil < until; ) {
    signal?.throwIfAborted()
    const block = Math.floor(checkedUntil / blockLeaves)
    const from = block * blockLeaves
    const blockUntil = Math.min(from + blockLeaves, until)
    const expected = await expectedBlock(options, from, blockUntil)
    const stored = await storedBlock(client, logId, from, blockUntil, signal)
    if (stored.rows !== blockUntil - from || stored.digest !== expected.digest) {
      const bad = await firstBadRow(options, block, from, blockUntil, expected.rows)
      if (bad !== undefined) return { logId, checkedUntil: bad.leafIndex, firstBad: bad }
    }
    checkedUntil = blockUntil
    options.onProgress?.(checkedUntil)
  }
  const extra = await firstExtraRow(options)
  if (extra !== undefined) {
    const firstBad: BadRow = {
      block: Math.floor(extra / blockLeaves),
      leafIndex: extra,
      reason: 'extra',
    }
    return { logId, checkedUntil, firstBad }
  }
  return { logId, checkedUntil }
}

interface ExpectedBlock {
  readonly digest: string
  /** 32 bytes a row, in order. */
  readonly rows: Buffer
}

async function expectedBlock(
  { reader, logId, signal }: ReconcileOptions,
  from: number,
  until: number,
): Promise<ExpectedBlock> {
  const rows = Buffer.alloc((until - from) * 32)
  const digest: Hash = createHash('sha256')
  for await (const leaves of reader.read(logId, from, until)) {
    signal?.throwIfAborted()
    for (const [at, leaf] of leaves.entries()) {
      const row = rowDigest(leaf)
      rows.set(row, (leaf.index - from) * 32)
      digest.update(row)
      if (at % rowsATurn === rowsATurn - 1) await nextTurn()
    }
  }
  return { digest: digest.digest('hex'), rows }
}

async function storedBlock(
  client: ColumnarClient,
  logId: string,
  from: number,
  until: number,
  signal: AbortSignal | undefined,
): Promise<{ rows: number; digest: string }> {
  const [row] = await client.query<{ rows: string; digest: string }>(
    `SELECT count() AS rows,
  lower(hex(SHA256(arrayStringConcat(arrayMap(x -> x.2, arraySort(groupArray((leaf_index, ${rowDigestSql})))))))) AS digest
FROM observations WHERE ${blockCondition} ${smallBlocks}`,
    { log_id: logId, from, until },
    asWriter(signal),
  )
  return { rows: Number(row?.rows ?? 0), digest: row?.digest ?? '' }
}

const blockCondition =
  'log_id = {log_id:String} AND leaf_index >= {from:UInt64} AND leaf_index < {until:UInt64}'

async function firstBadRow(
  { client, logId, signal }: ReconcileOptions,
  block: number,
  from: number,
  until: number,
  expected: Buffer,
): Promise<BadRow | undefined> {
  const rows = await client.query<{ leaf: string; digest: string }>(
    `SELECT leaf_index AS leaf, lower(hex(${rowDigestSql})) AS digest
FROM observations WHERE ${blockCondition} ORDER BY leaf_index LIMIT {limit:UInt64} ${smallBlocks}`,
    { log_id: logId, from, until, limit: 2 * blockLeaves },
    asWriter(signal),
  )
  const bad = (leafIndex: number, reason: BadRow['reason']): BadRow => ({
    block,
    leafIndex,
    reason,
  })
  let next = from
  for (const row of rows) {
    const index = Number(row.leaf)
    if (index < next) return bad(index, 'doubled')
    if (index > next) return bad(next, 'missing')
    const offset = (index - from) * 32
    if (row.digest !== hex(expected.subarray(offset, offset + 32))) return bad(index, 'altered')
    next = index + 1
  }
  return next < until ? bad(next, 'missing') : undefined
}

/** The table is asked before the ledger: what is committed meanwhile is no extra row. */
async function firstExtraRow(options: ReconcileOptions): Promise<number | undefined> {
  const { client, reader, logId, signal } = options
  const [row] = await client.query<{ n: string; highest: string }>(
    'SELECT count() AS n, max(leaf_index) AS highest FROM observations WHERE log_id = {log_id:String}',
    { log_id: logId },
    signal === undefined ? {} : { signal },
  )
  const size = await reader.size(logId)
  if (row === undefined || Number(row.n) === 0 || Number(row.highest) < size) return undefined
  const [first] = await client.query<{ leaf: string }>(
    'SELECT min(leaf_index) AS leaf FROM observations WHERE log_id = {log_id:String} AND leaf_index >= {size:UInt64}',
    { log_id: logId, size },
    signal === undefined ? {} : { signal },
  )
  return Number(first?.leaf ?? size)
}
