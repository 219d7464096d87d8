"""Statistics: what counts as what, by whom it is counted, and from which files."""

from __future__ import annotations

import datetime
import gzip
import itertools
import json
import math
import os
import random
import statistics

import msgspec
import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hilt_logging

from hilt_logging import HILTFileHandler, bind, tool, turn
from hilt_logging.analysis import convert, stats
from hilt_logging.analysis.stats import GROUPINGS, tallied
from hilt_logging.errors import ConfigurationError, MissingDependencyError, ReadError
from hilt_logging.events import encode


try:
    import duckdb
except ImportError:  # the same counts, without the other engine and the questions in SQL
    duckdb = None

needs_duckdb = pytest.mark.skipif(duckdb is None, reason="needs the extra analytics")
ENGINES = ["python", pytest.param("duckdb", marks=[needs_duckdb, pytest.mark.once])]
TOKENS = {"prompt": 100, "completion": 20, "total": 120}


@pytest.fixture(params=ENGINES)
def engine(request):
    """What counts."""
    return request.param


@pytest.fixture
def made(write, an_event):
    """Writes a log of events, of which the fields that matter are given."""
    numbers = itertools.count(1)

    def event(action="prompt", *, at="2026-01-02T03:04:05.000000Z", **fields):
        number = next(numbers)
        kind = {"prompt": "human", "tool_result": "tool", "system": "system"}.get(action, "agent")
        given = {"timestamp": at, "event_id": f"e{number}", "actor": {"type": kind, "id": "who"}}
        return an_event(**{**given, "action": action, **fields})

    def made(*events, name="app.jsonl"):
        return write(name, *(each if type(each) is bytes else event(**each) for each in events))

    return made


def completion(tokens=TOKENS, cost=0.5, latency=800, **fields):
    """The fields of an answer."""
    metrics = {"tokens": tokens, "cost_usd": cost, "latency_ms": latency}
    known = {
        "action": "completion",
        "metrics": {name: value for name, value in metrics.items() if value is not None},
        "provenance": {"provider": "openai", "model": "gpt-4o"},
        "extensions": {"outcome": "completed"},
    }
    return {**known, **fields}


def failure(outcome="failed", **fields):
    """The fields of a failure, as `instrument` writes it."""
    known = {
        "action": "system",
        "provenance": {"provider": "openai", "request_model": "gpt-4o", "call_id": "k"},
        "extensions": {"outcome": outcome, "session_source": "new", "error": {"type": "Timeout"}},
        "metrics": {"latency_ms": 60_000},
    }
    return {**known, **fields}


def counted(found):
    """Figures as a dict, without what is 0, None or empty."""
    plain = msgspec.to_builtins(found)
    return {name: value for name, value in plain.items() if value and name not in SPREADS}


SPREADS = ("latency_ms", "time_to_first_token_ms", "tool_latency_ms", "tokens")
ONE = {"events": 1, "sessions": 1}
OURS = {"session_source": "new"}

