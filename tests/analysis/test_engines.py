"""Every engine gives the same figures and the same rows of the same log."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import importlib.util
import json
import math
import random
import shutil
import sys

import msgspec
import pytest

from hilt_logging.analysis import compare, convert, query, tables
from hilt_logging.analysis.stats import stats, tallied
from hilt_logging.errors import ConfigurationError, MissingDependencyError, ReadError
from hilt_logging.events import encode, to_timestamp
from hilt_logging.io.reader import read


pytest.importorskip("duckdb")
pytestmark = pytest.mark.once

LACKING = [name for name in ("pyspark", "sqlglot") if importlib.util.find_spec(name) is None]
LACKING += [] if shutil.which("java") else ["java"]
needs_spark = pytest.mark.skipif(bool(LACKING), reason=f"there is no {' and no '.join(LACKING)}")

HOSTILE = (
    "o'neill",
    "'; DROP TABLE log_lines; --",
    'say "hi"\n\tand\\bye',
    "Zoë \U0001f642 \u2028 \u00df",
    "${env}%s {0} $1 \\u0041",
    "gpt-4o",
    "a b/c=d%2F+e",
    "",
)
TIMES = (
    "0001-01-01T00:00:00+05:00",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59-05:00",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-10-25T00:30:00.000000Z",  # 02:30 in Berlin, which comes twice that night
    "2026-10-25T01:30:00.000000Z",
    "2026-03-29T00:59:59.999999Z",
    "2026-03-29T01:00:00.000000Z",
    "2025-12-31T23:30:00.000000Z",  # next year's first week and month there
    "2026-01-04T23:30:00.000000Z",
    "2026-01-02T03:04:05+05:30",
    "2026-01-02T03:04:05",
    "2026-12-31T23:59:60.000000Z",  # a time of the format, and none of any engine
    "2026-01-02T24:00:00.000000Z",  # these are times of one engine or another, and not of ours
    "2026-01-02T03:04:05,5Z",
    "2026-01-02T03:04:05.Z",
    "2026-01-02T03:04:05.123 Z",
    "2026-01-02T03:04:05.123456Z\n",
    "2026-01-02T03:04:05 +05:30",
    "2026-01-02T03:04:05+24:00",
    "2026-01-02T03:04:05+05:60",
    "2026-01-02T03:04:05+05",
    "2026-01-02T03:04:05+05:30:15",
    "2026-01-02T03:04:05 Europe/Berlin",
    "2026-01-02T03:04:05.5-16:30",  # and these are
    "2026-01-02T03:04:05-00:30",
    "2026-01-02T03:04:05+23:59",
    "2026-01-02t03:04:05.123456789012z",
    "2026-01-02 03:04:05.5",
    "0001-01-01T23:59:59.9999999+23:59",
)
GROUPINGS = (
    ("day", "model"),
    ("week", "user"),
    ("month", "provider"),
    ("hour",),
    ("session",),
    ("tool", "action"),
    ("action", "tool"),
)


def event(chance, number):
    """One of many kinds of events."""
    action = chance.choice(
        ["prompt", *["completion"] * 5, "completion_chunk", "tool_call", "tool_result"]
        + ["system"] * 4
        + ["embedding", "rerank", "retrieval", "feedback"]
    )
    pick = chance.choice
    tokens = {
        part: pick([0, 7, 12, 12.0, "30", 2**62])
        for part in ("prompt", "completion", "total", "cached", "reasoning")
        if chance.random() < 0.6
    }
    extensions = {
        "user_id": pick([None, *HOSTILE]),
        "outcome": pick([None, "completed", "failed", "failed", "retried", "cancelled", "refused"])
        or pick([None, "closed_early", "filtered", "truncated", "abandoned", "no such word"]),
        "finish_reason": pick([None, "stop", "length"]),
        "reply_to": pick([None, "p"]),
        "status_code": pick([None, 200, 500]),
        "session_source": pick([None, None, "new"]),
        "tool": pick([None, None, {"name": pick(HOSTILE)}, {}]),
        "error": pick([None, None, {"type": pick(HOSTILE)}]),
        "notice": {"kind": "opened"} if action == "system" and chance.random() < 0.1 else None,
        "team": pick(["blue", "red", None, 5, 5.0, True, "5", {"a": 1}]),
    }
    provenance = {
        "provider": pick([None, "openai", *HOSTILE]),
        "model": pick([None, *HOSTILE]),
        "request_model": pick([None, "gpt-4o"]),
        "response_id": pick([None, None, "r"]),
    }
    return {
        "hilt_version": "1.0.0",
        "event_id": f"e{number}",
        "timestamp": pick(TIMES),
        "session_id": pick(HOSTILE[:-1]),
        "actor": {"type": pick(["human", "agent", "tool", "system"]), "id": pick(HOSTILE[:-1])},
        "action": action,
        "content": {"text": pick(HOSTILE)},
        "provenance": given(provenance, chance),
        "metrics": {
            "latency_ms": pick([None, 0, 3, 800, 812.5, "900", 2**40, [1]]),
            "time_to_first_token_ms": pick([None, 90, 91]),
            "tokens": pick([tokens, tokens, None]),
            "cost_usd": pick([None, 0, 0.25, 1e-7, "0,000065", "much", "nan"]),
        },
        "extensions": given(extensions, chance),
    }


def given(fields, chance):
    """Fields without what is none: some absent, some null."""
    return {k: v for k, v in fields.items() if v is not None or chance.random() < 0.3}


ODD = (
    {"metrics": [1], "extensions": "x", "content": 5, "provenance": None},
    {"hilt_version": None, "provenance": {"provider": True, "model": {"a": [1]}}},
    {"metrics": {"latency_ms": 2**70, "tokens": {"prompt": -1, "total": []}, "cost_usd": 1e300}},
)


@pytest.fixture(scope="module")
def events():
    """Many events."""
    chance = random.Random(7)
    many = [event(chance, number) for number in range(400)]
    base = {**many[0], "action": "completion"}
    return many + [{**base, **odd, "event_id": f"odd{n}"} for n, odd in enumerate(ODD)]


@pytest.fixture(scope="module")
def log(events, tmp_path_factory):
    """A log of two files, one of them compressed, with what is no event between."""
    folder = tmp_path_factory.mktemp("engines [1] {a}")
    lines = [encode(each) for each in events]
    torn = lines[0][:50]
    old = b"\n".join([b"\xef\xbb\xbf" + lines[0], *lines[1:200], torn, b"", b"[1]", b"\0" * 9])
    new = [
        *lines[200:300],
        b"\0" * 5_000 + lines[300],
        lines[301] + b"\r",
        b"  " + lines[302],
        lines[303] + lines[304],
        b'{"event_id": "' + b"\xff" + b'"}',
        lines[305].replace(b'"action"', b"'action'"),
        lines[306].replace(b'"metrics"', b'"x":NaN,"metrics"'),
        encode({**events[307], "action": "prompt\n"}),
        *lines[308:],
        torn,
    ]
    with gzip.open(folder / "app.jsonl.1.gz", "wb") as file:
        file.write(old + b"\n")
    (folder / "app.jsonl").write_bytes(b"\n".join(new))
    return folder / "app.jsonl"


@pytest.fixture(scope="module")
def stored(log):
    """The same events in Parquet, divided by day and provider."""
    folder = log.parent / "stored"
    convert(log, to="parquet", output=folder, partition=True, report=lambda error: None)
    return folder


@pytest.fixture(scope="module")
def spark():
    """A session of Spark with settings that would make a difference, were it asked itself."""
    from hilt_logging.analysis._spark import _own

    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv(
            "JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        )  # starts sooner
        session = stack.enter_context(_own("local[2]"))
        session.conf.set("spark.sql.session.timeZone", "America/New_York")
        session.conf.set("spark.sql.ansi.enabled", "false")
        session.conf.set("spark.sql.shuffle.partitions", "2")
        yield session


FEW = (("day", "model"), ("week", "user"), ("tool", "action"))


def assert_near(expected, found, where="$"):
    """The same, but for the last digits of floats."""
    assert type(expected) is type(found), where
    if isinstance(expected, dict):
        assert list(expected) == list(found), where
        for name, value in expected.items():
            assert_near(value, found[name], f"{where}.{name}")
    elif isinstance(expected, list):
        assert len(expected) == len(found), where
        for index, pair in enumerate(zip(expected, found, strict=True)):
            assert_near(*pair, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert math.isclose(expected, found, rel_tol=1e-9, abs_tol=0), where
    else:
        assert expected == found, where


def answer(paths, groupings=GROUPINGS, **options):
    """Statistics as plain values, and what was reported."""
    told = []
    tally = tallied(paths, groupings, report=told.append, **options)
    plain = json.loads(msgspec.json.encode([tally.stats, tally.groups]))
    return plain, told


def test_duckdb(log):
    """DuckDB counts as Python does, in every time zone and by whatever is asked."""
    for tz in ("UTC", "Europe/Berlin", "Asia/Kolkata"):
        (expected, told), (found, also) = (
            answer(log, tz=tz, engine=engine) for engine in ("python", "duckdb")
        )
        assert_near(expected, found)
        assert sorted(map(str, told)) == sorted(map(str, also))
    assert 400 - 5 + 3 == found[0]["total"]["events"] + found[0]["notices"]
    assert 9 == found[0]["unread"]


FILTERS = (
    {"since": "2026-01-01", "until": "2026-10-25T01:00:00Z"},
    {"models": ["gpt-4o", "o'neill"], "top": 2},
    {"users": ["", "o'neill"]},
    {"where": {"action": ["completion", "prompt"], "extensions.outcome": None}},
    {"where": {"extensions.team": ["blue", None]}},
    {"where": {"extensions.team": "5", "provenance.provider": list(HOSTILE)}},
    {"where": {"extensions.team": [5]}},
    {"where": {"session_id": "nobody's"}, "top": 0},
)


@pytest.mark.parametrize("options", FILTERS, ids=str)
def test_filters_of_duckdb(log, options):
    """Likewise of some events only."""
    expected, found = (
        answer(log, [("user",)], engine=engine, **options)[0] for engine in ("python", "duckdb")
    )
    assert_near(expected, found)


OF_SPANS = [("span",), ("span", "model"), ("day", "span")]
SPANS = (
    ("before", "2025-12-31T23:30:00.000000Z", "2026-03-29T01:00:00.000000Z"),
    ("after", "2026-10-25T00:30:00.000000Z", "2026-10-25T01:30:00.000001Z"),
)


def test_times(tmp_path, an_event):
    """Whoever reads a time reads the same one, or none: statistics, SQL, and each column by itself."""
    events = [an_event(event_id=str(n), timestamp=time) for n, time in enumerate(TIMES)]
    path = tmp_path / "app.jsonl"
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events))
    [get] = [each.get for each in tables.COLUMNS if each.name == "timestamp"]
    expected = {each["event_id"]: get(each) for each in events}
    with query("SELECT event_id, timestamp FROM events", path) as found:
        assert expected == dict(found)
    for engine in ("python", "duckdb"):
        for each, when in zip(events, expected.values(), strict=True):
            (tmp_path / "one.jsonl").write_bytes(encode(each) + b"\n")
            first = stats(tmp_path / "one.jsonl", engine=engine).first
            assert first == (when and to_timestamp(when))
    errors = []
    readable = {
        each.event_id: datetime.datetime.fromisoformat(each.timestamp[:-1])
        for each in read(path, errors="skip", report=errors.append)
        if each.timestamp[:4] != "0000" and each.timestamp[17:19] != "60"
    }
    assert {name: when for name, when in expected.items() if when is not None} == readable
    assert 14 == len(errors)


@pytest.mark.parametrize(
    "options",
    [
        {"spans": SPANS},
        {"until": "2026-12-31", "last_days": 300, "tz": "Asia/Kolkata"},
        {"last_days": 7},  # in the last year that there is
        {"until": "0001-01-02", "last_days": 7, "tz": "America/New_York"},
        {"where": {"session_id": "nobody's"}, "last_days": 7},
    ],
    ids=str,
)
def test_spans_of_duckdb(log, options):
    """Periods of time have the same figures, also where they are the last ones of all."""
    expected, found = (
        answer(log, OF_SPANS, engine=engine, **options)[0] for engine in ("python", "duckdb")
    )
    assert_near(expected, found)
    if "spans" in options:
        assert [["after"], ["before"], [None]] == [group["key"] for group in found[1][0]]


@pytest.mark.parametrize("engine", ["python", "duckdb"])
@pytest.mark.parametrize(
    ("before", "after", "by", "tz"),
    [
        ("2025-12-31T23:30..2026-03-29T01:00", "2026-10-25", "model", "UTC"),
        ("2026-10-25", "2025-12-20..2026-01-04", "user", "Europe/Berlin"),
        (
            "2026-10-25T00:30Z..2026-10-25T01:30Z",
            "2026-10-25T01:30Z..2026-10-25",
            "session",
            "Europe/Berlin",
        ),
        ("0001-01-02..2026-01-01", "2026-01-02..2026-12", "tool", "Asia/Kolkata"),
        (
            "2026-03-28T20:59:59..2026-03-28T21:00",
            "2026-03-28T21:00..2026-03-31",
            "action",
            "America/New_York",
        ),
    ],
)
def test_periods_are_those_of_statistics(log, engine, before, after, by, tz):
    """Each period, and each group in it, has the figures that statistics of this time have."""
    quiet = {"by": by, "tz": tz, "engine": engine, "report": lambda error: None}
    found = compare(log, before=before, after=after, **quiet)
    for name, period in (("before", found.before), ("after", found.after)):
        alone = stats(log, since=period.since, until=period.until, **quiet)
        assert_near(flat(alone.total), side(found.figures, name))
        rate = found.rates["failed"]
        counts = getattr(rate, f"count_{name}"), getattr(rate, f"of_{name}")
        assert (alone.total.failed, alone.total.calls) == counts
        absent = {"before": "new", "after": "gone"}[name]
        groups = {each.key: each for each in found.groups if each.status != absent}
        assert {group.key[0] for group in alone.groups} == set(groups)
        for group in alone.groups:
            assert_near(flat(group.figures), side(groups[group.key[0]].figures, name))


def flat(figures):
    """Figures by their names."""
    plain = json.loads(msgspec.json.encode(figures))
    return {
        path: value
        for name, each in plain.items()
        for path, value in (
            ((f"{name}.{inner}", value) for inner, value in each.items())
            if isinstance(each, dict)
            else ((name, each),)
        )
    }


def side(figures, name):
    """The figures of one period."""
    return {path: getattr(each, name) for path, each in figures.items()}


def test_a_file_that_duckdb_can_not_read(tmp_path, an_event):
    """Events of files beside one with a line that is too long count once, also where lines are asked."""
    for name in "abc":
        event = an_event(content={"text": "said"})
        (tmp_path / f"{name}.jsonl").write_bytes(encode(event) + b"\n")
    with open(tmp_path / "b.jsonl", "ab") as file:
        file.write(b'{"long": "' + b"y" * (40 * 1024 * 1024) + b'"}\n')
    for where in (None, {"content.text": "said"}):
        errors = []
        found = stats(tmp_path, engine="duckdb", where=where, report=errors.append)
        assert (3, 1, 1) == (found.total.events, found.unread, len(errors))


def test_parquet_of_duckdb(log, stored):
    """Likewise of events that are stored."""
    expected, found = (answer(path, engine="duckdb")[0] for path in (log, stored))
    for each in (expected, found):
        each[0]["files"] = each[0]["unread"] = 0
    assert_near(expected, found)


def test_values_that_sql_has_not(log):
    """What can't be compared in SQL is refused, not passed over."""
    for where in ({"extensions.team": [{"a": 1}]}, {"extensions.a:b": 1}):
        with pytest.raises(ConfigurationError, match="This engine"):
            stats(log, where=where, engine="duckdb", report=lambda error: None)


