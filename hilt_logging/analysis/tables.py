"""
The flat columns of an event: one definition for SQL on every engine, Parquet and SQLite.

A field of another type than the format says is converted where that is possible, and null where it is
not: it does not cost the event.
"""

from __future__ import annotations

import datetime
import math
import re

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from ..errors import InvalidEventError
from ..events import encode, read_time
from ..schema import ACTIONS, ACTOR_TYPES, HILT_VERSION, READABLE_TIME


__all__ = [
    "COLUMNS",
    "EVENTS",
    "IS_EVENT",
    "IS_NOTICE",
    "IS_NOTICE_IN_LINE",
    "NAMES",
    "STRUCTURE",
    "Column",
    "conversations",
    "in_calendar",
    "is_event",
    "row",
    "select",
    "structure_of",
]

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_is_whole = re.compile(r"-?\d{1,19}", re.ASCII).fullmatch  # more digits are out of range


class Column(NamedTuple):
    """
    A column of the table `events`.

    Attributes:
        name: Its name.
        type: `VARCHAR`, `BIGINT`, `DOUBLE` or `TIMESTAMP`, in DuckDB's words.
        sql: Its value as an expression of DuckDB over the fields in `STRUCTURE`, and over `event`, the
            line.
        get: The same of an event as a dict.
        meaning: What it is.
    """

    name: str
    type: str
    sql: str
    get: Callable[[dict[str, Any]], Any]
    meaning: str


STRUCTURE: dict[str, Any] = {
    "hilt_version": "VARCHAR",
    "event_id": "VARCHAR",
    "timestamp": "VARCHAR",
    "session_id": "VARCHAR",
    "actor": {"type": "VARCHAR", "id": "VARCHAR"},
    "action": "VARCHAR",
    "content": {"text": "VARCHAR"},
    "provenance": {
        "provider": "VARCHAR",
        "model": "VARCHAR",
        "request_model": "VARCHAR",
        "call_id": "VARCHAR",
        "response_id": "VARCHAR",
    },
    "metrics": {
        "latency_ms": "BIGINT",
        "time_to_first_token_ms": "BIGINT",
        "tokens": "MAP(VARCHAR, BIGINT)",
        "cost_usd": "VARCHAR",  # hilt-python's are texts, some with a comma
    },
    "extensions": {
        "user_id": "VARCHAR",
        "reply_to": "VARCHAR",
        "status_code": "BIGINT",
        "finish_reason": "VARCHAR",
        "outcome": "VARCHAR",
        "tool": {"name": "VARCHAR"},
        "error": {"type": "VARCHAR"},
        "notice": "VARCHAR",
        "session_source": "VARCHAR",
    },
}
"""The fields that the columns are made of, with the types in which they are read."""

_MAP = STRUCTURE["metrics"]["tokens"]
_TIME = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d"
_PLACE = re.compile(_TIME, re.ASCII)
_PLAIN = READABLE_TIME.replace("[Tt ]", "T").partition("(?:[Zz]")[0] + "Z?"
_LOCAL = r"replace(regexp_replace(upper(timestamp), '(Z|[+-]\d\d:\d\d)$', ''), 'T', ' ')"
_SIGN, _HOURS, _MINUTES = (
    f"substr(right(timestamp, 6), {each})" for each in ("1, 1", "2, 2", "5, 2")
)
_OFFSET = (
    f"CASE WHEN {_SIGN} IN ('+', '-') THEN CAST(concat({_SIGN}, {_HOURS}) AS INTEGER) * 60 "
    f"+ CAST(concat({_SIGN}, {_MINUTES}) AS INTEGER) ELSE 0 END"
)
_FIRST, _LAST = (
    f"CAST('{each}' AS TIMESTAMP)" for each in ("0001-01-01", "9999-12-31 23:59:59.999999")
)


def in_calendar(time: str) -> str:
    """Return an expression of DuckDB that is null where a time is not of the years 1 to 9999."""
    return f"CASE WHEN {time} BETWEEN {_FIRST} AND {_LAST} THEN {time} END"


_IN_UTC = in_calendar(f"(try_cast({_LOCAL} AS TIMESTAMP) - ({_OFFSET}) * INTERVAL 1 MINUTE)")
# null for a second of 60, which is a time that the format allows, and for a 30th of February
_UTC = (
    f"CASE WHEN timestamp LIKE '0000%' THEN NULL "
    rf"WHEN regexp_matches(timestamp, '^{_PLAIN}\z') THEN try_cast(timestamp AS TIMESTAMP) "
    rf"WHEN regexp_matches(timestamp, '^{READABLE_TIME}\z') THEN {_IN_UTC} END"
)


def _one_of(field: str, values: Iterable[str]) -> str:
    """With IN, DuckDB would join the lines with the list, and lose their order."""
    cases = " ".join(f"WHEN '{value}' THEN true" for value in values)
    return f"CASE {field} {cases} ELSE false END"


