CREATE TABLE IF NOT EXISTS erasing_leaves
(
  log_id LowCardinality(String),
  leaf_index UInt64 CODEC(Delta, ZSTD(1))
)
ENGINE = {{engine_prefix}}MergeTree
ORDER BY (log_id, leaf_index)
SETTINGS {{deduplication_window}} = 10000;