@needs_spark
def test_spark(log, spark):
    """Spark counts as Python does, whatever the settings of the session, which stay."""
    options = {"tz": "Europe/Berlin", "spans": SPANS}
    groupings = (*FEW, ("span", "model"))
    expected, _ = answer(log, groupings, engine="python", **options)
    found, told = answer(log, groupings, spark=spark, **options)
    assert_near(expected, found)
    assert [
        ("6 lines are no events", str(log)),
        ("3 lines are no events", f"{log}.1.gz"),
    ] == [(error.reason, error.path) for error in told]
    assert "America/New_York" == spark.conf.get("spark.sql.session.timeZone")
    assert "false" == spark.conf.get("spark.sql.ansi.enabled")
    assert [] == spark.catalog.listTables()


@needs_spark
def test_filters_of_spark(log, spark):
    """Likewise of some events only, by fields of the lines themselves."""
    options = {**FILTERS[0], **FILTERS[1], "users": HOSTILE, **FILTERS[4]}
    expected, _ = answer(log, [("hour",)], engine="python", **options)
    found, _ = answer(log, [("hour",)], engine="spark", **options)  # the session that runs
    assert_near(expected, found)
    assert found[0]["total"]["events"]


@needs_spark
def test_parquet_of_spark(log, stored, spark):
    """Likewise of events that are stored, by day and provider, and named as Spark names files."""
    expected, _ = answer(log, [("month", "provider")], engine="python")
    name = f"file://{stored}".replace("[", "?").replace("{", "?")
    found, told = answer(name, [("month", "provider")], spark=spark)
    for each in (expected, found):
        each[0]["files"] = each[0]["unread"] = 0
    assert_near(expected, found)
    assert [] == told


