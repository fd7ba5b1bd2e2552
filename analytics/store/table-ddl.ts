import type { EventField } from '../../schemas/event/fields.ts'
import { type Column, callColumns, columnOf, observationColumns } from './event-columns.ts'

/** Fields that are younger than the tables: the migration of each adds its column to the tables of the first ones. */
export const youngerFields: Readonly<Record<string, readonly EventField[]>> = {
  '0005_source_certificate.sql': ['source.certificate'],
}

/**
 * DDL of the tables whose columns come from the field catalogue. It is committed as a migration, so a new field is a
 * new migration, see {@link youngerFields}; `{{engine_prefix}}` and `{{deduplication_window}}` make the same text fit replicated servers.
 *
 * With the default buffers, a megabyte and more for each of 150 columns, one part of 10 MB would need half a gigabyte.
 *
 * Parts below 256 MB keep all columns in one file: a file a column costs two and a half times the CPU of an insert.
 *
 * No partition by time: occurred time is the word of a source, who could else open a partition a day of four centuries
 * and fail every insert of everybody.
 */
export function observationsDdl(): string {
  return tableDdl(
    'observations',
    observationColumns,
    [
      'INDEX leaf_index_range leaf_index TYPE minmax GRANULARITY 1',
      'INDEX recorded_range time_recorded TYPE minmax GRANULARITY 1',
      'INDEX event_id_filter event_id TYPE bloom_filter(0.01) GRANULARITY 1',
      'INDEX class_set event_class TYPE set(32) GRANULARITY 1',
      ...commonIndexes,
    ],
    '{{engine_prefix}}MergeTree',
  )
}

/** Joined calls: `FINAL` gives each call at its newest version, `sum(sign)` counts without it. */
export function callsDdl(): string {
  return tableDdl(
    'calls',
    callColumns,
    [
      'INDEX leaf_index_range leaf_index TYPE minmax GRANULARITY 1',
      'INDEX call_id_filter call_id TYPE bloom_filter(0.01) GRANULARITY 1',
      ...commonIndexes,
    ],
    '{{engine_prefix}}VersionedCollapsingMergeTree(sign, call_version)',
  )
}

/** The migration that adds the columns of some fields, each at its place. */
export function addColumnsDdl(fields: readonly EventField[]): string {
  const wanted = new Set(fields.map(columnOf))
  const statements = [
    ['observations', observationColumns] as const,
    ['calls', callColumns] as const,
  ].flatMap(([table, columns]) =>
    columns.flatMap((column, i) =>
      wanted.has(column.name)
        ? [
            `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS ${definitionOf(column)} AFTER ${columns[i - 1]?.name};\n`,
          ]
        : [],
    ),
  )
  return statements.join('')
}

function definitionOf({ name, type, codec }: Column): string {
  return codec === undefined ? `${name} ${type}` : `${name} ${type} CODEC(${codec})`
}

const commonIndexes = [
  'INDEX user_filter user_id TYPE bloom_filter(0.01) GRANULARITY 1',
  'INDEX trace_filter trace_id TYPE bloom_filter(0.01) GRANULARITY 1',
  'INDEX conversation_filter gen_ai_conversation_id TYPE bloom_filter(0.01) GRANULARITY 1',
  'INDEX tool_set gen_ai_tool_name TYPE set(256) GRANULARITY 1',
  'INDEX argument_path_filter argument_paths TYPE bloom_filter(0.01) GRANULARITY 1',
  'INDEX argument_value_filter argument_values TYPE bloom_filter(0.01) GRANULARITY 1',
  'INDEX search_words search_text TYPE text(tokenizer = splitByNonAlpha)',
]

function tableDdl(
  name: string,
  columns: readonly Column[],
  indexes: readonly string[],
  engine: string,
): string {
  const younger = new Set(Object.values(youngerFields).flat().map(columnOf))
  const first = columns.filter((column) => !younger.has(column.name))
  const parts = [...first.map(definitionOf), ...indexes]
  return `CREATE TABLE IF NOT EXISTS ${name}
(
  ${parts.join(',\n  ')}
)
ENGINE = ${engine}
PARTITION BY log_id
ORDER BY (log_id, time_occurred, leaf_index)
SETTINGS {{deduplication_window}} = 10000, min_columns_to_activate_adaptive_write_buffer = 32, min_bytes_for_wide_part = 268435456;
`
}
