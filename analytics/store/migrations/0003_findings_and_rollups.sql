CREATE VIEW IF NOT EXISTS findings AS
SELECT
  log_id,
  leaf_index,
  event_id,
  finding_id,
  finding_detector AS detector,
  finding_severity AS severity,
  finding_p AS p,
  time_occurred AS occurred_at,
  time_recorded AS recorded_at,
  finding_sentence AS sentence,
  finding_explanation AS explanation,
  arrayMap(x -> toUInt64OrZero(x), finding_evidence) AS evidence
FROM observations
WHERE event_class = 'finding';

CREATE TABLE IF NOT EXISTS calls_per_minute
(
  log_id LowCardinality(String),
  minute DateTime('UTC') CODEC(Delta, ZSTD(1)),
  event_class LowCardinality(String),
  mcp_server_name LowCardinality(String),
  gen_ai_tool_name LowCardinality(String),
  outcome_status LowCardinality(String),
  calls Int64 CODEC(ZSTD(1))
)
ENGINE = {{engine_prefix}}SummingMergeTree(calls)
PARTITION BY log_id
ORDER BY (log_id, minute, event_class, mcp_server_name, gen_ai_tool_name, outcome_status)
SETTINGS {{deduplication_window}} = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS calls_per_minute_feed TO calls_per_minute AS
SELECT
  log_id,
  toStartOfMinute(toDateTime(time_occurred, 'UTC')) AS minute,
  event_class,
  mcp_server_name,
  gen_ai_tool_name,
  outcome_status,
  sum(sign) AS calls
FROM calls
GROUP BY log_id, minute, event_class, mcp_server_name, gen_ai_tool_name, outcome_status;