CASES = {
    "a prompt": ([{"action": "prompt"}], {**ONE, "users": 1, "prompts": 1}),
    "an answer": (
        [completion()],
        {**ONE, "calls": 1, "completed": 1, "cost_usd": 0.5},
    ),
    "a truncated answer is one": (
        [completion(extensions={"outcome": "truncated"}, cost=None)],
        {**ONE, "calls": 1, "completed": 1, "unpriced": 1},
    ),
    "an answer without an outcome, as of hilt-python": (
        [completion(extensions={})],
        {**ONE, "calls": 1, "completed": 1, "cost_usd": 0.5},
    ),
    "an embedding": (
        [completion(action="embedding", tokens={"prompt": 7}, cost=None)],
        {**ONE, "calls": 1, "completed": 1, "unpriced": 1},
    ),
    "a search is no call": ([{"action": "retrieval", "metrics": {"latency_ms": 3}}], ONE),
    "a refusal": (
        [
            completion(extensions={"outcome": "refused"}),
            completion(extensions={"outcome": "filtered"}),
        ],
        {"events": 2, "sessions": 1, "calls": 2, "refused": 2, "cost_usd": 1.0},
    ),
    "what the caller ended": (
        [
            completion(extensions={"outcome": outcome}, cost=None, tokens=None)
            for outcome in ("closed_early", "abandoned", "cancelled")
        ]
        + [failure("cancelled")],
        {"events": 4, "sessions": 1, "calls": 4, "stopped": 4},
    ),
    "a failure": ([failure()], {**ONE, "calls": 1, "failed": 1}),
    "attempts that were made again are no calls": (
        [failure("retried"), failure("retried"), completion(cost=None, tokens=None)],
        {"events": 3, "sessions": 1, "calls": 1, "completed": 1, "retried": 2},
    ),
    "a stream that broke is one call, by its failure": (
        [
            completion(extensions={"outcome": "failed", **OURS}, cost=None, tokens=None),
            failure(),
        ],
        {"events": 2, "sessions": 1, "calls": 1, "failed": 1},
    ),
    "a stream that broke is one call, by what came of it": (
        [
            completion(
                extensions={"outcome": "failed", **OURS},
                provenance={"provider": "openai", "response_id": "r"},
            ),
            failure(provenance={"provider": "openai", "response_id": "r"}),
        ],
        {"events": 2, "sessions": 1, "calls": 1, "failed": 1, "cost_usd": 0.5},
    ),
    "an answer that the SDK refused was given": (
        [
            completion(
                extensions={"outcome": "completed", **OURS},
                provenance={"provider": "openai", "response_id": "r"},
            ),
            failure(provenance={"provider": "openai", "response_id": "r"}),
        ],
        {"events": 2, "sessions": 1, "calls": 1, "completed": 1, "cost_usd": 0.5},
    ),
    "an answer that failed, of another writer": (
        [completion(extensions={"outcome": "failed"}, cost=None, tokens=None)],
        {**ONE, "calls": 1, "failed": 1},
    ),
    "an answer that is still to come": (
        [completion(extensions=OURS, cost=None, tokens=None)],
        ONE,
    ),
    "an answer that was still to come": (
        [completion(extensions=OURS)],
        {**ONE, "calls": 1, "completed": 1, "cost_usd": 0.5},
    ),
    "a failure as hilt-python writes it": (
        [{"action": "system", "extensions": {"reply_to": "p", "status_code": 500}}],
        {**ONE, "calls": 1, "failed": 1},
    ),
    "a chain that failed is no call": (
        [failure(provenance={"run_id": "r"}), failure("retried", provenance={})],
        {"events": 2, "sessions": 1},
    ),
    "an event that was none is no call": (
        [failure(provenance={}, extensions={"outcome": "failed", "invalid_event": {}})],
        ONE,
    ),
    "tools": (
        [
            {"action": "tool_call", "extensions": {"tool": {"name": "weather"}}},
            {"action": "tool_call", "extensions": {"tool": {"name": "weather"}}},
            {"action": "tool_result", "extensions": {"tool": {"name": "weather"}}},
            {
                "action": "tool_result",
                "extensions": {"tool": {"name": "weather"}, "outcome": "failed"},
            },
            failure(extensions={"tool": {"name": "weather"}, "outcome": "failed"}),
        ],
        {"events": 5, "sessions": 1, "tool_calls": 2, "tool_failures": 2},
    ),
    "notices are no events": (
        [
            {"action": "system", "session_id": "s", "extensions": {"notice": {"kind": "opened"}}},
            {"action": "prompt", "extensions": {"notice": {"kind": "not ours"}}},
        ],
        {**ONE, "users": 1, "prompts": 1},
    ),
    "pieces of a stream are no calls, and their tokens no tokens": (
        [
            {"action": "completion_chunk", "metrics": {"tokens": TOKENS, "cost_usd": 1}},
            {"action": "completion_chunk"},
        ],
        {"events": 2, "sessions": 1},
    ),
    "a user by extension, by actor, and none": (
        [
            {"action": "prompt", "extensions": {"user_id": "alice"}},
            {"action": "prompt", "actor": {"type": "human", "id": "bob"}},
            {"action": "prompt", "actor": {"type": "agent", "id": "carol"}},
            completion(extensions={"user_id": "alice"}, cost=None, tokens=None),
        ],
        {"events": 4, "sessions": 1, "users": 2, "prompts": 3, "calls": 1, "completed": 1},
    ),
    "costs as texts": (
        [completion(cost="0,25"), completion(cost="0.25"), completion(cost="free")],
        {
            "events": 3,
            "sessions": 1,
            "calls": 3,
            "completed": 3,
            "cost_usd": 0.5,
            "unpriced": 1,
        },
    ),
    "a cost of nothing is a price": (
        [completion(cost=0)],
        {**ONE, "calls": 1, "completed": 1},
    ),
    "cached tokens of prompts": (
        [
            completion(tokens={"prompt": 75, "cached": 25}, cost=None),
            completion(tokens={"prompt": 25}, cost=None),
            completion(tokens={"cached": 50}, cost=None),
        ],
        {
            "events": 3,
            "sessions": 1,
            "calls": 3,
            "completed": 3,
            "cache_hit_rate": 0.25,
            "unpriced": 2,
        },
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_counts(made, engine, case):
    """Each event counts as what it says, however many of them a call left."""
    events, expected = CASES[case]
    assert expected == counted(stats(made(*events), engine=engine).total)


def test_tokens(made, engine):
    """The total is what is told, else prompt and completion; None is not 0."""
    path = made(
        completion(tokens={"prompt": 1, "completion": 2, "total": 4}),
        completion(tokens={"prompt": 10, "completion": 20, "reasoning": 5}),
        completion(tokens={"completion": 100}),
        completion(tokens={"cached": 3}),
    )
    found = stats(path, engine=engine).total.tokens
    assert (11, 122, 134, 3, 5) == msgspec.structs.astuple(found)
    nothing = stats(made(completion(tokens=None), name="b.jsonl"), engine=engine).total.tokens
    assert (None,) * 5 == msgspec.structs.astuple(nothing)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 357])
def test_percentiles(made, engine, count):
    """Percentiles are interpolated, as those of the standard library, of numpy and of DuckDB."""
    chance = random.Random(count)
    values = [chance.choice([7, 800, round(chance.lognormvariate(6, 1))]) for _ in range(count)]
    path = made(*(completion(latency=value) for value in values), failure(), failure("retried"))
    spread = stats(path, engine=engine).total.latency_ms
    known = statistics.quantiles(values * (1 if count > 1 else 2), n=100, method="inclusive")
    assert (count, min(values), max(values)) == (spread.count, spread.min, spread.max)
    found = [spread.mean, spread.p50, spread.p90, spread.p95, spread.p99]
    expected = [statistics.fmean(values), *(known[n - 1] for n in (50, 90, 95, 99))]
    assert expected == pytest.approx(found, rel=1e-9)


