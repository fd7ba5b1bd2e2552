import { type Column, callColumns, observationColumns } from './event-columns.ts'

/**
 * DDL of the tables whose columns come from the field catalogue. It is committed as a migration, so a new field is a
 * new migration; `{{engine_prefix}}` and `{{deduplication_window}}` make the same text fit replicated servers.
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
  const parts = [
    ...columns.map(({ name: column, type, codec }) =>
      codec === undefined ? `${column} ${type}` : `${column} ${type} CODEC(${codec})`,
    ),
    ...indexes,
  ]
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