IS_EVENT = (
    f"coalesce(hilt_version, '{HILT_VERSION}') = '{HILT_VERSION}' "
    "AND event_id <> '' AND session_id <> '' AND actor.id <> '' "
    f"AND {_one_of('actor.type', ACTOR_TYPES)} AND {_one_of('action', ACTIONS)} "
    f"AND regexp_matches(timestamp, '^{_TIME}')"
)
"""Whether a line is an event, as an expression of DuckDB over `STRUCTURE`."""


def is_event(event: object) -> bool:
    """Return whether a value has what every event must have."""
    if type(event) is not dict:
        return False
    if event.get("hilt_version") not in (None, HILT_VERSION):
        return False
    actor = event.get("actor")
    names = (event.get("event_id"), event.get("session_id"), _in_object(actor, "id"))
    when = event.get("timestamp")
    return (
        all(name is not None and _text(name) for name in names)
        and _in_object(actor, "type") in ACTOR_TYPES
        and event.get("action") in ACTIONS
        and type(when) is str
        and _PLACE.match(when) is not None
    )


def _in_object(value: Any, name: str) -> Any:
    return value.get(name) if type(value) is dict else None


def _text(value: Any) -> str:
    return value if type(value) is str else msgspec.json.encode(value).decode()


def _whole(value: Any) -> int | None:
    if type(value) is str:
        value = int(value) if _is_whole(value) else _float(value)
    if type(value) is float:
        value = round(value) if math.isfinite(value) else None
    return int(value) if type(value) in (int, bool) and _LOWEST <= value <= _HIGHEST else None


def _number(value: Any) -> float | None:
    if type(value) is str:
        value = _float(value.replace(",", "."))
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _when(value: Any) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(read_time(value)[:-1])
    except InvalidEventError:
        return None


def _column(
    name: str, kind: str, meaning: str, path: str | None = None, sql: str | None = None
) -> Column:
    """A column that is one field."""
    places = (path or name).split(".")
    convert = _CONVERT[kind]

    def get(event: dict[str, Any]) -> Any:
        value: Any = event
        for place in places:
            if type(value) is not dict:
                return None
            value = value.get(place)
        return None if value is None else convert(value)

    return Column(name, kind, sql or ".".join(places), get, meaning)


def _tokens(part: str, meaning: str) -> Column:
    path = f"metrics.tokens.{part}"
    return _column(f"{part}_tokens", "BIGINT", meaning, path, f"metrics.tokens['{part}']")


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _whole,
    "DOUBLE": _number,
    "TIMESTAMP": _when,
}
_COST = "try_cast(replace(metrics.cost_usd, ',', '.') AS DOUBLE)"

COLUMNS: tuple[Column, ...] = (
    _column("event_id", "VARCHAR", "the event"),
    _column("timestamp", "TIMESTAMP", "when, in UTC", sql=_UTC),
    _column("session_id", "VARCHAR", "the conversation"),
    _column("actor_type", "VARCHAR", "human, agent, tool or system", "actor.type"),
    _column("actor_id", "VARCHAR", "who acted", "actor.id"),
    _column("action", "VARCHAR", "prompt, completion, tool_call, ..."),
    _column("text", "VARCHAR", "what was said", "content.text"),
    _column("provider", "VARCHAR", "whose model", "provenance.provider"),
    _column("model", "VARCHAR", "the model that served", "provenance.model"),
    _tokens("prompt", "tokens of the prompt, cached ones included"),
    _tokens("completion", "tokens of the answer, reasoning included"),
    _tokens("total", "both"),
    _tokens("cached", "of the prompt's tokens those from a cache"),
    _tokens("reasoning", "of the answer's tokens those of reasoning"),
    _column(
        "cost_usd",
        "DOUBLE",
        "US dollars",
        "metrics.cost_usd",
        f"CASE WHEN abs({_COST}) <= 1.7976931348623157e308 THEN {_COST} END",  # no NaN: sums live
    ),
    _column("latency_ms", "BIGINT", "until the answer's end", "metrics.latency_ms"),
    _column(
        "time_to_first_token_ms",
        "BIGINT",
        "until the first piece of a stream",
        "metrics.time_to_first_token_ms",
    ),
    _column("finish_reason", "VARCHAR", "the provider's own word", "extensions.finish_reason"),
    _column("outcome", "VARCHAR", "completed, failed, retried, ...", "extensions.outcome"),
    _column("status_code", "BIGINT", "of HTTP", "extensions.status_code"),
    _column("user_id", "VARCHAR", "whom it is done for", "extensions.user_id"),
    _column("call_id", "VARCHAR", "what prompt and answer share", "provenance.call_id"),
    _column("reply_to", "VARCHAR", "the event that this one answers", "extensions.reply_to"),
    _column("tool_name", "VARCHAR", "the tool", "extensions.tool.name"),
    _column("error_type", "VARCHAR", "the kind of error", "extensions.error.type"),
    Column("event", "VARCHAR", "event", lambda event: encode(event).decode(), "the whole, as JSON"),
)
"""The columns of `events`, in their order."""