def test_latencies(made, engine):
    """Latencies are of calls that were answered; tools have their own."""
    path = made(
        completion(latency=1, extensions={"outcome": "refused"}),
        completion(latency=2, metrics={"latency_ms": 3, "time_to_first_token_ms": 2}),
        completion(latency=9, extensions={"outcome": "closed_early"}),
        failure(),
        {
            "action": "tool_result",
            "metrics": {"latency_ms": 40},
            "extensions": {"tool": {"name": "t"}},
        },
        {
            "action": "tool_result",
            "metrics": {"latency_ms": 50},
            "extensions": {"tool": {"name": "t"}, "outcome": "failed"},
        },
        {"action": "retrieval", "metrics": {"latency_ms": 70}},
    )
    found = stats(path, engine=engine)
    total = found.total
    assert (2, 1, 3) == (total.latency_ms.count, total.latency_ms.min, total.latency_ms.max)
    assert (1, 2) == (total.time_to_first_token_ms.count, total.time_to_first_token_ms.max)
    assert (1, 40) == (total.tool_latency_ms.count, total.tool_latency_ms.max)
    assert [("t", 0, 1, 40)] == [
        (each.name, each.calls, each.failures, each.latency_ms.p50) for each in found.tools
    ]


def test_counts(made, engine):
    """Each list begins with what is most frequent; calls count once in those of calls."""
    path = made(
        {"action": "prompt", "actor": {"type": "human", "id": "alice"}},
        {"action": "prompt", "actor": {"type": "human", "id": "alice"}},
        completion(extensions={"finish_reason": "stop"}),
        completion(extensions={"finish_reason": "stop", "outcome": "mine"}),
        failure("retried"),
        failure(),
        completion(
            provenance={"provider": "openai"},
            extensions={"outcome": "failed", "finish_reason": "error", **OURS},
        ),
        {"action": "tool_call", "extensions": {"tool": {"name": "b"}}},
        {"action": "tool_call", "extensions": {"tool": {"name": "a"}}},
    )
    found = stats(path, engine=engine)
    counts = msgspec.to_builtins(found.counts)
    assert {
        "actions": {"completion": 3, "prompt": 2, "system": 2, "tool_call": 2},
        "actors": {"agent (who)": 5, "human (alice)": 2, "system (who)": 2},
        "providers": {"openai": 3},
        "models": {"gpt-4o": 3},
        "outcomes": {"completed": 1, "failed": 1, "mine": 1, "retried": 1},
        "finish_reasons": {"stop": 2},
        "error_types": {"Timeout": 2},
    } == counts
    assert ["completion", "prompt", "system", "tool_call"] == list(counts["actions"])
    assert ["a", "b"] == [each.name for each in found.tools]


def test_times(made, engine):
    """First and last are of events, in UTC, whatever their order and offsets."""
    path = made(
        {"at": "2026-01-02T03:04:05.000000Z"},
        {"at": "2026-01-02T03:04:05.5+05:00"},
        {"at": "2026-01-02T03:04:60.000000Z"},
        {"at": "2026-02-30T03:04:05.000000Z"},
        {
            "action": "system",
            "at": "2027-01-01T00:00:00.000000Z",
            "extensions": {"notice": {"a": 1}},
        },
    )
    found = stats(path, engine=engine, by="day")
    assert (4, 1) == (found.total.events, found.notices)
    assert ("2026-01-01T22:04:05.500000Z", "2026-01-02T03:04:05.000000Z") == (
        found.first,
        found.last,
    )
    assert [("2026-01-01",), ("2026-01-02",), (None,)] == [group.key for group in found.groups]
    timed = stats(path, engine=engine, since="2026-01-02", until="2028-01-01")
    assert (1, 1) == (timed.total.events, timed.notices)


PLACES = [
    ("UTC", "2026-01-04T23:59:59.999999Z", ("23:00", "2026-01-04", "2026-W01", "2026-01")),
    ("UTC", "2026-01-05T00:00:00.000000Z", ("00:00", "2026-01-05", "2026-W02", "2026-01")),
    ("UTC", "2027-01-01T00:00:00.000000Z", ("00:00", "2027-01-01", "2026-W53", "2027-01")),
    (
        "Europe/Berlin",
        "2026-03-29T00:59:59.999999Z",
        ("01:00", "2026-03-29", "2026-W13", "2026-03"),
    ),
    (
        "Europe/Berlin",
        "2026-03-29T01:00:00.000000Z",
        ("03:00", "2026-03-29", "2026-W13", "2026-03"),
    ),
    (
        "Europe/Berlin",
        "2026-10-25T00:30:00.000000Z",
        ("02:00", "2026-10-25", "2026-W43", "2026-10"),
    ),
    (
        "Europe/Berlin",
        "2026-10-25T01:30:00.000000Z",
        ("02:00", "2026-10-25", "2026-W43", "2026-10"),
    ),
    (
        "America/New_York",
        "2026-11-01T03:59:59.000000Z",
        ("23:00", "2026-10-31", "2026-W44", "2026-10"),
    ),
    (
        "Asia/Kathmandu",
        "2026-01-31T18:14:59.999999Z",
        ("23:00", "2026-01-31", "2026-W05", "2026-01"),
    ),
    (
        "Asia/Kathmandu",
        "2026-01-31T18:15:00.000000Z",
        ("00:00", "2026-02-01", "2026-W05", "2026-02"),
    ),
    # a clock that is put back by half an hour, at half past
    (
        "Australia/Lord_Howe",
        "2026-04-04T14:59:59.000000Z",
        ("01:00", "2026-04-05", "2026-W14", "2026-04"),
    ),
    (
        "Australia/Lord_Howe",
        "2026-04-04T15:00:00.000000Z",
        ("01:00", "2026-04-05", "2026-W14", "2026-04"),
    ),
    (
        "Australia/Lord_Howe",
        "2026-04-04T15:30:00.000000Z",
        ("02:00", "2026-04-05", "2026-W14", "2026-04"),
    ),
]


@pytest.mark.parametrize(("tz", "at", "expected"), PLACES)
def test_zones(made, engine, tz, at, expected):
    """Periods are those of the clocks of a place, also when these are put forward or back."""
    hour, day, week, month = expected
    path = made({"at": at})
    by = ("hour", "day", "week", "month")
    (group,) = stats(path, engine=engine, by=by, tz=tz).groups
    assert (f"{day} {hour}", day, week, month) == group.key


