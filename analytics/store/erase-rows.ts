import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { LedgerReader } from '../../ledger/committed.ts'
import { sha256 } from '../../ledger/sha256.ts'
import { hex, utf8 } from '../../schemas/bytes.ts'
import { SealtrailError } from '../../schemas/errors.ts'
import {
  type EventField,
  eventFieldNames,
  eventFields,
  fieldGroup,
} from '../../schemas/event/fields.ts'
import type { ColumnarClient } from './columnar-client.ts'
import { columnOf, columnType } from './event-columns.ts'
import { blockLeaves } from './projected-prefix.ts'
import { type BadRow, reconcile } from './reconcile.ts'
import { searchedFields } from './search-text.ts'

export interface EraseRowsOptions {
  readonly client: ColumnarClient
  readonly reader: LedgerReader
  readonly logId: string
  /** Leaves that can no longer be opened. All of them are in the tables. */
  readonly leafIndexes: readonly number[]
  /** Leaves of the log whose calls are in the table. */
  readonly callsUntil: number
  /** Writes the rows of a block anew, from the ledger. */
  readonly refill: (table: BadRow['table'], from: number, until: number) => Promise<void>
  readonly signal: AbortSignal
}

const tables = ['observations', 'calls'] as const
const insertChunk = 50_000
const oldPartsTimeoutMs = 120_000

/**
 * Takes the sealed columns out of the rows of these leaves, and of calls that joined one of them, physically: rows stay,
 * with their clear columns and the words of these. Resolves when the rows are what the ledger says now, and the parts
 * that held the old ones are gone from the disk.
 *
 * @throws SealtrailError `STORE_UNAVAILABLE`; the call may be repeated
 */
export async function eraseRows(options: EraseRowsOptions): Promise<void> {
  const { client, logId, leafIndexes, signal } = options
  if (leafIndexes.length === 0) return
  // For the time of the statements alone: a list of thousands of leaves does not fit into one.
  await client.command('DROP TABLE IF EXISTS erasing_leaves SYNC')
  await client.command(
    'CREATE TABLE erasing_leaves (log_id String, leaf_index UInt64) ENGINE = MergeTree ORDER BY (log_id, leaf_index)',
  )
  const token = hex(sha256(utf8(randomUUID())))
  for (let at = 0; at < leafIndexes.length; at += insertChunk) {
    const rows = leafIndexes
      .slice(at, at + insertChunk)
      .map((leaf_index) => ({ log_id: logId, leaf_index }))
    await client.insertRows('erasing_leaves', rows, { token: `${token}${at}`, signal })
  }
  for (const table of tables) {
    signal.throwIfAborted()
    await client.command(
      `ALTER TABLE ${table} UPDATE ${assignments()} WHERE log_id = {log_id:String} AND ${conditionOf(table)}`,
      { log_id: logId },
    )
  }
  await checkBlocks(options)
  await client.command('DROP TABLE erasing_leaves SYNC')
  await dropOldParts(client, signal)
}

const erasing = 'SELECT leaf_index FROM erasing_leaves WHERE log_id = {log_id:String}'

function conditionOf(table: (typeof tables)[number]): string {
  const first = `leaf_index IN (${erasing})`
  if (table === 'observations') return first
  return `(${first} OR (length(observation_indexes) > 1 AND hasAny(observation_indexes, (SELECT groupArray(leaf_index) FROM (${erasing})))))`
}

const sealedFields = eventFieldNames.filter((field) => fieldGroup(field) !== 'clear')

function assignments(): string {
  const sealed = sealedFields.map((field) => `'${field}'`).join(', ')
  return [
    ...sealedFields.map((field) => `${columnOf(field)} = ${emptyOf(field)}`),
    `present = arrayFilter(x -> x NOT IN (${sealed}), present)`,
    'argument_paths = []',
    'argument_values = []',
    `search_text = ${clearSearchText()}`,
  ].join(', ')
}

function emptyOf(field: EventField): string {
  const type = columnType(field)
  if (type.startsWith('Nullable')) return 'NULL'
  return type.startsWith('Array') ? '[]' : "''"
}

/** What searchText gives of an event that has its clear fields alone. */
function clearSearchText(): string {
  const words = searchedFields
    .filter((field) => fieldGroup(field) === 'clear')
    .map((field) => (eventFields[field].type === 'list' ? columnOf(field) : `[${columnOf(field)}]`))
  return `lowerUTF8(arrayStringConcat(arrayFilter(x -> x != '', arrayConcat(${words.join(', ')})), '\\n'))`
}

/**
 * Compares every block that was touched with the ledger. What the statement cannot know is written anew: lists that were
 * too long for the leaf, and lie in a sealed group although their field is a clear one.
 */
async function checkBlocks(options: EraseRowsOptions): Promise<void> {
  const { client, reader, logId, leafIndexes, callsUntil, refill, signal } = options
  const size = await reader.size(logId)
  const blocks = new Set(leafIndexes.map((index) => Math.floor(index / blockLeaves)))
  for (const block of blocks) {
    const from = block * blockLeaves
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted()
      // Rows that are not there yet were encoded from what the ledger says now.
      const until = Math.min(from + blockLeaves, size, (leafIndexes.at(-1) ?? 0) + 1)
      const range = { client, reader, logId, from, until, callsUntil, signal }
      const { firstBad } = await reconcile(range)
      if (firstBad === undefined || firstBad.leafIndex >= until) break
      if (attempt === 2) {
        throw new SealtrailError(
          'STORE_UNAVAILABLE',
          `leaf ${firstBad.leafIndex} of ${logId} is ${firstBad.reason} in ${firstBad.table} after an erasure`,
          { retryable: true },
        )
      }
      await refill(firstBad.table, from, until)
    }
  }
}

/**
 * Waits until the parts that a mutation replaced are gone. The engine keeps them for eight minutes, for a disk that
 * forgets what was written: here the ledger remembers.
 */
async function dropOldParts(client: ColumnarClient, signal: AbortSignal): Promise<void> {
  const names = tables.map((table) => `'${table}'`).join(', ')
  const setting = 'old_parts_lifetime'
  try {
    for (const table of tables) {
      await client.command(`ALTER TABLE ${table} MODIFY SETTING ${setting} = 1`)
    }
    const untilMs = performance.now() + oldPartsTimeoutMs
    for (;;) {
      const [row] = await client.query<{ n: string }>(
        `SELECT count() AS n FROM system.parts WHERE database = currentDatabase() AND table IN (${names}) AND active = 0`,
        {},
        { readOnly: false, signal },
      )
      if (Number(row?.n) === 0) return
      if (performance.now() > untilMs) {
        throw new SealtrailError(
          'STORE_UNAVAILABLE',
          'parts of the columnar store that hold erased rows are not gone yet',
          { retryable: true },
        )
      }
      await sleep(250, undefined, { signal })
    }
  } finally {
    for (const table of tables) {
      await client.command(`ALTER TABLE ${table} RESET SETTING ${setting}`).catch(() => undefined)
    }
  }
}
