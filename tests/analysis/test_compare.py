"""Two periods of a log against each other."""

from __future__ import annotations

import datetime
import importlib.util
import itertools
import json

import msgspec
import pytest

from hilt_logging.analysis import compare, stats
from hilt_logging.errors import ConfigurationError, ReadError


needs_duckdb = pytest.mark.skipif(
    importlib.util.find_spec("duckdb") is None, reason="needs the extra analytics"
)


@pytest.fixture(params=["python", pytest.param("duckdb", marks=[needs_duckdb, pytest.mark.once])])
def engine(request):
    """What counts."""
    return request.param


@pytest.fixture
def log(write, an_event):
    """Writes a log of calls, of which it is given when they were, their models and their costs."""

    def log(*calls):
        numbers = itertools.count()
        return write("app.jsonl", *(_call(an_event, next(numbers), *each) for each in calls))

    return log


def _call(an_event, number, day, model="gpt-4o", cost=1.0, outcome="completed", **fields):
    metrics = {"latency_ms": 100 + number, "tokens": {"prompt": 10, "completion": 2, "cached": 5}}
    if cost is not None:
        metrics["cost_usd"] = cost
    return an_event(
        **{
            "event_id": f"e{number}",
            "timestamp": f"{day}T12:00:00.000000Z" if len(day) == 10 else day,
            "session_id": f"conv-{number}",
            "actor": {"type": "agent", "id": "assistant"},
            "action": "completion",
            "provenance": {"provider": "openai", "model": model} if model else {},
            "metrics": metrics,
            "extensions": {"user_id": f"user-{number % 2}", "outcome": outcome},
            **fields,
        }
    )


def names(found):
    """The periods that were compared."""
    return found.before.name, found.after.name


def both(found, name):
    """A figure in both periods."""
    return found.figures[name].before, found.figures[name].after


def test_last_week(log, engine):
    """By default the last seven whole days are held against the seven before, in any time zone."""
    days = [f"2026-10-{day:02}" for day in range(1, 21)]
    path = log(*((day, "gpt-4o", 1.0) for day in days), ("2026-10-20T23:30:00.000000Z",))
    found = compare(path, engine=engine)
    assert ("2026-10-06..2026-10-12", "2026-10-13..2026-10-19") == names(found)
    assert (7, 7) == both(found, "events")
    assert [] == found.remarks
    assert not found.is_per_day
    found = compare(path, engine=engine, tz="Europe/Berlin", by="day")
    assert ("2026-10-07..2026-10-13", "2026-10-14..2026-10-20") == names(found)
    assert [(f"2026-10-{n:02}", f"2026-10-{n + 7:02}") for n in range(7, 14)] == [
        (each.key_before, each.key) for each in found.groups
    ]
    assert {(1, 1)} == {both(each, "events") for each in found.groups}


def test_of_events_that_count(log, engine):
    """The last week is that of the events that count."""
    path = log(("2026-10-01", "old"), ("2026-10-09", "old"), ("2026-11-01", "new"))
    found = compare(path, models=["old"], engine=engine)
    assert ("2026-09-25..2026-10-01", "2026-10-02..2026-10-08") == names(found)
    until = compare(path, until="2026-10-09", where={"action": "completion"}, engine=engine)
    assert ("2026-09-17..2026-09-23", "2026-09-24..2026-09-30") == names(until)
    assert ["2026-10-01 12:00" in each for each in until.remarks] == [True, True]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"after": "2026-W42"}, ("2026-10-05..2026-10-11", "2026-10-12..2026-10-18")),
        ({"before": "2026-10-12"}, ("2026-10-12", "2026-10-13")),
        (
            {"before": "2026-09", "after": "2026-W42"},
            ("2026-09-01..2026-09-30", "2026-10-12..2026-10-18"),
        ),
    ],
)
def test_given_periods(log, options, expected):
    """One period that is given has the other beside it."""
    assert expected == names(compare(log(("2026-10-12",), ("2026-10-13",)), **options))