def test_no_zones(made, engine, monkeypatch):
    """UTC is there where the system knows no time zones."""
    monkeypatch.setattr("zoneinfo.ZoneInfo", None)
    (group,) = stats(made({}), engine=engine, by="day").groups
    assert ("2026-01-02",) == group.key


def test_groups(made, engine):
    """Each event is in one group; the figures of a group are its own."""
    path = made(
        {"extensions": {"user_id": "alice"}, "session_id": "a"},
        completion(session_id="a", extensions={"user_id": "alice"}, latency=5),
        completion(session_id="b", provenance={"request_model": "asked"}),
        {"action": "tool_call", "session_id": "b", "extensions": {"tool": {"name": "t"}}},
    )

    def keys(by):
        groups = stats(path, engine=engine, by=by).groups
        assert 4 == sum(group.figures.events for group in groups)
        return [(*group.key, group.figures.events) for group in groups]

    assert [("completion", 2), ("prompt", 1), ("tool_call", 1)] == keys("action")
    assert [("asked", 1), ("gpt-4o", 1), (None, 2)] == keys("model")
    assert [("openai", 1), (None, 3)] == keys("provider")
    assert [("alice", 2), (None, 2)] == keys("user")
    assert [("a", 2), ("b", 2)] == keys(["session"])
    assert [("t", 1), (None, 3)] == keys("tool")
    assert [
        ("a", "gpt-4o", 1),
        ("a", None, 1),
        ("b", "asked", 1),
        ("b", None, 1),
    ] == keys(["session", "model"])
    (of_alice, _) = stats(path, engine=engine, by="user").groups
    assert (1, 1, 5) == (
        of_alice.figures.calls,
        of_alice.figures.users,
        of_alice.figures.latency_ms.max,
    )


