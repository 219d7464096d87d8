"""The flat columns are the same in Python and in SQL."""

from __future__ import annotations

import datetime
import re

from pathlib import Path

import pytest

from hilt_logging.analysis import query, tables
from hilt_logging.analysis.tables import COLUMNS, NAMES, is_event, row, structure_of
from hilt_logging.schema import ACTIONS


pytestmark = pytest.mark.once


WHOLE = {
    "hilt_version": "1.0.0",
    "event_id": "e",
    "timestamp": "2026-01-02T03:04:05.678901Z",
    "session_id": "conv-42",
    "actor": {"type": "agent", "id": "assistant"},
    "action": "completion",
    "content": {"text": "Grüße 🙂\n\u2028\"'"},
    "provenance": {"provider": "openai", "model": "gpt-4o", "call_id": "k"},
    "metrics": {
        "latency_ms": 812,
        "time_to_first_token_ms": 90,
        "tokens": {"prompt": 1, "completion": 2, "total": 3, "cached": 4, "reasoning": 5},
        "cost_usd": 0.000042,
    },
    "extensions": {
        "user_id": "alice",
        "reply_to": "p",
        "status_code": 200,
        "finish_reason": "stop",
        "outcome": "completed",
        "tool": {"name": "search"},
        "error": {"type": "timeout"},
    },
}
ODD = {
    "numbers_as_texts": {"metrics": {"latency_ms": "12", "cost_usd": "0,000065"}},
    "fractions": {"metrics": {"latency_ms": 3.7, "tokens": {"prompt": 2.0}, "cost_usd": 3}},
    "large": {"metrics": {"latency_ms": 2**70, "tokens": {"prompt": -1}, "cost_usd": 1e300}},
    "no_numbers": {"metrics": {"latency_ms": "soon", "cost_usd": "much", "tokens": {"prompt": []}}},
    "nan": {"metrics": {"cost_usd": "nan"}},
    "large_text": {
        "metrics": {
            "latency_ms": "9223372036854775807",
            "time_to_first_token_ms": "-9007199254740993",
        }
    },
    "too_large_text": {
        "metrics": {"latency_ms": "9223372036854775808", "time_to_first_token_ms": "9" * 5000}
    },
    "no_objects": {"metrics": [1], "extensions": "x", "content": 5, "provenance": None},
    "no_texts": {
        "content": {"text": 5},
        "provenance": {"model": {"a": [1, "ä"]}, "provider": True},
    },
    "offset": {"timestamp": "2026-01-02T03:04:05+02:00"},
    "no_offset": {"timestamp": "2026-01-02T03:04:05"},
    "leap_second": {"timestamp": "2026-12-31T23:59:60.000000Z"},
    "no_such_day": {"timestamp": "2026-02-31T00:00:00.000000Z"},
    "without_version": {"hilt_version": None},
    "null": {"content": {"text": None}, "extensions": {"tool": None, "error": {}}},
}
NO_EVENTS = {
    "no_id": {"event_id": None},
    "empty_id": {"event_id": ""},
    "empty_session": {"session_id": ""},
    "actor": {"actor": "alice"},
    "actor_type": {"actor": {"type": "robot", "id": "r"}},
    "actor_id": {"actor": {"type": "agent"}},
    "action": {"action": "shout"},
    "lines_in_action": {"action": "prompt\n"},
    "time": {"timestamp": "yesterday"},
    "time_is_number": {"timestamp": 1767323045},
    "version": {"hilt_version": "2.0.0"},
}


def in_sql(path):
    with query(f"SELECT {', '.join(NAMES)} FROM events", path) as answer:
        return list(answer)


@pytest.fixture(autouse=True)
def _duckdb(request):
    if "write" in request.fixturenames:
        pytest.importorskip("duckdb")


def test_names():
    """The columns are what users are told."""
    assert NAMES == (
        *("event_id", "timestamp", "session_id", "actor_type", "actor_id", "action", "text"),
        *("provider", "model", "prompt_tokens", "completion_tokens", "total_tokens"),
        *("cached_tokens", "reasoning_tokens", "cost_usd", "latency_ms", "time_to_first_token_ms"),
        *("finish_reason", "outcome", "status_code", "user_id", "call_id", "reply_to"),
        *("tool_name", "error_type", "event"),
    )


def test_row():
    """An event that has all of it fills every column."""
    values = dict(zip(NAMES, row(WHOLE), strict=True))
    assert not [name for name, value in values.items() if value is None]
    assert datetime.datetime(2026, 1, 2, 3, 4, 5, 678901) == values["timestamp"]
    assert (1, 2, 3, 4, 5) == tuple(values[f"{part}_tokens"] for part in WHOLE["metrics"]["tokens"])
    assert ("search", "timeout", 200) == tuple(
        values[name] for name in ("tool_name", "error_type", "status_code")
    )


def test_event_of_many_columns(write):
    """SQL has the same values as Python."""
    assert [row(WHOLE)] == in_sql(write("a.jsonl", WHOLE))


@pytest.mark.parametrize("name", ODD)
def test_odd_types(write, name):
    """A wrong type in one field does not cost the event, and is the same in SQL and in Python."""
    event = {**WHOLE, **ODD[name]}
    assert is_event(event)
    expected = row(event)
    (found,) = in_sql(write("a.jsonl", event))
    assert dict(zip(NAMES, expected, strict=True)) == dict(zip(NAMES, found, strict=True))


@pytest.mark.parametrize("action", ACTIONS)
def test_actions(write, action):
    """Every action of the format is one here."""
    event = {**WHOLE, "action": action}
    assert is_event(event)
    assert [row(event)] == in_sql(write("a.jsonl", event))


@pytest.mark.parametrize("name", NO_EVENTS)
def test_no_events(write, name):
    """What lacks something that every event must have is none, in SQL and in Python."""
    event = {**WHOLE, **NO_EVENTS[name]}
    assert not is_event(event)
    path = write("a.jsonl", event, WHOLE)
    assert [row(WHOLE)] == in_sql(path)


@pytest.mark.parametrize("value", [None, [], 5, "x", {}])
def test_no_objects(value):
    """What is no object is no event."""
    assert not is_event(value)


def test_structure_of():
    """Only what some columns need is read."""
    every = {"hilt_version", "event_id", "timestamp", "session_id", "actor", "action"}
    assert every == set(structure_of(()))
    assert every | {"metrics"} == set(structure_of(["cost_usd"]))
    assert {"cost_usd": "VARCHAR"} == structure_of(["cost_usd"])["metrics"]
    assert {"tokens": {"cached": "BIGINT"}} == structure_of(["cached_tokens"])["metrics"]
    assert {"tokens": "MAP(VARCHAR, BIGINT)"} == structure_of((), {"t": "metrics.tokens"})[
        "metrics"
    ]
    assert structure_of() == structure_of(NAMES)


def test_documented():
    """docs/sql.md has every column of both views, with what it is."""
    page = Path(__file__).parents[2] / "docs" / "sql.md"
    text = page.read_text("utf-8")
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.type} | {column.meaning} |" in text
    views = re.findall(r" AS (\w+)(?=,?\n)", tables.conversations())
    assert len(views) == 15
    for name in ["session_id", *views]:
        assert f"| `{name}` |" in text
