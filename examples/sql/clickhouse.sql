-- Events in ClickHouse: the columns of `hilt-log schema --columns`.

-- What comes twice, as shippers may send it, becomes one in the background, and at once with
-- SELECT ... FROM events FINAL.
CREATE TABLE events
(
    event_id String,
    timestamp DateTime64(6, 'UTC'),
    session_id String,
    actor_type LowCardinality(String),
    actor_id String,
    action LowCardinality(String),
    text Nullable(String),
    provider LowCardinality(Nullable(String)),
    model LowCardinality(Nullable(String)),
    prompt_tokens Nullable(Int64),
    completion_tokens Nullable(Int64),
    total_tokens Nullable(Int64),
    cached_tokens Nullable(Int64),
    reasoning_tokens Nullable(Int64),
    cost_usd Nullable(Float64),
    latency_ms Nullable(Int64),
    time_to_first_token_ms Nullable(Int64),
    finish_reason LowCardinality(Nullable(String)),
    outcome LowCardinality(Nullable(String)),
    status_code Nullable(Int64),
    user_id Nullable(String),
    call_id Nullable(String),
    reply_to Nullable(String),
    tool_name LowCardinality(Nullable(String)),
    error_type LowCardinality(Nullable(String)),
    event String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (session_id, timestamp, event_id);

-- Lines as they are in the files: INSERT INTO lines SELECT * FROM file('app.jsonl', LineAsString, 'event String')
-- For Kafka: ENGINE = Kafka SETTINGS kafka_broker_list = 'kafka.example:9092', kafka_topic_list = 'hilt',
-- kafka_group_name = 'clickhouse', kafka_format = 'LineAsString'
CREATE TABLE lines (event String) ENGINE = Null;

CREATE MATERIALIZED VIEW events_of_lines TO events AS
SELECT
    JSONExtractString(event, 'event_id') AS event_id,
    parseDateTime64BestEffort(JSONExtractString(event, 'timestamp'), 6, 'UTC') AS timestamp,
    JSONExtractString(event, 'session_id') AS session_id,
    JSONExtractString(event, 'actor', 'type') AS actor_type,
    JSONExtractString(event, 'actor', 'id') AS actor_id,
    JSONExtractString(event, 'action') AS action,
    JSONExtract(event, 'content', 'text', 'Nullable(String)') AS text,
    JSONExtract(event, 'provenance', 'provider', 'Nullable(String)') AS provider,
    JSONExtract(event, 'provenance', 'model', 'Nullable(String)') AS model,
    JSONExtract(event, 'metrics', 'tokens', 'prompt', 'Nullable(Int64)') AS prompt_tokens,
    JSONExtract(event, 'metrics', 'tokens', 'completion', 'Nullable(Int64)') AS completion_tokens,
    JSONExtract(event, 'metrics', 'tokens', 'total', 'Nullable(Int64)') AS total_tokens,
    JSONExtract(event, 'metrics', 'tokens', 'cached', 'Nullable(Int64)') AS cached_tokens,
    JSONExtract(event, 'metrics', 'tokens', 'reasoning', 'Nullable(Int64)') AS reasoning_tokens,
    JSONExtract(event, 'metrics', 'cost_usd', 'Nullable(Float64)') AS cost_usd,
    JSONExtract(event, 'metrics', 'latency_ms', 'Nullable(Int64)') AS latency_ms,
    JSONExtract(event, 'metrics', 'time_to_first_token_ms', 'Nullable(Int64)') AS time_to_first_token_ms,
    JSONExtract(event, 'extensions', 'finish_reason', 'Nullable(String)') AS finish_reason,
    JSONExtract(event, 'extensions', 'outcome', 'Nullable(String)') AS outcome,
    JSONExtract(event, 'extensions', 'status_code', 'Nullable(Int64)') AS status_code,
    JSONExtract(event, 'extensions', 'user_id', 'Nullable(String)') AS user_id,
    JSONExtract(event, 'provenance', 'call_id', 'Nullable(String)') AS call_id,
    JSONExtract(event, 'extensions', 'reply_to', 'Nullable(String)') AS reply_to,
    JSONExtract(event, 'extensions', 'tool', 'name', 'Nullable(String)') AS tool_name,
    JSONExtract(event, 'extensions', 'error', 'type', 'Nullable(String)') AS error_type,
    event
FROM lines
WHERE JSONExtractString(event, 'event_id') != '';