def test_top(made, engine):
    """The first of each are chosen in an order that leaves nothing to chance."""
    path = made(
        *(
            completion(session_id=f"s{n % 3}", latency=n // 2, cost=n // 3, tokens={"total": n})
            for n in range(9)
        ),
        failure(session_id="s2", at="2026-01-01T00:00:00.000000Z"),
        {"session_id": "s1"},
    )
    top = stats(path, engine=engine, top=3).top
    assert [("s2", 4, 4, 15), ("s1", 4, 3, 12), ("s0", 3, 3, 9)] == [
        (each.id, each.events, each.calls, each.tokens) for each in top.sessions
    ]
    assert [("who", 1)] == [(each.id, each.events) for each in top.users]
    assert [60_000, 4, 3] == [each.latency_ms for each in top.slowest]
    assert ["e10", "e9", "e7"] == [each.event_id for each in top.slowest]
    assert ["e7", "e8", "e9"] == [each.event_id for each in top.dearest]
    assert "failed" == top.slowest[0].outcome
    assert "gpt-4o" == top.slowest[0].model
    none = stats(path, engine=engine, top=0).top
    assert ([], [], [], []) == msgspec.structs.astuple(none)


def test_many_calls(made, engine):
    """The slowest of many are the earliest of those that are as slow."""
    path = made(
        *(completion(latency=800, at=f"2026-01-02T03:04:05.{n:06}Z") for n in range(999, -1, -1))
    )
    assert [0, 1, 2] == [
        int(each.timestamp[20:26]) for each in stats(path, engine=engine, top=3).top.slowest
    ]


def test_filters(made, engine):
    """Only what is asked for counts, notices too."""
    path = made(
        {"extensions": {"user_id": "alice", "team": "blue", "level": 3}, "session_id": "a"},
        {"actor": {"type": "human", "id": "bob"}, "session_id": "b"},
        completion(session_id="a", at="2026-01-03T00:00:00.000000Z"),
        completion(session_id="a", provenance={"request_model": "asked", "model": "served"}),
        {"action": "system", "session_id": "a", "extensions": {"notice": {"kind": "opened"}}},
    )

    def events(**asked):
        return stats(path, engine=engine, **asked).total.events

    assert 4 == events()
    assert 1 == events(users=["alice"]) == events(users="alice")
    assert 2 == events(users=["alice", "bob"])
    assert 1 == events(models=["asked"]) == events(models="asked")
    assert 2 == events(models=["served", "gpt-4o"])
    assert 1 == events(since="2026-01-03")
    assert 3 == events(until="2026-01-03T00:00:00Z")
    assert 3 == events(where={"session_id": "a"})
    assert 4 == events(where={"session_id": ["a", "b"]})
    assert 1 == events(where={"extensions.team": "blue"})
    assert 3 == events(where={"extensions.team": None})
    assert 1 == events(where={"extensions.level": 3})
    assert 0 == events(where={"extensions.level": "3"})
    assert 1 == events(where={"extensions.level": 3, "action": ["prompt"]})
    assert 0 == stats(path, engine=engine, where={"session_id": "b"}).notices
    assert 1 == stats(path, engine=engine, where={"session_id": "a"}).notices


ODD = [
    pytest.param({"extensions": "text"}, id="extensions"),
    pytest.param({"provenance": ["list"]}, id="provenance"),
    pytest.param(
        {"metrics": {"latency_ms": "12", "tokens": {"prompt": 1.0}}}, id="numbers as texts"
    ),
    pytest.param({"metrics": {"latency_ms": 1.6, "tokens": {"prompt": -5}}}, id="other numbers"),
    pytest.param({"metrics": {"tokens": {"prompt": 2**70, "completion": 3}}}, id="too large"),
    pytest.param({"metrics": None, "extensions": None, "provenance": None}, id="null"),
    pytest.param({"session_id": 42, "event_id": 7}, id="ids that are numbers"),
    pytest.param({"extensions": {"user_id": 42, "outcome": True}}, id="user that is a number"),
    pytest.param({"extensions": {"user_id": "", "outcome": ""}}, id="empty texts"),
    pytest.param({"hilt_version": None}, id="no version"),
]


@pytest.mark.parametrize("fields", ODD)
def test_odd_fields(made, engine, fields):
    """A field of a wrong type does not cost the event, nor the next one."""
    found = stats(made(completion(**fields), completion()), engine=engine)
    assert (2, 2, 0) == (found.total.events, found.total.calls, found.unread)


@needs_duckdb
@pytest.mark.parametrize("fields", ODD)
def test_odd_fields_alike(made, fields):
    """What becomes of such a field is the same for each engine."""
    path = made(completion(**fields), completion())
    assert_alike(path, by=["user", "session"])


FAULTS = [
    (b"torn", 1),
    (b'{"action":"prompt"}', 1),
    (b"[]", 1),
    (b"\0\0\0", 1),
    (b"", 0),
    (b" \t ", 0),
    (b'{"hilt_version":"2.0.0"}', 1),
]


@pytest.mark.parametrize(("line", "unread"), FAULTS)
def test_faults(made, engine, line, unread):
    """What is no event is told with file and line, counted, and costs nothing else."""
    told = []
    path = made(completion(), line, completion())
    found = stats(path, engine=engine, report=told.append)
    assert (2, unread, unread) == (found.total.events, found.unread, len(told))
    assert [(str(path), 2)] * unread == [(error.path, error.line) for error in told]


def bad_text(made, an_event):
    """A line that is an event but for a byte that is no UTF-8 where nobody looks."""
    return encode(an_event(content={"text": "Grüße"})).replace("ü".encode(), b"\xfc")


def test_no_utf8(made, engine, an_event):
    """Text that is no UTF-8 makes the whole line none, also in a field that does not count."""
    found = stats(made(completion(), bad_text(made, an_event)), engine=engine, report=print)
    assert (1, 1) == (found.total.events, found.unread)


@pytest.mark.parametrize("begin", [b"\xef\xbb\xbf", b"\0" * 100])
def test_begin_of_file(made, engine, begin, tmp_path):
    """A byte order mark, or what a crash left of a hole, stands before the first event."""
    path = made(completion(), completion())
    path.write_bytes(begin + path.read_bytes())
    found = stats(path, engine=engine)
    assert (2, 0) == (found.total.events, found.unread)


def test_long_line(made, engine, monkeypatch):
    """A line that is too long is told, passed over and not held."""
    long = b'{"text":"' + b"x" * (17 << 20) + b'"}'
    told = []
    path = made(completion(), long, completion(), b"torn")
    found = stats(path, engine=engine, report=told.append)
    assert (2, 2) == (found.total.events, found.unread)
    assert [2, 4] == [error.line for error in told]


def test_files(made, engine, tmp_path):
    """Rotated and compressed files, several logs and a folder are one log."""
    made(completion(), name="app.jsonl")
    made(completion(), completion(), name="app.jsonl.1")
    other = made(completion(), name="other.jsonl")
    (tmp_path / "old.jsonl.gz").write_bytes(gzip.compress(other.read_bytes()))
    other.unlink()
    found = stats(tmp_path, engine=engine)
    assert (4, 3) == (found.total.calls, found.files)
    assert 3 == stats(tmp_path / "app.jsonl", engine=engine).total.calls
    assert 1 == stats(tmp_path / "app.jsonl", engine=engine, rotated=False).total.calls


@needs_duckdb
@pytest.mark.parametrize("name", ["a.parquet", "a.sqlite", "folder"])
def test_converted(made, engine, tmp_path, name):
    """What `convert` made of a log gives the same figures as the log."""
    path = made(
        {"extensions": {"user_id": "alice"}},
        completion(extensions={"outcome": "failed", **OURS}),
        failure(),
        {"action": "system", "extensions": {"notice": {"kind": "opened"}}},
    )
    options = {"partition": True, "to": "parquet"} if name == "folder" else {}
    convert(path, output=tmp_path / name, **options)
    plain = plain_of(stats(path, engine="python", by="model"))
    again = plain_of(stats(tmp_path / name, engine=engine, by="model"))
    assert plain["total"]["events"] == 3
    assert_same(plain | {"files": 0}, again | {"files": 0})


def test_sqlite_without_duckdb(made, tmp_path, monkeypatch):
    """SQLite can be read without the extra; Parquet names it."""
    path = made(completion())
    convert(path, output=tmp_path / "a.sqlite")
    if duckdb is not None:
        convert(path, output=tmp_path / "a.parquet")
    else:
        (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 1 == stats(tmp_path / "a.sqlite").total.calls
    for engine in ("auto", "python", "duckdb"):
        with pytest.raises(MissingDependencyError, match="analytics"):
            stats(tmp_path / "a.parquet", engine=engine)


def test_empty(made, engine, tmp_path):
    """A log without events has no figures; a folder without logs is no log."""
    found = stats(made(), engine=engine, by="day")
    assert {} == counted(found.total)
    assert (None, None, []) == (found.first, found.last, found.groups)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="no log in this directory"):
        stats(tmp_path / "empty", engine=engine)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"by": "colour"}, "by"),
        ({"by": ["day", "year"]}, "by"),
        ({"by": ["day", "day"]}, "by"),
        ({"tz": "Europe/Atlantis"}, "tz"),
        ({"tz": "../etc/passwd"}, "tz"),
        ({"tz": "Europe"}, "tz"),
        ({"tz": "posix/Europe/Berlin"}, "tz"),
        ({"tz": ""}, "tz"),
        ({"top": -1}, "top"),
        ({"top": "ten"}, "top"),
        ({"since": "yesterday"}, "since"),
        ({"until": 5}, "until"),
        ({"where": {"actor": 1, "actor.id": 2}}, "where"),
        ({"engine": "abacus"}, "engine"),
        ({"engine": "duckdb:4"}, "engine"),
    ],
)
def test_wrong_usage(made, options, named):
    """An option that is wrong is named before anything is read."""
    with pytest.raises(ConfigurationError, match=f"^Invalid {named}"):
        stats(made(completion()), **options)