def test_changes(log, engine):
    """Each figure has its difference, and the same in per cent of what it was; of 0 there is none."""
    path = log(
        ("2026-10-01", "gpt-4o", 2.0),
        ("2026-10-01", "gpt-4o", 2.0, "failed"),
        ("2026-10-02", "gpt-4o", 1.0),
        ("2026-10-02", "gpt-4o", None, "refused"),
        ("2026-10-02", "gpt-4o", None),
    )
    found = compare(path, before="2026-10-01", after="2026-10-02", engine=engine)
    figures = {name: msgspec.structs.astuple(each)[:4] for name, each in found.figures.items()}
    assert (2, 3, 1, 50.0) == figures["calls"]
    assert (4.0, 1.0, -3.0, -75.0) == figures["cost_usd"]
    assert (0, 1, 1, None) == figures["refused"]
    assert (1, 0, -1, -100.0) == figures["failed"]
    assert (0, 0, 0, None) == figures["retried"]
    assert (24, 36, 12, 50.0) == figures["tokens.total"]
    assert (None, None, None, None) == figures["tokens.reasoning"]
    assert (0.5, 0.5, 0.0, 0.0) == figures["cache_hit_rate"]
    assert (100.0, 103.0, 3.0, 3.0) == figures["latency_ms.p50"]
    assert (None, None, None, None) == figures["tool_latency_ms.p50"]
    assert {None} == {each.per_day for each in found.figures.values()}
    failed = found.rates["failed"]
    assert (1, 2, 0, 3, True) == (
        *(failed.count_before, failed.of_before, failed.count_after, failed.of_after),
        failed.is_within_chance,
    )


def test_lengths(log, engine):
    """Of periods of different lengths, sums are told per day, too; how many differ, and latencies, are none."""
    path = log(*((f"2026-10-{day:02}", "gpt-4o", 0.5) for day in (1, 2, 3, 4, 5, 6)))
    found = compare(
        path, before="2026-10-01..2026-10-04", after="2026-10-05..2026-10-06", engine=engine
    )
    assert found.is_per_day
    assert (4, 2) == both(found, "calls")
    per_day = found.figures["calls"].per_day
    assert (1.0, 1.0, 0.0, 0.0) == msgspec.structs.astuple(per_day)[:4]
    assert 0.5 == found.figures["cost_usd"].per_day.after
    without = {
        name.partition(".")[0] for name, each in found.figures.items() if each.per_day is None
    }
    assert {
        "sessions",
        "users",
        "cache_hit_rate",
        "latency_ms",
        "time_to_first_token_ms",
        "tool_latency_ms",
    } == without


@pytest.mark.parametrize(
    ("before", "after"),
    [("2026-10-18", "2026-10-25"), ("2026-W42", "2026-W43"), ("2026-03-28", "2026-03-29")],
)
def test_clocks(log, before, after):
    """A day on which clocks are put forward or back is as long as any other."""
    path = log(("2026-10-24T22:00:00.000000Z",), ("2026-10-25T22:59:59.999999Z",))
    found = compare(path, before=before, after=after, tz="Europe/Berlin")
    assert (found.before.days, False) == (found.after.days, found.is_per_day)
    assert (0, 0 if "03" in after else 2) == both(found, "events")


def test_groups(log, engine):
    """What changed most in cost is first, then what did in events; new and gone ones are said to be so."""
    path = log(
        *([("2026-10-01", "gone", 1.0)] * 3),
        *([("2026-10-01", "same", 0.25)] * 2 + [("2026-10-02", "same", 0.5)]),
        *([("2026-10-01", "dearer", 1.0), ("2026-10-02", "dearer", 9.0)]),
        *([("2026-10-02", None, 2.0)]),
        *([("2026-10-02", "free", None)] * 4),
        ("2026-10-03", "neither", 100.0),
    )
    found = compare(path, before="2026-10-01", after="2026-10-02", by="model", engine=engine)
    assert [
        ("dearer", "both", 8.0),
        ("gone", "gone", -3.0),
        (None, "new", 2.0),
        ("free", "new", None),
        ("same", "both", 0.0),
    ] == [(each.key, each.status, each.figures["cost_usd"].difference) for each in found.groups]
    assert (6, 7) == both(found, "events")
    (gone,) = (each for each in found.groups if each.status == "gone")
    assert (3, 0) == (gone.rates["failed"].of_before, gone.rates["failed"].of_after)
    assert (3.0, 0) == both(gone, "cost_usd")
    assert (100.0 + 1, None) == both(gone, "latency_ms.p50")


