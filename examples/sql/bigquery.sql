-- Events in BigQuery: the columns of `hilt-log schema --columns`.

-- Lines as they are in the files. No line has a tab in it:
-- bq load --source_format=CSV --field_delimiter=tab --quote= hilt.lines 'gs://BUCKET/hilt/*'
CREATE TABLE hilt.lines (event STRING);

CREATE TABLE hilt.events (
  event_id STRING NOT NULL,
  timestamp TIMESTAMP NOT NULL,
  session_id STRING NOT NULL,
  actor_type STRING NOT NULL,
  actor_id STRING NOT NULL,
  action STRING NOT NULL,
  text STRING,
  provider STRING,
  model STRING,
  prompt_tokens INT64,
  completion_tokens INT64,
  total_tokens INT64,
  cached_tokens INT64,
  reasoning_tokens INT64,
  cost_usd FLOAT64,
  latency_ms INT64,
  time_to_first_token_ms INT64,
  finish_reason STRING,
  outcome STRING,
  status_code INT64,
  user_id STRING,
  call_id STRING,
  reply_to STRING,
  tool_name STRING,
  error_type STRING,
  event STRING NOT NULL
)
PARTITION BY DATE(timestamp)
CLUSTER BY session_id, provider, model;

-- What comes twice, as shippers may send it, becomes one.
INSERT INTO hilt.events
SELECT
  JSON_VALUE(event, '$.event_id') AS event_id,
  TIMESTAMP(JSON_VALUE(event, '$.timestamp')) AS timestamp,
  JSON_VALUE(event, '$.session_id') AS session_id,
  JSON_VALUE(event, '$.actor.type') AS actor_type,
  JSON_VALUE(event, '$.actor.id') AS actor_id,
  JSON_VALUE(event, '$.action') AS action,
  JSON_VALUE(event, '$.content.text') AS text,
  JSON_VALUE(event, '$.provenance.provider') AS provider,
  JSON_VALUE(event, '$.provenance.model') AS model,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.tokens.prompt') AS INT64) AS prompt_tokens,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.tokens.completion') AS INT64) AS completion_tokens,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.tokens.total') AS INT64) AS total_tokens,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.tokens.cached') AS INT64) AS cached_tokens,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.tokens.reasoning') AS INT64) AS reasoning_tokens,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.cost_usd') AS FLOAT64) AS cost_usd,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.latency_ms') AS INT64) AS latency_ms,
  SAFE_CAST(JSON_VALUE(event, '$.metrics.time_to_first_token_ms') AS INT64) AS time_to_first_token_ms,
  JSON_VALUE(event, '$.extensions.finish_reason') AS finish_reason,
  JSON_VALUE(event, '$.extensions.outcome') AS outcome,
  SAFE_CAST(JSON_VALUE(event, '$.extensions.status_code') AS INT64) AS status_code,
  JSON_VALUE(event, '$.extensions.user_id') AS user_id,
  JSON_VALUE(event, '$.provenance.call_id') AS call_id,
  JSON_VALUE(event, '$.extensions.reply_to') AS reply_to,
  JSON_VALUE(event, '$.extensions.tool.name') AS tool_name,
  JSON_VALUE(event, '$.extensions.error.type') AS error_type,
  event
FROM hilt.lines
WHERE JSON_VALUE(event, '$.event_id') IS NOT NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY JSON_VALUE(event, '$.event_id')) = 1;