def test_missing_file(tmp_path, engine, made):
    """A path that is not there is an error if it is the only one, else a fault."""
    with pytest.raises(ReadError, match="not found"):
        stats(tmp_path / "gone.jsonl", engine=engine)
    told = []
    found = stats([made(completion()), tmp_path / "gone.jsonl"], engine=engine, report=told.append)
    assert (1, 1, 1) == (found.total.calls, found.unread, len(told))


def test_several_groupings(made, engine):
    """Several groupings are answered in one pass, each as if it were alone."""
    path = made({"extensions": {"user_id": "alice"}}, completion(), failure())
    _, groups = tallied(path, [("action",), ("user", "model")], engine=engine)
    for found, by in zip(groups, [("action",), ("user", "model")], strict=True):
        assert stats(path, engine=engine, by=by).groups == found


# what is really written


@pytest.fixture
def captured(tmp_path, hilt):
    """A log of calls as they are captured, in a file."""
    path = tmp_path / "captured.jsonl"
    handler = HILTFileHandler(path)
    hilt.addHandler(handler)

    def broken():
        yield "He"
        raise TimeoutError("no more")

    with bind(session_id="conv-1", user_id="alice"):
        with turn("Hello?", provider="openai", model="m") as call:
            call.retried(ConnectionError("again"))
            call.retried(ConnectionError("again"))
            list(call.stream(["Hi", "!"]))
            call.answer(
                model="m-1",
                tokens={"prompt": 10, "completion": 4},
                finish_reason="stop",
                tool_calls=[{"name": "weather", "id": "t1", "arguments": "{}"}],
                cost_usd=0.5,
            )
        weather()
        with pytest.raises(ZeroDivisionError):
            crash()
        with pytest.raises(TimeoutError), turn("More?", provider="openai", model="m") as call:
            list(call.stream(broken()))
        with pytest.raises(OSError), turn("Again?", provider="openai", model="m"):
            raise OSError("down")
        with turn("Bomb?", provider="openai", model="m") as call:
            call.answer(refusal="No.", finish_reason="stop")
        with turn("Never mind", provider="openai", model="m"):
            pass
    with turn("Who?", provider="anthropic", model="c", session_id="conv-2") as call:
        call.answer("You.", model="c-1", tokens={"prompt": 30, "completion": 6, "cached": 20})
    handler.close()
    return path


@tool
def weather():
    """Tell the weather."""
    return "sunny"


@tool
def crash():
    """Fail."""
    return 1 / 0


def test_captured(captured, engine):
    """Each call that was captured counts once, as what became of it."""
    found = stats(captured, engine=engine)
    total = found.total
    assert (6, 2, 1, 1, 2, 2) == (
        total.calls,
        total.completed,
        total.refused,
        total.stopped,
        total.failed,
        total.retried,
    )
    assert (6, 2, 2) == (total.prompts, total.sessions, total.users)
    assert (40, 10, 50, 20) == msgspec.structs.astuple(total.tokens)[:4]
    assert (0.5, 0.5, 1) == (total.cost_usd, total.cache_hit_rate, total.unpriced)
    assert {"weather", "crash"} == {each.name for each in found.tools}
    assert (3, 1) == (total.tool_calls, total.tool_failures)
    assert {"ConnectionError": 2, "OSError": 1, "TimeoutError": 1, "ZeroDivisionError": 1} == (
        found.counts.error_types
    )
    assert 3 == total.latency_ms.count
    assert 1 == total.time_to_first_token_ms.count


# the same, asked in SQL that knows nothing of our definitions' code


@pytest.fixture
def everything(tmp_path, captured, an_event):
    """A log of all that can be in one."""
    events = [event for case, _ in CASES.values() for event in case]
    places = ["2026-03-29T00:59:59.5Z", "2026-03-29T01:00:00Z", "2026-10-25T01:30:00+01:00"]
    lines = [captured.read_bytes()]
    for number, fields in enumerate(events):
        known = {
            "event_id": f"e{number}",
            "timestamp": places[number % 3]
            if number % 2
            else f"2026-05-{number % 28 + 1:02}T23:30:00.000000Z",
            "session_id": f"conv-{number % 7}",
            "actor": {"type": "agent", "id": "bot"},
        }
        lines.append(encode(an_event(**{**known, **fields})) + b"\n")
    hilt_python = {
        "event_id": "h",
        "timestamp": "2025-12-31T23:30:00+00:00",
        "session_id": "old",
        "actor": {"type": "agent", "id": "gpt-4"},
        "action": "completion",
        "content": {"text": "Hi"},
        "metrics": {
            "latency_ms": 1200,
            "tokens": {"prompt": 5, "completion": 6, "total": 11},
            "cost_usd": "0,0012",
        },
        "extensions": {"reply_to": "p", "status_code": 200},
    }
    encrypted = an_event(event_id="x", content={"text_encrypted": "eyJ"}, privacy={"erased": True})
    lines += [json.dumps(hilt_python).encode() + b"\n", encode(encrypted) + b"\n", b"torn\n"]
    path = tmp_path / "everything" / "app.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(lines))
    return path