COLUMNS = "event_id, timestamp, session_id, provider, prompt_tokens, cost_usd, latency_ms, event"
CONVERSATIONS = "SELECT * EXCEPT (providers, models) FROM conversations"


@needs_spark
def test_questions(log, spark, monkeypatch):
    """The views have the same rows on both engines, with times in UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    sql = f"SELECT {COLUMNS} FROM events ORDER BY event_id"
    with (
        query(sql, log, report=lambda error: None) as one,
        query(sql, log, report=lambda error: None, spark=spark) as other,
    ):
        assert (one.columns, one.events) == (other.columns, other.events)
        assert list(one) == list(other)
    with query(CONVERSATIONS.replace("EXCEPT", "EXCLUDE"), log, report=print) as one:
        expected = sorted(one.dicts(), key=lambda row: row["session_id"])
    with query(CONVERSATIONS, log, report=print, spark=spark) as other:
        found = sorted(other.dicts(), key=lambda row: row["session_id"])
    assert expected == [
        {**row, "cost_usd": pytest.approx(row["cost_usd"], rel=1e-9)} for row in found
    ]


@needs_spark
def test_output_of_spark(log, spark):
    """The answer does not take the place of the log that was asked."""
    before = log.read_bytes()
    with (
        query("SELECT 1", log, report=lambda error: None, spark=spark) as found,
        pytest.raises(ConfigurationError, match="it is what is read"),
    ):
        found.write(log, "jsonl", force=True)
    assert before == log.read_bytes()


@needs_spark
@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELEC 1", "PARSE_SYNTAX_ERROR"),
        ("DROP VIEW events", "PARSE_SYNTAX_ERROR"),
        ("CREATE TABLE x AS SELECT 1", "PARSE_SYNTAX_ERROR"),
        ("SELECT nothing FROM events", "cannot be resolved"),
        ("SELECT CAST(text AS INT) FROM events", "CAST_INVALID_INPUT$"),
    ],
)
def test_wrong_questions(log, spark, sql, reason, capfd):
    """What is no question is not run; what Spark says of values is not repeated."""
    with (
        pytest.raises(ConfigurationError, match=reason) as caught,
        query(sql, log, report=lambda error: None, spark=spark) as found,
    ):
        list(found)
    assert "neill" not in str(caught.value)
    assert ("", "") == capfd.readouterr()


@needs_spark
def test_what_spark_does_not_read(log, spark, tmp_path):
    """A path that is not there, standard input, hidden files and other sessions are told."""
    for path in (tmp_path / "none.jsonl", f"file://{tmp_path}/none.jsonl"):
        with pytest.raises(ReadError, match="File not found"):
            stats(path, spark=spark)
    with pytest.raises(ConfigurationError, match="standard input"):
        stats("-", spark=spark)
    with pytest.raises(ConfigurationError, match="runs in this process already"):
        stats(log, engine="spark:local[7]")
    shutil.copy(log, tmp_path / "_a.jsonl")
    told = []
    found = stats([tmp_path / "_a.jsonl"], spark=spark, report=told.append)
    assert (0, 1, 1) == (found.total.events, found.files, found.unread)
    assert ["Spark passes over files whose names begin with _ or ."] == [e.reason for e in told]


@pytest.mark.parametrize("engine", ["oracle", "spark2", "duckdb:x"])
def test_no_engine(log, engine):
    """Another engine is refused."""
    for ask in (stats, lambda path, engine: query("SELECT 1", path, engine=engine)):
        with pytest.raises(ConfigurationError, match="engine"):
            ask(log, engine=engine)


def test_without_spark(log, monkeypatch):
    """Where pyspark is not installed, the extra is named."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(MissingDependencyError, match=r"hilt-logging\[spark\]"):
        stats(log, engine="spark")
    with pytest.raises(MissingDependencyError, match=r"hilt-logging\[spark\]"):
        query("SELECT 1", log, engine="spark:local[2]")


@pytest.mark.skipif("sqlglot" in LACKING, reason="there is no sqlglot")
def test_translation():
    """What sqlglot does not carry over of our words is carried over here."""
    from hilt_logging.analysis._spark import translated

    assert "SELECT PERCENTILE(x, ARRAY(0.5)) FROM t" == translated(
        "SELECT quantile_cont(x, [0.5]) FROM t"
    )
    assert "schema_of_variant" in translated("SELECT json_type(x, '$.a') FROM t").lower()