NAMES = tuple(column.name for column in COLUMNS)


def row(event: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of the columns for an event."""
    return tuple(column.get(event) for column in COLUMNS)


def structure_of(
    columns: Iterable[str] | None = None, others: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """
    Return the part of `STRUCTURE` that some columns, and the question whether it is an event, need.

    Args:
        columns: Their names; all by default.
        others: More columns, as in `select`.
    """
    if columns is None:
        columns = NAMES
    chosen = set(columns)
    wanted = [each.sql for each in COLUMNS if each.name in chosen]
    return _part(STRUCTURE, "", " ".join([IS_EVENT, *wanted, *(others or {}).values()]))


def _part(structure: Mapping[str, Any], place: str, needed: str) -> dict[str, Any]:
    """The part of a structure whose fields stand in an expression."""
    found: dict[str, Any] = {}
    for name, kind in structure.items():
        path = place + name
        if isinstance(kind, dict):
            found[name] = _part(kind, f"{path}.", needed)
        elif re.search(rf"(?<![\w.'\[]){re.escape(path)}\b", needed):
            found[name] = _tokens_in(path, needed) if kind == _MAP else kind
    return {name: kind for name, kind in found.items() if kind}


def _tokens_in(path: str, needed: str) -> Any:
    """The type of a map: of a struct, which is read sooner, where only some keys of it are needed."""
    if re.search(rf"{re.escape(path)}(?!\[)", needed):
        return _MAP
    return dict.fromkeys(re.findall(rf"{re.escape(path)}\['(\w+)'\]", needed), "BIGINT")


def select(
    source: str,
    columns: Iterable[str] | None = None,
    *,
    others: Mapping[str, str] | None = None,
    where: str | None = IS_EVENT,
) -> str:
    """
    Return the query that makes flat columns of a relation with the fields of `STRUCTURE`.

    Args:
        source: The relation: a table, or a query in parentheses.
        columns: The names of the wanted columns; all by default.
        others: More columns, by name, as expressions of DuckDB.
        where: Which lines; by default those that are events.
    """
    chosen = set(NAMES if columns is None else columns)
    wanted = {each.name: each.sql for each in COLUMNS if each.name in chosen} | dict(others or {})
    values = ", ".join(f"{sql} AS {name}" for name, sql in wanted.items())
    condition = f" WHERE {where}" if where else ""
    return f"SELECT {values} FROM {source}{condition}"  # noqa: S608 -- our own words


EVENTS = "events"
IS_NOTICE = "action = 'system' AND extensions.notice IS NOT NULL"
"""Whether an event is what a handler says of itself, as an expression of DuckDB over `STRUCTURE`."""

IS_NOTICE_IN_LINE = (
    "action = 'system' AND json_extract_string(event, '$.extensions.notice') IS NOT NULL"
)
"""The same over the columns."""

_IS_CALL = "action IN ('completion', 'system') AND outcome"


def _sum_of(column: str) -> str:
    """Null where it is too large: a question fails on no value."""
    return f"try_cast(sum(CAST({column} AS DECIMAL(38, 0))) AS BIGINT)"


def conversations(
    source: str = EVENTS,
    is_notice: str = IS_NOTICE_IN_LINE,
    *,
    sum_of: Callable[[str], str] = _sum_of,
) -> str:
    """
    Return the query of the conversations: a row for each, without notices.

    Args:
        source: A relation with the columns of events.
        is_notice: An expression over them.
        sum_of: Gives the expression of the sum of a column, for an engine that has other words for it.
    """
    return f"""
SELECT
  session_id,
  max(user_id) AS user_id,
  min(timestamp) AS started,
  max(timestamp) AS ended,
  count(*) AS events,
  {_number_of("action = 'prompt'")} AS prompts,
  {_number_of("action = 'completion'")} AS completions,
  {_number_of("action = 'tool_call'")} AS tool_calls,
  {_number_of(f"{_IS_CALL} = 'failed'")} AS failed,
  {_number_of(f"{_IS_CALL} = 'retried'")} AS retried,
  {sum_of("prompt_tokens")} AS prompt_tokens,
  {sum_of("completion_tokens")} AS completion_tokens,
  {sum_of("total_tokens")} AS total_tokens,
  sum(cost_usd) AS cost_usd,
  group_concat(DISTINCT provider) AS providers,
  group_concat(DISTINCT model) AS models
FROM {source}
WHERE NOT ({is_notice})
GROUP BY session_id
"""  # noqa: S608 -- our own words


def _number_of(condition: str) -> str:
    return f"CAST(sum(CASE WHEN {condition} THEN 1 ELSE 0 END) AS BIGINT)"