BY_HAND = """
WITH raw AS (
  SELECT json AS j, coalesce(j->>'$.extensions.outcome', '') AS outcome,
    j->>'$.action' AS action, j->>'$.extensions.tool.name' AS tool,
    coalesce(j->>'$.provenance.provider', j->>'$.provenance.model', j->>'$.provenance.request_model')
      AS asked,
    coalesce(j->>'$.extensions.user_id',
      CASE j->>'$.actor.type' WHEN 'human' THEN j->>'$.actor.id' END) AS person,
    (j->>'$.timestamp')::TIMESTAMPTZ AS moment,
    TRY_CAST(replace(j->>'$.metrics.cost_usd', ',', '.') AS DOUBLE) AS cost,
    (j->>'$.metrics.tokens.prompt')::BIGINT AS prompt,
    (j->>'$.metrics.tokens.completion')::BIGINT AS answer,
    coalesce((j->>'$.metrics.tokens.total')::BIGINT, prompt + answer, prompt, answer) AS total,
    (j->>'$.metrics.tokens.cached')::BIGINT AS cached,
    (j->>'$.metrics.latency_ms')::BIGINT AS ms,
    j->>'$.provenance.response_id' AS response, j->>'$.extensions.session_source' AS source
  FROM read_ndjson_objects('{path}', ignore_errors = true)
  WHERE json IS NOT NULL AND json_type(j, '$.extensions.notice') IS NULL OR j->>'$.action' <> 'system'
),
told AS (
  SELECT *,
    action IN ('completion', 'embedding', 'rerank') AND outcome <> 'retried'
      AND NOT (source IS NOT NULL AND outcome = 'failed' AND response IS NULL)
      AND NOT (action = 'completion' AND source IS NOT NULL AND outcome = '' AND total IS NULL)
      AS answered,
    action = 'system' AND tool IS NULL AND (
      (outcome IN ('failed', 'cancelled') AND asked IS NOT NULL AND response IS NULL)
      OR (outcome = '' AND j->>'$.extensions.status_code' IS NOT NULL
        AND j->>'$.extensions.reply_to' IS NOT NULL)
    ) AS broken
  FROM raw
)
SELECT {key} AS key,
  count(*) AS events, count(DISTINCT j->>'$.session_id') AS sessions, count(DISTINCT person) AS users,
  count_if(action = 'prompt') AS prompts,
  count_if(answered OR broken) AS calls,
  count_if(answered AND outcome IN ('', 'completed', 'truncated')) AS completed,
  count_if(answered AND outcome IN ('refused', 'filtered')) AS refused,
  count_if((answered OR broken) AND outcome IN ('cancelled', 'abandoned', 'closed_early')) AS stopped,
  count_if((answered AND outcome = 'failed') OR (broken AND outcome <> 'cancelled')) AS failed,
  count_if(outcome = 'retried' AND tool IS NULL AND asked IS NOT NULL) AS retried,
  count_if(action = 'tool_call') AS tool_calls,
  count_if(outcome = 'failed' AND (action = 'tool_result' OR (action = 'system' AND tool IS NOT NULL)))
    AS tool_failures,
  sum(cost) FILTER (action <> 'completion_chunk') AS cost_usd,
  count_if((answered OR broken) AND total IS NOT NULL AND cost IS NULL) AS unpriced,
  sum(cached) FILTER (prompt IS NOT NULL) / sum(prompt) FILTER (action <> 'completion_chunk')
    AS cache_hit_rate,
  sum(prompt) FILTER (action <> 'completion_chunk') AS prompt,
  sum(answer) FILTER (action <> 'completion_chunk') AS completion,
  sum(total) FILTER (action <> 'completion_chunk') AS total,
  quantile_cont(ms, 0.95) FILTER (answered AND outcome IN ('', 'completed', 'truncated', 'refused', 'filtered'))
    AS p95,
  avg(ms) FILTER (action = 'tool_result' AND outcome <> 'failed') AS tool_mean
FROM told GROUP BY ALL ORDER BY key NULLS LAST
"""
KEYS = {
    (): "NULL",
    ("day",): "strftime(moment AT TIME ZONE 'Europe/Berlin', '%Y-%m-%d')",
    ("week",): "strftime(moment AT TIME ZONE 'Europe/Berlin', '%G-W%V')",
    ("hour",): "strftime(moment AT TIME ZONE 'Europe/Berlin', '%Y-%m-%d %H:00')",
    ("model",): "coalesce(j->>'$.provenance.model', j->>'$.provenance.request_model')",
    ("user",): "person",
    ("session",): "j->>'$.session_id'",
    ("action",): "action",
}


@needs_duckdb
@pytest.mark.parametrize("by", KEYS)
def test_asked_in_sql(everything, engine, by):
    """The figures are those that SQL by hand gives for the raw lines."""
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    asked = database.execute(BY_HAND.format(path=everything, key=KEYS[by]))
    names = [name for name, *_ in asked.description]
    expected = [dict(zip(names, row, strict=True)) for row in asked.fetchall()]
    found = stats(everything, engine=engine, by=by, tz="Europe/Berlin", report=lambda error: None)
    figures = [(group.key[0], group.figures) for group in found.groups] or [(None, found.total)]
    assert [row["key"] for row in expected] == [key for key, _ in figures]
    for row, (_, each) in zip(expected, figures, strict=True):
        known = {
            **msgspec.structs.asdict(each),
            **msgspec.structs.asdict(each.tokens),
            "p95": each.latency_ms.p95,
            "tool_mean": each.tool_latency_ms.mean,
        }
        if each.tokens.prompt and row["cache_hit_rate"] is None:
            row["cache_hit_rate"] = 0.0
        assert_same(
            {name: row[name] for name in names[1:]}, {name: known[name] for name in names[1:]}
        )
    assert 1 == found.unread
    assert 1 <= found.notices


# any log


def plain_of(found):
    return msgspec.to_builtins(found)


