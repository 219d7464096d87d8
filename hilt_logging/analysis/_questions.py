"""
The statistics in SQL: one definition for every engine, in DuckDB's words, which sqlglot has in others.

What they mean is said in `_figures`. A log becomes the table `lines`, with a row for each line and
what of it counts; all else is asked of `facts`, the rows of it that are events and wanted.
"""

from __future__ import annotations

import re

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError
from ._duckdb import quoted
from ._figures import Question
from .tables import COLUMNS, IS_EVENT, IS_NOTICE, IS_NOTICE_IN_LINE, in_calendar


__all__ = [
    "COUNTED",
    "FACTS",
    "FROM_FIELDS",
    "FROM_STORED",
    "LINES",
    "SPREADS",
    "SUMS",
    "busy",
    "calls",
    "columns_for",
    "counts",
    "facts",
    "figures",
    "lines",
    "names_in",
    "overview",
    "tools",
]

LINES = "log_lines"
FACTS = "log_facts"

_MARKS = ("request_model", "response_id", "session_source")
FROM_FIELDS: Mapping[str, str] = {
    "request_model": "provenance.request_model",
    "response_id": "provenance.response_id",
    "session_source": "extensions.session_source",
    "is_notice": f"coalesce({IS_NOTICE}, false)",
    "is_event": f"coalesce({IS_EVENT}, false)",
}
"""What is needed beside flat columns, as expressions over `tables.STRUCTURE`."""

FROM_STORED: Mapping[str, str] = {
    **{name: f"json_extract_string(event, '$.{FROM_FIELDS[name]}')" for name in _MARKS},
    "is_notice": f"coalesce({IS_NOTICE_IN_LINE}, false)",
    "is_event": "true",
}
"""The same over the flat columns of events that are stored."""

_UNUSED = ("text", "call_id", "event")
_PLACES = {each.sql: each.name for each in COLUMNS if each.type == "VARCHAR"}
_PLACES |= {FROM_FIELDS[name]: name for name in _MARKS}
_SIMPLE = re.compile(r"[\w -]+")

_IS_ANSWER = "(action = 'completion' OR action = 'embedding' OR action = 'rerank')"
_IS_BROKEN = "(outcome = 'failed' OR outcome = 'cancelled' OR outcome = 'retried')"
_IS_TAKEN = "(state = 'completed' OR state = 'refused')"
_IS_SUMMED = "action <> 'completion_chunk'"
_WIDE = "DECIMAL(38, 0)"

_ENDINGS = f"""
SELECT
  *,
  coalesce(user_id, CASE WHEN actor_type = 'human' THEN actor_id END) AS who,
  coalesce(model, request_model) AS served,
  coalesce(
    total_tokens,
    CAST(prompt_tokens AS {_WIDE}) + CAST(completion_tokens AS {_WIDE}),
    prompt_tokens,
    completion_tokens
  ) AS all_tokens,
  CASE
    WHEN {_IS_ANSWER} THEN coalesce(nullif(outcome, ''), 'completed')
    WHEN action <> 'system' OR tool_name IS NOT NULL THEN NULL
    WHEN outcome IS NULL AND status_code IS NOT NULL AND reply_to IS NOT NULL THEN 'failed'
    WHEN {_IS_BROKEN} AND coalesce(provider, model, request_model) IS NOT NULL THEN outcome
  END AS ending
FROM (%s) AS flat
"""  # noqa: S608 -- our own words
_STATES = f"""
SELECT
  *,
  CASE
    WHEN ending IS NULL THEN NULL
    WHEN ending = 'retried' THEN 'retried'
    WHEN action = 'system' AND outcome IS NOT NULL AND response_id IS NOT NULL THEN NULL
    WHEN action <> 'system' AND session_source IS NOT NULL AND ending = 'failed'
      AND response_id IS NULL THEN NULL
    WHEN action = 'completion' AND session_source IS NOT NULL AND outcome IS NULL
      AND all_tokens IS NULL THEN NULL
    WHEN ending = 'refused' OR ending = 'filtered' THEN 'refused'
    WHEN ending = 'closed_early' OR ending = 'abandoned' OR ending = 'cancelled' THEN 'stopped'
    WHEN ending = 'failed' THEN 'failed'
    ELSE 'completed'
  END AS state
FROM ({_ENDINGS}) AS endings
"""  # noqa: S608 -- likewise