def test_the_same_cost(log, engine):
    """Costs that are the same but for the last digits of their sums have not changed."""
    path = log(
        *([("2026-10-01", "same", cost) for cost in (0.1, 0.2)] + [("2026-10-02", "same", 0.3)]),
        *([("2026-10-01", "busier", 0.5)] + [("2026-10-02", "busier", 0.25)] * 2),
        ("2026-10-02", "busier", 0.0),
    )
    found = compare(path, before="2026-10-01", after="2026-10-02", by="model", engine=engine)
    assert [("busier", 0.0, 0.0), ("same", 0.0, 0.0)] == [
        (each.key, each.figures["cost_usd"].difference, each.figures["cost_usd"].percent)
        for each in found.groups
    ]


def test_groups_per_day(log):
    """Of periods of different lengths, what changed most in a day is first."""
    path = log(
        *((f"2026-10-{day:02}", "steady", 1.0) for day in range(1, 12)),
        ("2026-10-01", "rising", 1.0),
        ("2026-10-11", "rising", 2.0),
    )
    found = compare(path, before="2026-10-01..2026-10-10", after="2026-10-11", by="model")
    assert ["rising", "steady"] == [each.key for each in found.groups]
    assert -9.0 == found.groups[1].figures["cost_usd"].difference


def test_days_of_different_periods(log, engine):
    """A day of a longer period has none beside it; days on which nothing was are left out."""
    path = log(*((f"2026-10-{day:02}", "gpt-4o", 0.5) for day in (1, 2, 4, 5)))
    found = compare(
        path, before="2026-10-01..2026-10-03", after="2026-10-04", by="day", engine=engine
    )
    assert [("2026-10-01", "2026-10-04", "both"), ("2026-10-02", None, "gone")] == [
        (each.key_before, each.key, each.status) for each in found.groups
    ]
    assert found.is_per_day
    assert {None} == {each.per_day for group in found.groups for each in group.figures.values()}


@pytest.mark.parametrize("by", ["provider", "user", "session", "action", "tool"])
def test_by(log, by, engine):
    """Groups have the figures that statistics of their period have."""
    path = log(*((f"2026-10-{day:02}", "gpt-4o", day / 8) for day in (1, 2, 2, 3, 4)))
    options = {"by": by, "engine": engine}
    found = compare(
        path, before="2026-10-01..2026-10-02", after="2026-10-03..2026-10-04", **options
    )
    later = stats(path, since="2026-10-03", until="2026-10-05", **options)
    assert {group.key[0]: group.figures.cost_usd for group in later.groups} == {
        each.key: each.figures["cost_usd"].after for each in found.groups if each.status != "gone"
    }


def test_what_is_not_there(log, engine):
    """A period without events, and one that goes beyond the log, is told as such."""
    path = log(("2026-10-03",), ("2026-10-08",))
    found = compare(
        path, before="2026-10-04..2026-10-05", after="2026-10-06..2026-10-15", engine=engine
    )
    assert [
        "No event is in the period before: the first one is of 2026-10-03 12:00, the last of "
        "2026-10-08 12:00",
        "The period after ends after the last event, which is of 2026-10-08 12:00",
    ] == found.remarks
    assert (0, 1) == both(found, "events")
    assert (0, 1.0) == both(found, "cost_usd")
    assert found.figures["events"].percent is None
    found = compare(path, before="2026-10-08", after="2026-10-01..2026-10-03", tz="Asia/Kolkata")
    assert [
        "The period before ends after the last event, which is of 2026-10-08 17:30",
        "The period after begins before the first event, which is of 2026-10-03 17:30",
        "The period after is earlier than the period before",
    ] == found.remarks