def assert_same(one, other, place="$"):
    """Two results are equal, numbers with fractions but for their last digits."""
    if isinstance(one, dict):
        assert list(one) == list(other), place
        for name in one:
            assert_same(one[name], other[name], f"{place}.{name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), place
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_same(left, right, f"{place}[{number}]")
    elif isinstance(one, float) and isinstance(other, int | float):
        assert math.isclose(one, other, rel_tol=1e-9), place
    else:
        assert one == other, place


def assert_alike(paths, **asked):
    """Both engines give the same."""
    told = {"python": [], "duckdb": []}
    one, other = (
        plain_of(stats(paths, engine=engine, report=told[engine].append, **asked))
        for engine in told
    )
    assert_same(one, other)
    assert sorted(map(str, told["python"])) == sorted(map(str, told["duckdb"]))
    return one


words = st.sampled_from(["", "a", "b", "Zoë", "\u2028", "[red]", "x" * 50])
maybe = st.none() | words
wholes = st.integers(-5, 10**6) | st.integers() | st.floats() | st.booleans() | st.just("7")
odd = st.none() | st.lists(st.integers(), max_size=2) | st.just("text") | st.just({})
times = st.builds(
    "{}{}".format,
    st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2040, 1, 1)).map(
        datetime.datetime.isoformat
    ),
    st.sampled_from(["Z", "+00:00", "+05:30", "-11:00", ""]),
) | st.sampled_from(
    ["2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:60.000000Z", "2026-02-30T03:04:05Z"]
)


def objects(**fields):
    return st.fixed_dictionaries({}, optional=fields)


EVENTS = st.fixed_dictionaries(
    {
        "event_id": st.uuids().map(str),
        "timestamp": times,
        "session_id": st.sampled_from(["s1", "s2", "s3"]),
        "actor": st.fixed_dictionaries(
            {
                "type": st.sampled_from(["human", "agent", "tool", "system"]),
                "id": words.filter(bool),
            }
        ),
        "action": st.sampled_from(
            [
                "prompt",
                "completion",
                "completion_chunk",
                "tool_call",
                "tool_result",
                "embedding",
                "system",
            ]
        ),
    },
    optional={
        "hilt_version": st.sampled_from(["1.0.0", None]),
        "content": objects(text=words),
        "provenance": odd
        | objects(
            provider=maybe, model=maybe, request_model=maybe, response_id=maybe, call_id=maybe
        ),
        "metrics": odd
        | objects(
            latency_ms=wholes,
            time_to_first_token_ms=wholes,
            cost_usd=wholes | st.sampled_from(["0,5", "free", "1e3"]),
            tokens=odd
            | objects(
                prompt=wholes, completion=wholes, total=wholes, cached=wholes, reasoning=wholes
            ),
        ),
        "extensions": odd
        | objects(
            user_id=maybe | st.integers(-5, 10**6),
            reply_to=maybe,
            status_code=wholes,
            finish_reason=maybe,
            outcome=st.sampled_from(
                [
                    "completed",
                    "failed",
                    "retried",
                    "refused",
                    "cancelled",
                    "closed_early",
                    "mine",
                    None,
                    3,
                ]
            ),
            session_source=st.sampled_from(["new", None]),
            tool=odd | objects(name=maybe),
            error=odd | objects(type=maybe),
            notice=odd | objects(kind=words),
        ),
    },
)
LINES = EVENTS.map(lambda event: json.dumps(event).encode()) | st.sampled_from(
    [b"torn", b"[]", b"", b"\0\0", b'{"action": "prompt"}', b'\xff{"a"']
)


@needs_duckdb
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lines=st.lists(LINES, max_size=12),
    by=st.lists(st.sampled_from(list(GROUPINGS)), unique=True, max_size=2),
    tz=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
@pytest.mark.once
def test_any_log(tmp_path, lines, by, tz):
    """Whatever stands in a log, engines count the same."""
    path = tmp_path / "any.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert_alike(path, by=by, tz=tz, top=3)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    lines=st.lists(LINES, max_size=15),
    cuts=st.lists(st.integers(0, 15), max_size=4),
    by=st.sampled_from([(), ("day",), ("user", "model"), ("session",)]),
)
def test_any_split(tmp_path_factory, lines, cuts, by):
    """However a log is divided into files, it gives the same figures."""
    folder = tmp_path_factory.mktemp("split")
    ends = [0, *sorted(cuts), len(lines)]
    for number, (begin, end) in enumerate(itertools.pairwise(ends)):
        data = b"".join(line + b"\n" for line in lines[begin:end])
        (folder / f"{number}.jsonl").write_bytes(data)
    whole = folder / "whole" / "app.jsonl"
    whole.parent.mkdir()
    whole.write_bytes(b"".join(line + b"\n" for line in lines))

    def found(path):
        told = stats(path, by=by, engine="python", report=lambda error: None)
        return {**plain_of(told), "files": 0}

    assert_same(found(whole), found(folder))


def test_which_engine(made, monkeypatch):
    """Much is given to DuckDB where it is installed; little is not worth its start."""
    from hilt_logging.analysis import _figures_sql
    from hilt_logging.analysis import stats as _  # noqa: F401

    path, asked = made(completion()), []
    monkeypatch.setattr(
        _figures_sql, "figures_by_duckdb", lambda *given: asked.append(given) or FOUND
    )
    FOUND = tallied(path, [], engine="python")
    assert 1 == stats(path).total.calls
    assert [] == asked
    os.truncate(path, 64 << 20)
    stats(path)
    assert (duckdb is not None) == bool(asked)


def test_public():
    """It is found where the other questions are."""
    assert stats is hilt_logging.analysis.stats
    assert hilt_logging.analysis.Stats is type(msgspec.convert({}, hilt_logging.analysis.Stats))