def columns_for(question: Question) -> tuple[str, ...]:
    """Return the names of the flat columns that a question needs."""
    needs_line = any(_column(path, values) is None for path, values in question.where.items())
    return tuple(
        each.name
        for each in COLUMNS
        if each.name not in _UNUSED or (each.name == "event" and needs_line)
    )


def lines(source: str, question: Question, passed: Iterable[str] = ()) -> str:
    """
    Return the query that makes the rows of `LINES`.

    Args:
        source: A query of the columns of `columns_for` and `FROM_FIELDS`.
        question: What is asked.
        passed: Columns of the source that are passed on.

    Raises:
        ConfigurationError: for values that can't be compared in SQL.
    """
    others = "".join(f"{name}, " for name in passed)
    return f"""
SELECT
  {others}is_event, is_notice,
  is_event AND coalesce({_is_wanted(question)}, false) AS is_wanted,
  CASE WHEN state <> 'retried' THEN event_id END AS event_id,
  timestamp, session_id, action, actor_type, actor_id, who, provider, served AS model,
  tool_name AS tool, finish_reason, error_type, state,
  CASE WHEN state IS NOT NULL THEN ending END AS outcome,
  CASE WHEN {_IS_SUMMED} THEN prompt_tokens END AS prompt,
  CASE WHEN {_IS_SUMMED} THEN completion_tokens END AS completion,
  CASE WHEN {_IS_SUMMED} THEN all_tokens END AS total,
  CASE WHEN {_IS_SUMMED} THEN cached_tokens END AS cached,
  CASE WHEN {_IS_SUMMED} THEN reasoning_tokens END AS reasoning,
  CASE WHEN {_IS_SUMMED} THEN cost_usd END AS cost,
  CASE WHEN {_IS_TAKEN} THEN latency_ms END AS latency,
  CASE WHEN {_IS_TAKEN} THEN time_to_first_token_ms END AS first_token,
  CASE WHEN action = 'tool_result' AND coalesce(outcome, '') <> 'failed' THEN latency_ms END
    AS tool_latency,
  CASE WHEN state <> 'retried' THEN latency_ms END AS took,
  coalesce(
    (action = 'tool_result' OR (action = 'system' AND tool_name IS NOT NULL))
      AND outcome = 'failed',
    false
  ) AS is_tool_failure
FROM ({_STATES % source}) AS states
"""  # noqa: S608 -- our own words, and values that are quoted


def facts() -> str:
    """Return the query of the rows of `LINES` that are events, no notices, and wanted."""
    return f"SELECT * FROM {LINES} WHERE is_wanted AND NOT is_notice"  # noqa: S608


def _is_wanted(question: Question) -> str:
    conditions = ["true"]
    if question.since is not None:
        conditions.append(f"timestamp >= {_time(question.since)}")
    if question.until is not None:
        conditions.append(f"timestamp < {_time(question.until)}")
    if question.models:
        names = ("model", "request_model")
        models = map(quoted, question.models)
        conditions.append(_any(f"{name} = {each}" for each in models for name in names))
    if question.users:
        conditions.append(_any(f"who = {each}" for each in map(quoted, question.users)))
    for path, values in question.where.items():
        column = _column(path, values)
        has = _in_line(path) if column is None else _in_column(column)
        conditions.append(_any(map(has, values)))
    return " AND ".join(conditions)


def _time(when: str) -> str:
    return f"CAST({quoted(when.removesuffix('Z').replace('T', ' '))} AS TIMESTAMP)"


def _any(conditions: Iterable[str]) -> str:
    return f"coalesce({' OR '.join(conditions) or 'false'}, false)"


def _column(path: str, values: Sequence[Any]) -> str | None:
    """The column in which a field stands as the text that it is, if all values are such."""
    column = _PLACES.get(path)
    is_text = all(value is None or type(value) is str for value in values)
    return column if is_text and column not in _UNUSED else None


def _in_column(column: str) -> Callable[[Any], str]:
    return lambda value: f"{column} IS NULL" if value is None else f"{column} = {quoted(value)}"


