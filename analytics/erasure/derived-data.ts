import type { EventField } from '../../schemas/event/fields.ts'
import { fieldGroup } from '../../schemas/event/fields.ts'
import { fieldOfColumn } from '../store/event-columns.ts'

/** A place that can hold personal data, and what an erasure does there. */
export interface DataPlace {
  readonly place: string
  readonly holds: string
  readonly cleaned: string
}

/**
 * Register of the data directory: every entry of it, by name. `columnar` is told by table and column in
 * {@link columnCleaning}.
 */
export const directoryRegister: Readonly<Record<string, DataPlace>> = {
  ledger: {
    place: 'ledger/',
    holds: 'clear fields, commitments, keyed digests of dedup records',
    cleaned: 'not altered: no sealed value stands in it; keys of digests die after two days',
  },
  payloads: {
    place: 'payloads/',
    holds: 'sealed groups and the seeds of their salts, under the key of the subject',
    cleaned:
      'closed by destroying the key; of shredded events and of texts about a subject the bytes are overwritten',
  },
  keyring: {
    place: 'keyring/',
    holds: 'keys; ids of subjects as keyed hashes; the erased list',
    cleaned: 'rewritten without the key, the old file is overwritten',
  },
  signer: { place: 'signer/', holds: 'signing keys, sizes and roots', cleaned: 'nothing to clean' },
  anchors: {
    place: 'anchors/',
    holds: 'checkpoints that others hold or signed',
    cleaned: 'nothing to clean',
  },
  snapshots: {
    place: 'snapshots/',
    holds: 'what the detectors have learnt, under a key of the keyring',
    cleaned: 'overwritten and removed; the fold begins anew',
  },
  trees: { place: 'trees/', holds: 'hashes of leaves', cleaned: 'nothing to clean' },
  columnar: {
    place: 'columnar/',
    holds: 'rows of everything that is opened, on an encrypted disk',
    cleaned: 'column by column, then old parts are removed',
  },
  exports: {
    place: 'exports/',
    holds: 'opened records of bundles that wait to be fetched, under a key of the process',
    cleaned: 'every bundle is removed',
  },
}

/** Places outside of the data directory, or in memory. */
export const otherPlaces: readonly DataPlace[] = [
  {
    place: 'fold of the detectors',
    holds: 'baselines learnt from opened events',
    cleaned: 'begins anew without them',
  },
  {
    place: 'findings, exports and administration on the record',
    holds: 'sentences, explanations and queries that name a subject',
    cleaned: 'their payloads are overwritten',
  },
  {
    place: 'leaves that wait to be judged or projected',
    holds: 'opened events, for seconds, in memory',
    cleaned: 'the erasure waits until they are through, and cleans the tables after',
  },
  {
    place: 'bus (Kafka)',
    holds: 'batches sealed to the transport key',
    cleaned: 'by the retention of the topic; nothing is opened twice',
  },
  {
    place: 'spools of collectors',
    holds: 'records under the spool key of the source, until they are committed',
    cleaned: 'by the collector, as soon as they are committed',
  },
  {
    place: 'backups',
    holds: 'what was stored when they were made; keys only where they were asked for',
    cleaned: 'a restore applies the erasures that came later',
  },
]

/** What an erasure does with a column of a table of the columnar store. */
export type ColumnCleaning =
  /** Stands in the leaf too: stays. */
  | 'clear'
  /** Of a sealed group: emptied. */
  | 'emptied'
  /** Derived from the event: made again from what is left of it. */
  | 'derived'
  /** Counts, keys and administration of the store. */
  | 'nothing personal'

const derivedColumns: ReadonlySet<string> = new Set([
  'present',
  'argument_paths',
  'argument_values',
  'search_text',
])
const rowColumns: ReadonlySet<string> = new Set([
  'log_id',
  'leaf_index',
  'leaf_hash',
  'fold_leaf_index',
  'call_id',
  'call_version',
  'sign',
  'observation_indexes',
])
/** Tables whose columns hold nothing of a sealed group. */
const plainTables: ReadonlyMap<string, readonly string[]> = new Map([
  [
    'calls_per_minute',
    [
      'log_id',
      'minute',
      'event_class',
      'mcp_server_name',
      'gen_ai_tool_name',
      'outcome_status',
      'calls',
    ],
  ],
  ['erasing_leaves', ['log_id', 'leaf_index']],
  ['migrations', ['number', 'name', 'sha256', 'applied_at']],
])

/**
 * Undefined for a table or column that nobody registered: a test fails then. What a rebuild writes beside a table is
 * begun again when rows of the table were erased meanwhile.
 */
export function columnCleaning(name: string, column: string): ColumnCleaning | undefined {
  const table = name.replace(/_rebuild$/, '')
  const plain = plainTables.get(table)
  if (plain !== undefined) return plain.includes(column) ? 'nothing personal' : undefined
  if (table !== 'observations' && table !== 'calls') return undefined
  if (rowColumns.has(column)) return 'nothing personal'
  if (derivedColumns.has(column)) return 'derived'
  const field: EventField | undefined = fieldOfColumn(column)
  if (field === undefined) return undefined
  return fieldGroup(field) === 'clear' ? 'clear' : 'emptied'
}