@pytest.mark.parametrize(
    ("when", "tz", "shown"),
    [
        ("9999-12-31T23:59:59.000000Z", "Europe/Berlin", "9999-12-31T23:59:59.000000Z"),
        ("0001-01-05T00:00:00.000000Z", "UTC", "0001-01-05 00:00"),
    ],
)
def test_beyond_the_calendar(log, engine, when, tz, shown):
    """Where the days before the last event are beyond the calendar, that is told; no period is made up."""
    found = compare(log((when,)), tz=tz, by="day", engine=engine)
    assert (None, None, []) == (found.before, found.after, found.groups)
    told = f"The days before the last event, which is of {shown}, are beyond the calendar"
    assert [told] == found.remarks


def test_no_events(write, engine):
    """Of an empty log there are no periods, unless they are given; it is no fault."""
    path = write("app.jsonl")
    found = compare(path, by="model", engine=engine)
    assert (None, None, [], ["There is no event that counts and has a time"]) == (
        *(found.before, found.after, found.groups),
        found.remarks,
    )
    assert (0, 0) == both(found, "events")
    given = compare(path, before="2026-10-01", after="2026-10-02", engine=engine)
    assert ("2026-10-01", "2026-10-02") == names(given)
    assert given.figures.keys() == found.figures.keys()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"before": "2026-13"}, "before: '2026-13'"),
        ({"after": datetime.date(2026, 10, 7)}, "after: '2026-10-07'. Must be a text"),
        ({"after": "2026-10-07..2026-10-01"}, "after: '2026-10-07..2026-10-01'"),
        (
            {"after": "0001-01-01"},
            "after: '0001-01-01'. Beside it the years 1 to 9999 have no other",
        ),
        ({"after": "0001-01"}, "choose one, or set before"),
        ({"before": "9999-12-30"}, "before: '9999-12-30'"),
        ({"before": "2026-10", "after": "2026-10-31"}, "after: '2026-10-31'"),
        ({"before": "2026-10-05", "after": "2026-W41"}, "after: '2026-10-05..2026-10-11'"),
        ({"by": "week"}, "by: 'week'"),
        ({"by": "span"}, "by: 'span'"),
        ({"tz": "Europe/Atlantis"}, "tz: 'Europe/Atlantis'"),
        ({"engine": "abacus"}, "engine: 'abacus'"),
        ({"before": "9999-12-31"}, "before: '9999-12-31'. Must be a text"),
        ({"since": "soon"}, "since: 'soon'"),
        ({"until": "0001-01-01T00:00+05:00"}, "in the years 1 to 9999 in UTC"),
    ],
)
def test_wrong_options(log, options, named):
    """What is no period, or has time in common with the other, is an error that names it."""
    with pytest.raises(ConfigurationError) as caught:
        compare(log(("2026-10-01",)), **options)
    assert named in str(caught.value)


def test_without_a_log(tmp_path):
    """A log that is not there is an error."""
    with pytest.raises(ReadError):
        compare(tmp_path / "gone.jsonl")


def test_what_cannot_be_read(log, engine):
    """A line that is no event is told, and counted; the rest counts."""
    path = log(("2026-10-01",), ("2026-10-02",))
    with open(path, "ab") as file:
        file.write(b"torn")
    told = []
    found = compare(path, after="2026-10-02", report=told.append, engine=engine)
    assert (1, 1, 1) == (found.unread, len(told), found.files)
    assert (1, 1) == both(found, "events")


def test_one_definition(log):
    """Every figure of the statistics is there by its name, and no other."""
    found = compare(log(("2026-10-01",)), before="2026-10-01", after="2026-10-02")
    plain = json.loads(msgspec.json.encode(stats([log(("2026-10-01",))]).total))
    assert {
        *(name for name, value in plain.items() if not isinstance(value, dict)),
        *(
            f"{name}.{inner}"
            for name, value in plain.items()
            if isinstance(value, dict)
            for inner in value
        ),
    } == set(found.figures)


def test_length_of_a_year(log):
    """Periods of any length are compared, also where one is of hours."""
    path = log(("2026-10-01",))
    found = compare(
        path, before="2025-10-01..2026-09-30", after="2026-10-01T00:00..2026-10-01T12:30"
    )
    assert (365, 12.5 / 24) == (found.before.days, found.after.days)
    assert 1.92 == found.figures["events"].per_day.after
    assert datetime.datetime.fromisoformat(found.after.until).hour == 12