def _in_line(path: str) -> Callable[[Any], str]:
    names = path.split(".")
    if not all(map(_SIMPLE.fullmatch, names)):
        allowed = "This engine knows names of letters, digits, _ and -"
        raise ConfigurationError("where", path, allowed)
    place = quoted("$" + "".join(f'."{name}"' for name in names))
    kind, text = f"json_type(event, {place})", f"json_extract_string(event, {place})"

    def has(value: Any) -> str:
        if value is None:
            return f"coalesce({kind}, 'NULL') = 'NULL'"
        if type(value) is str:
            return f"({kind} = 'VARCHAR' AND {text} = {quoted(value)})"
        if type(value) is bool:
            return f"({kind} = 'BOOLEAN' AND {text} = '{str(value).lower()}')"
        if type(value) in (int, float):
            is_number = _any(f"{kind} = '{each}'" for each in ("UBIGINT", "BIGINT", "DOUBLE"))
            return f"({is_number} AND try_cast({text} AS DOUBLE) = {float(value)!r})"
        allowed = "This engine compares texts, numbers, true, false and null"
        raise ConfigurationError("where", value, allowed)

    return has


SUMS: Mapping[str, str] = {
    "events": "count(*)",
    "sessions": "count(DISTINCT session_id)",
    "users": "count(DISTINCT who)",
    "prompts": "count(*) FILTER (WHERE action = 'prompt')",
    "calls": "count(*) FILTER (WHERE state <> 'retried')",
    **{
        state: f"count(*) FILTER (WHERE state = '{state}')"
        for state in ("completed", "refused", "stopped", "failed", "retried")
    },
    "tool_calls": "count(*) FILTER (WHERE action = 'tool_call')",
    "tool_failures": "count(*) FILTER (WHERE is_tool_failure)",
    "unpriced": (
        "count(*) FILTER (WHERE state <> 'retried' AND total IS NOT NULL AND cost IS NULL)"
    ),
    **{
        part: f"sum(CAST({part} AS {_WIDE}))"
        for part in ("prompt", "completion", "total", "cached", "reasoning")
    },
    "cached_of_prompts": f"sum(CAST(cached AS {_WIDE})) FILTER (WHERE prompt IS NOT NULL)",
    "cost_usd": "sum(cost)",
}
"""What is counted and summed up of events."""

SPREADS: Mapping[str, str] = {
    "latency_ms": "latency",
    "time_to_first_token_ms": "first_token",
    "tool_latency_ms": "tool_latency",
}
"""What is spread, and the column of it."""

COUNTED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "actions": (("action",), "events"),
    "actors": (("actor_type", "actor_id"), "events"),
    "providers": (("provider",), "calls"),
    "models": (("model",), "calls"),
    "outcomes": (("outcome",), "events"),
    "finish_reasons": (("finish_reason",), "calls"),
    "error_types": (("error_type",), "events"),
}
"""Of each of `Counts` the columns that it is counted by, and what is counted."""

_PERIODS = ("hour", "day", "week", "month")
_KEYS = {"user": "who", "session": "session_id"}


def _spread(column: str) -> str:
    return (
        f"count({column}), avg({column}), min({column}), max({column}), "
        f"quantile_cont({column}, [0.5, 0.9, 0.95, 0.99])"
    )


def names_in(groupings: Iterable[tuple[str, ...]]) -> list[str]:
    """Return all names in groupings, each once."""
    return list(dict.fromkeys(name for names in groupings for name in names))


def figures(
    groupings: Sequence[tuple[str, ...]], tz: str, spans: Sequence[tuple[str, str, str]] = ()
) -> str:
    """
    Return the query of the figures of groups.

    Args:
        groupings: By what; () is all events. Each has other names.
        tz: The time zone of periods.
        spans: As in `Question`.

    Returns:
        Rows of each of `names_in` whether the group is not made by it, and the key (a text; of a period
        when it begins); the values of `SUMS`; and of each of `SPREADS` how many, the mean, the least,
        the most and percentiles.
    """
    names = names_in(groupings)
    keys = "".join(f", {_key(name, tz, spans)} AS key_{name}" for name in names)
    return _grouped(
        [f"key_{name}" for name in names],
        [*SUMS.values(), *map(_spread, SPREADS.values())],
        f"(SELECT *{keys} FROM {FACTS}) AS keyed",  # noqa: S608 -- our own words
        [tuple(f"key_{name}" for name in each) for each in groupings],
    )


def _key(name: str, tz: str, spans: Sequence[tuple[str, str, str]]) -> str:
    if name == "span":
        cases = "".join(
            f" WHEN timestamp >= {_time(since)} AND timestamp < {_time(until)} THEN {quoted(each)}"
            for each, since, until in spans
        )
        return f"CASE{cases} END" if cases else "CAST(NULL AS VARCHAR)"
    if name not in _PERIODS:
        return _KEYS.get(name, name)
    local = "timestamp"
    if tz != "UTC":
        local = in_calendar(f"(timestamp AT TIME ZONE 'UTC' AT TIME ZONE {quoted(tz)})")
    return f"CAST(CAST(date_trunc('{name}', {local}) AS TIMESTAMP) AS VARCHAR)"


def _grouped(
    keys: Iterable[str], values: Iterable[str], source: str, sets: Iterable[tuple[str, ...]]
) -> str:
    chosen = "".join(f"grouping({key}), {key}, " for key in keys)
    query = f"SELECT {chosen}{', '.join(values)} FROM {source}"  # noqa: S608
    wanted = list(sets)
    if wanted == [()]:  # an engine answers this sooner without groups
        return query
    by = ", ".join(f"({', '.join(each)})" for each in wanted)
    return f"{query} GROUP BY GROUPING SETS ({by})"


def counts() -> str:
    """
    Return the query of `Counts`.

    Returns:
        Rows of each of the columns in `COUNTED` whether it is not counted by, and the key; how many
        events, and how many calls.
    """
    sets = [columns for columns, _ in COUNTED.values()]
    names = names_in(sets)
    columns = ", ".join(names)
    together = (  # few rows, which are then grouped by each
        f"(SELECT {columns}, count(*) AS events, "  # noqa: S608
        "count(*) FILTER (WHERE state <> 'retried') AS calls "
        f"FROM {FACTS} GROUP BY {columns}) AS together"
    )
    return _grouped(names, ["sum(events)", "sum(calls)"], together, sets)


def tools() -> str:
    """Return the query of `Stats.tools`: rows of a name, calls, failures, and as in `SPREADS`."""
    return (
        f"SELECT tool, {SUMS['tool_calls']}, {SUMS['tool_failures']}, {_spread('tool_latency')} "  # noqa: S608
        f"FROM {FACTS} WHERE tool IS NOT NULL "
        "AND (action = 'tool_call' OR action = 'tool_result' OR is_tool_failure) GROUP BY tool"
    )


def _together(queries: Iterable[str]) -> str:
    return " UNION ALL ".join(f"({query})" for query in queries)


def busy(most: int) -> str:
    """Return the query of `Top.users` and `Top.sessions`: rows of its field and those of `Busy`."""
    return _together(
        f"SELECT '{name}' AS field, {key} AS id, count(*) AS events, "  # noqa: S608
        "count(*) FILTER (WHERE state <> 'retried') AS calls, "
        f"sum(CAST(total AS {_WIDE})) AS tokens, sum(cost) AS cost_usd, "
        f"min(timestamp) AS first, max(timestamp) AS last FROM {FACTS} WHERE {key} IS NOT NULL "
        f"GROUP BY {key} ORDER BY calls DESC, events DESC, id LIMIT {most}"
        for name, key in (("users", "who"), ("sessions", "session_id"))
    )


def calls(most: int) -> str:
    """Return the query of `Top.slowest` and `Top.dearest`: rows of its field and those of `Call`."""
    return _together(
        f"SELECT '{name}' AS field, event_id, timestamp, session_id, who, provider, model, took, "  # noqa: S608
        f"cost, total, outcome FROM {FACTS} WHERE state <> 'retried' AND {condition} "
        f"ORDER BY {value} DESC, timestamp, event_id LIMIT {most}"
        for name, value, condition in (
            ("slowest", "took", "took IS NOT NULL"),
            ("dearest", "cost", "cost > 0"),
        )
    )


def overview() -> str:
    """Return the query of how many notices and lines that are no events there are, and of the times."""
    return (
        "SELECT count(*) FILTER (WHERE is_wanted AND is_notice), "  # noqa: S608
        "count(*) FILTER (WHERE NOT is_event), "
        "min(timestamp) FILTER (WHERE is_wanted AND NOT is_notice), "
        f"max(timestamp) FILTER (WHERE is_wanted AND NOT is_notice) FROM {LINES}"
    )
