"""A log as CSV, Parquet and SQLite, and back without loss."""

from __future__ import annotations

import contextlib
import csv
import datetime
import gzip
import json
import logging
import os
import sqlite3
import stat
import sys
import tracemalloc

from contextlib import closing

import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hilt_logging import HILTFileHandler, emit
from hilt_logging.analysis import _parquet, convert, tables
from hilt_logging.errors import ConfigurationError, MissingDependencyError, ReadError
from hilt_logging.events import encode, new_id
from hilt_logging.safeguards import jwk


duckdb = pytest.importorskip("duckdb")

pytestmark = pytest.mark.once

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: "inf" not in repr(value))
# also of a wrong type, where the format says one
fields = st.fixed_dictionaries(
    {},
    optional={
        "content": st.fixed_dictionaries({"text": texts | values}) | values,
        "provenance": st.dictionaries(st.sampled_from(["provider", "model", "x"]), texts | values),
        "metrics": st.fixed_dictionaries(
            {},
            optional={
                "tokens": st.dictionaries(texts | st.just("prompt"), values, max_size=3),
                "cost_usd": values,
                "latency_ms": values,
            },
        ),
        "extensions": st.dictionaries(texts, values, max_size=3),
        "privacy": values,
        "mine": values,
    },
)
WITHOUT_CHANGE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def line(event):
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def table_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def back(path, tmp_path):
    convert(path, output=tmp_path / "back.jsonl", force=True)
    return (tmp_path / "back.jsonl").read_bytes()


@pytest.mark.parametrize("kind", ["parquet", "sqlite"])
@WITHOUT_CHANGE
@given(several=st.lists(fields, min_size=1, max_size=4))
def test_round_trip(kind, several, tmp_path, an_event):
    """Every line comes back byte for byte: unknown fields, any text, large integers, floats."""
    path = tmp_path / "a.jsonl"
    data = [line(an_event(event_id=f"{n}", **each)) for n, each in enumerate(several)]
    path.write_bytes(b"\n".join(data) + b"\n")
    done = convert(path, to=kind, force=True)
    assert (len(data), 0) == (done.events, done.faults)
    assert path.read_bytes() == back(done.output, tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "sqlite"])
def test_as_it_was_written(kind, write, an_event, tmp_path):
    """Escapes, notations of numbers, spaces and the order of fields are kept, too."""
    event = line(an_event())[:-1]
    odd = [
        event + rb',"a":"\u00e9\u2028\/","b":1.50,"c":1E5,"d":-0,"e":{ "x" : [ ] }}',
        event + b',"f":12345678901234567890123,"g":"\\u0000"}',
        b'{"mine":1,' + event[1:] + b"}",
    ]
    path = write("a.jsonl", *odd)
    done = convert(path, to=kind)
    assert path.read_bytes() == back(done.output, tmp_path)


def test_order(write, calls, tmp_path):
    """A large log comes back in its order."""
    event = calls(1)[0]
    many = [{**event, "event_id": f"{n}", "content": {"text": "x" * 1_500}} for n in range(20_000)]
    path = write("a.jsonl", *many)
    done = convert(path, to="parquet")
    assert 20_000 == done.events
    assert path.read_bytes() == back(done.output, tmp_path)


def test_rotated(write, calls, tmp_path):
    """A log with its rotated files becomes one file, the oldest events first."""
    live, old = write("a.jsonl", *calls(2)), write("b", *calls(1))
    (tmp_path / "a.jsonl.1.gz").write_bytes(gzip.compress(old.read_bytes()))
    expected = old.read_bytes() + live.read_bytes()
    old.unlink()
    assert expected == back(live, tmp_path)
    for ending in ("parquet", "db"):
        convert(live, output=tmp_path / f"out.{ending}")
        assert expected == back(tmp_path / f"out.{ending}", tmp_path)


def test_parquet(write, calls, tmp_path):
    """The columns of `events` have their types, tokens are a map, and the line is there."""
    events = calls(1, 2)
    path = write("a.jsonl", *events)
    convert(path, output=tmp_path / "out.parquet")
    file = f"'{tmp_path}/out.parquet'"
    kinds = {name: kind for name, kind, *_ in duckdb.execute(f"DESCRIBE FROM {file}").fetchall()}
    expected = {column.name: column.type for column in tables.COLUMNS}
    assert expected | {"tokens": "MAP(VARCHAR, BIGINT)"} == kinds
    found = duckdb.execute(f"SELECT {', '.join(tables.NAMES)} FROM {file}").fetchall()
    assert [tables.row(event) for event in events] == found
    tokens = duckdb.execute(f"SELECT tokens FROM {file} WHERE tokens IS NOT NULL").fetchall()
    assert [event["metrics"]["tokens"] for event in events[1::2]] == [each for (each,) in tokens]


@pytest.mark.parametrize(
    ("compression", "codec"),
    [("zstd", "ZSTD"), ("snappy", "SNAPPY"), ("gzip", "GZIP"), ("none", "UNCOMPRESSED")],
)
def test_compression(write, calls, tmp_path, compression, codec):
    """Parquet is compressed as it is wanted."""
    out = tmp_path / "out.parquet"
    convert(write("a.jsonl", *calls(1)), output=out, compression=compression)
    found = duckdb.execute(f"SELECT DISTINCT compression FROM parquet_metadata('{out}')").fetchall()
    assert [(codec,)] == found


class _Refused:
    """A database that nobody may need."""

    def __init__(self, *_):
        raise AssertionError("it was read a second time")


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize("columns", [None, ["model", "cost_usd"], ["tokens", "event"]])
def test_parquet_at_once(write, calls, tmp_path, monkeypatch, columns, partition):
    """Logs without a fault are read once, and Parquet is the same as if they were checked before."""
    write("a.jsonl", *calls(1))
    (tmp_path / "a.jsonl.1.gz").write_bytes(gzip.compress(write("b", *calls(2, 3)).read_bytes()))
    options = {"to": "parquet", "columns": columns, "partition": partition}
    log, checked, once = (tmp_path / name for name in ("a.jsonl", "checked", "once"))
    with monkeypatch.context() as patched:
        patched.setattr(_parquet, "_written_at_once", lambda *_: None)
        assert 6 == convert(log, output=checked, **options).events
    monkeypatch.setattr(_parquet, "Database", _Refused)
    assert 6 == convert(log, output=once, **options).events

    def found(path):
        files = f"{path}/**/*.parquet" if partition else path
        return duckdb.execute(f"FROM read_parquet('{files}', hive_partitioning = true)").fetchall()

    assert found(checked) == found(once)


@pytest.mark.parametrize("partition", [False, True])
@pytest.mark.parametrize(
    "bad",
    [b"", b"  ", b"torn", b"{}", b"\0\0{}", b'{"hilt_version":"9"}', b"[1]", b"null", b"\xff"],
)
def test_parquet_that_has_to_be_made_anew(write, calls, tmp_path, bad, partition):
    """A line that is no event, wherever it is, leaves nothing behind of what was begun."""
    options = {"to": "parquet", "partition": partition, "report": lambda error: None}
    events = calls(1, 2)
    path = write("a.jsonl", *events, bad, *events)
    done = convert(path, output=tmp_path / "out", **options)
    assert (8, int(bool(bad.strip()))) == (done.events, done.faults)
    files = f"{tmp_path}/out/**/*.parquet" if partition else tmp_path / "out"
    assert [(8,)] == duckdb.execute(f"SELECT count(*) FROM read_parquet('{files}')").fetchall()


def test_parquet_of_a_log_that_grows(write, calls, tmp_path, monkeypatch):
    """What is written to a log while it is read is no reason to read it again."""
    path = write("a.jsonl", *calls(1))
    more = write("b.jsonl", *calls(2)).read_bytes()
    count = _parquet._lines

    def counted(paths):
        found = count(paths)
        with open(path, "ab") as file:
            file.write(more)
        return found

    monkeypatch.setattr(_parquet, "_lines", counted)
    monkeypatch.setattr(_parquet, "Database", _Refused)
    assert 4 == convert(path, output=tmp_path / "out.parquet").events


def test_partition(write, calls, an_event, tmp_path):
    """A folder has a file for each day and provider, and comes back in the order of times."""
    events = [
        *calls(1, 2),
        an_event(timestamp="2026-01-09T23:30:00-02:00", provenance={"provider": "a/b =c"}),
    ]
    path = write("a.jsonl", *events)
    lake = tmp_path / "lake"
    done = convert(path, to="parquet", output=lake, partition=True)
    assert 5 == done.events
    folders = sorted(os.path.relpath(folder, lake) for folder, _, names in os.walk(lake) if names)
    assert ["day=2026-01-02", "day=2026-01-02", "day=2026-01-03"] == [
        each.split("/")[0] for each in folders[:3]
    ]
    assert folders[-1].startswith("day=2026-01-10/provider=")
    found = duckdb.execute(
        f"SELECT DISTINCT provider FROM read_parquet('{lake}/**/*.parquet') ORDER BY 1"
    ).fetchall()
    assert [("a/b =c",), ("openai",), (None,)] == found
    assert path.read_bytes() == back(lake, tmp_path)
    with pytest.raises(ConfigurationError, match="--force"):
        convert(path, to="parquet", output=lake, partition=True)
    convert(write("b.jsonl", *calls(5)), to="parquet", output=lake, partition=True, force=True)
    assert ["day=2026-01-06"] == os.listdir(lake)
    again = convert(lake, to="parquet", output=tmp_path / "more", partition=True)
    assert (2, ["day=2026-01-06"]) == (again.events, os.listdir(tmp_path / "more"))


def test_partition_of_one_time(write, an_event, tmp_path):
    """Events of one time come back from a folder in the order of their ids, which is that of the log."""
    events = [
        an_event(event_id=new_id(), provenance={"provider": "abc"[n % 3]}) for n in range(3_000)
    ]
    path = write("a.jsonl", *events)
    convert(path, to="parquet", output=tmp_path / "lake", partition=True)
    assert path.read_bytes() == back(tmp_path / "lake", tmp_path)


def test_sqlite(write, calls, tmp_path):
    """A database has the columns, an index of the words, and the conversations."""
    events = calls(1, 2)
    convert(write("a.jsonl", *events), output=tmp_path / "out.db")
    with closing(sqlite3.connect(tmp_path / "out.db")) as database:
        found = database.execute(f"SELECT {', '.join(tables.NAMES)} FROM events").fetchall()
        expected = [list(tables.row(event)) for event in events]
        for each in expected:
            each[1] = f"{each[1].isoformat()}Z"
        assert expected == [list(each) for each in found]
        words = "SELECT rowid FROM events_fts WHERE events_fts MATCH 'answer AND 2'"
        assert [(4,)] == database.execute(words).fetchall()
        assert [("conv-1", 2, 1, 1, 0.25)] == database.execute(
            "SELECT session_id, events, prompts, completions, cost_usd FROM conversations LIMIT 1"
        ).fetchall()
        assert [("ok",)] == database.execute("PRAGMA integrity_check").fetchall()


def test_csv(write, an_event, tmp_path):
    """Columns are paths, in an order that does not depend on the events; lists are one cell."""
    events = [
        an_event(zebra=1, extensions={"b": {"c": [1, "x", None, True]}, "a": "=1+1"}),
        an_event(
            metrics={"tokens": {"thoughts": 3, "completion": 2, "prompt": 1}, "cost_usd": 0.1},
            content={"text": 'say "hi",\nnow', "media": [{"type": "image"}]},
            privacy={"redaction_applied": True, "pii_detected": ["a;b", "c"]},
        ),
    ]
    convert(write("a.jsonl", *events), output=tmp_path / "out.csv")
    one, two = table_of(tmp_path / "out.csv")
    assert list(one) == [
        *("event_id", "timestamp", "session_id", "actor.type", "actor.id", "action"),
        *("hilt_version", "content.text", "content.media", "metrics.tokens.prompt"),
        *("metrics.tokens.completion", "metrics.tokens.thoughts", "metrics.cost_usd"),
        *("privacy.pii_detected", "privacy.redaction_applied", "extensions.a", "extensions.b.c"),
        "zebra",
    ]
    assert ("1;x;;true", "=1+1", "1") == (one["extensions.b.c"], one["extensions.a"], one["zebra"])
    assert ("", "") == (one["content.text"], two["zebra"])
    assert 'say "hi",\nnow' == two["content.text"]
    assert ('[{"type":"image"}]', "true") == (
        two["content.media"],
        two["privacy.redaction_applied"],
    )
    assert ('["a;b","c"]', "0.1") == (two["privacy.pii_detected"], two["metrics.cost_usd"])
    convert(write("b.jsonl", *reversed(events)), output=tmp_path / "other.csv")
    assert list(one) == list(table_of(tmp_path / "other.csv")[0])


def test_csv_columns(write, calls, tmp_path):
    """Chosen columns come in their order, also objects, what is not there, and the whole."""
    names = ["event_id", "metrics.tokens", "nothing", "content.text", "event"]
    path = write("a.jsonl", *calls(1))
    convert(path, output=tmp_path / "out.csv", columns=names)
    one, two = table_of(tmp_path / "out.csv")
    assert names == list(one)
    assert {"p1", "c1"} == {one["event_id"], two["event_id"]}
    assert calls(1) == [json.loads(each["event"]) for each in (one, two)]
    tokens = {"prompt": 11, "completion": 5, "total": 16, "cached": 4}
    assert ("", tokens) == (one["metrics.tokens"], json.loads(two["metrics.tokens"]))
    assert ("", "Question 1") == (one["nothing"], one["content.text"])


def test_csv_of_a_file_that_grows(write, calls, tmp_path, monkeypatch):
    """What is appended between the two readings is not in the table."""
    path = write("a.jsonl", *calls(1))
    first = sys.modules["hilt_logging.analysis._csv"]._columns

    def columns(lines):
        found = first(lines)
        with open(path, "ab") as file:
            file.write(encode({**calls(2)[0], "new": 1}) + b"\n")
        return found

    monkeypatch.setattr("hilt_logging.analysis._csv._columns", columns)
    assert 2 == convert(path, output=tmp_path / "out.csv").events


def test_csv_with_too_many_columns(write, an_event, tmp_path):
    """Fields that are named after values make no table: the columns must be said."""
    path = write("a.jsonl", *(an_event(extensions={f"k{n}": 1}) for n in range(2_001)))
    with pytest.raises(ConfigurationError, match="more than 2000"):
        convert(path, to="csv")
    assert ["a.jsonl"] == os.listdir(tmp_path)
    assert 2_001 == convert(path, to="csv", columns=["event_id"]).events


@pytest.mark.parametrize("kind", ["csv", "sqlite", "parquet", "jsonl"])
def test_faults(kind, write, calls, tmp_path):
    """What is no event is told once, counted and left out; an empty file is a table without rows."""
    path = write("a.jsonl", b"\xef\xbb\xbf" + encode(calls(1)[0]), b"no", calls(1)[1], b'{"a":1}')
    told = []
    done = convert(path, to=kind, output=tmp_path / "out", report=told.append)
    assert (2, 2) == (done.events, done.faults)
    assert [2, 4] == [error.line for error in told]
    empty = convert(write("b.jsonl"), to=kind, output=tmp_path / "empty")
    assert (0, 0) == (empty.events, empty.faults)
    if kind in ("sqlite", "parquet"):
        suffixed = tmp_path / f"out.{kind}"
        (tmp_path / "out").rename(suffixed)
        expected = encode(calls(1)[0]) + b"\n" + encode(calls(1)[1]) + b"\n"
        assert sorted(expected.splitlines()) == sorted(back(suffixed, tmp_path).splitlines())


@pytest.mark.parametrize("kind", ["csv", "sqlite", "parquet", "jsonl"])
def test_whole_or_not_at_all(kind, write, calls, tmp_path, monkeypatch):
    """A file that is there stays; after an error nothing is left; only the owner can read it."""
    path, out = write("a.jsonl", *calls(1)), tmp_path / "out"
    out.write_text("old")
    with pytest.raises(ConfigurationError, match="--force"):
        convert(path, to=kind, output=out)
    monkeypatch.setattr("os.fsync", lambda fd: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(path, to=kind, output=out, force=True)
    assert ("old", ["a.jsonl", "out"]) == (out.read_text(), sorted(os.listdir(tmp_path)))
    monkeypatch.undo()
    convert(path, to=kind, output=out, force=True)
    assert "old" != out.read_bytes()[:3].decode("latin-1")
    assert 0o600 == stat.S_IMODE(out.stat().st_mode)
    assert ["a.jsonl", "out"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "sqlite", "jsonl"])
def test_what_is_read_stays(kind, write, calls, tmp_path):
    """Nothing takes the place of a log that it is made of, whatever is forced."""
    path = write("app.jsonl", *calls(2))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="what is read"):
        convert(path, to=kind, output=path, force=True)
    assert before == path.read_bytes()


def test_folder_that_is_read_stays(write, calls, tmp_path):
    """A folder of Parquet does not take the place of the folder in which the log is."""
    path = write("app.jsonl", *calls(2))
    with pytest.raises(ConfigurationError, match="what is read"):
        convert(path, to="parquet", output=tmp_path, partition=True, force=True)
    assert path.exists()


def test_names(write, calls, tmp_path):
    """Without an output it stands beside the file; without a format the output's name tells."""
    path = write("a.hilt.jsonl", *calls(1))
    assert f"{tmp_path}/a.hilt.csv" == convert(path, to="csv").output
    assert f"{tmp_path}/a.hilt.db" == convert(path, to="sqlite").output
    assert "sqlite" == convert(path, output=tmp_path / "x.sqlite").format
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert f"{tmp_path}/b.csv" == convert(packed, to="csv").output


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({}, "to"),
        ({"to": "xls"}, "to"),
        ({"output": "x.xls"}, "output"),
        ({"to": "jsonl"}, "output"),
        ({"to": "csv", "compression": "lzma"}, "compression"),
        ({"to": "csv", "partition": True}, "partition"),
        ({"to": "parquet", "columns": ["nothing"]}, "columns"),
        ({"to": "sqlite", "columns": ["tokens"]}, "columns"),
        ({"to": "csv", "columns": []}, "columns"),
        ({"to": "jsonl", "output": "x", "columns": ["event"]}, "columns"),
        ({"to": "csv", "output": "/no/such/folder/x.csv"}, "output"),
    ],
)
def test_wrong_options(write, calls, tmp_path, options, option):
    """A wrong option is told by its name, and nothing is written."""
    path = write("a.jsonl", *calls(1))
    with pytest.raises(ConfigurationError, match=f"^Invalid {option}"):
        convert(path, **options)
    assert ["a.jsonl"] == os.listdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"^Invalid output"):
        convert([path, path], to="csv")


def test_some_columns(write, calls, tmp_path):
    """Only some columns are written, if only some are wanted; there is no way back then."""
    names = ["event_id", "timestamp", "cost_usd"]
    path = write("a.jsonl", *calls(1))
    for ending in ("parquet", "db"):
        convert(path, output=tmp_path / f"out.{ending}", columns=names)
    described = duckdb.execute(f"DESCRIBE FROM '{tmp_path}/out.parquet'").fetchall()
    assert names == [name for name, *_ in described]
    with pytest.raises(ReadError, match="no column `event`"):
        back(tmp_path / "out.parquet", tmp_path)
    told = []
    done = convert(tmp_path / "out.db", output=tmp_path / "x.jsonl", report=told.append)
    assert (0, 1) == (done.events, len(told))
    assert "no such column: event" in told[0].reason


def test_other_files(tmp_path, write, calls):
    """Parquet that is none is told."""
    bad = tmp_path / "a.parquet"
    bad.write_bytes(b"PAR1 or not")
    with pytest.raises(ReadError, match="can't be read as Parquet"):
        convert(bad, to="csv")


def test_between(write, calls, tmp_path):
    """SQLite becomes Parquet, Parquet SQLite, and both CSV."""
    path = write("a.jsonl", *calls(1, 2))
    convert(path, output=tmp_path / "a.db")
    convert(tmp_path / "a.db", output=tmp_path / "b.parquet")
    convert(tmp_path / "b.parquet", output=tmp_path / "c.db")
    assert path.read_bytes() == back(tmp_path / "c.db", tmp_path)
    for source in ("a.jsonl", "a.db", "b.parquet"):
        convert(tmp_path / source, output=tmp_path / "x.csv", force=True)
        assert ["p1", "c1", "p2", "c2"] == [
            each["event_id"] for each in table_of(tmp_path / "x.csv")
        ]


@pytest.mark.parametrize("kind", ["csv", "sqlite", "jsonl"])
def test_memory(kind, write, calls, tmp_path):
    """Memory does not grow with the log."""
    event = calls(1)[0]
    peaks = []
    for count in (200, 4_000):
        big = {**event, "content": {"text": "x" * 2_000}}
        path = write(f"{count}.jsonl", *([big] * count))
        tracemalloc.start()
        convert(path, to=kind, output=tmp_path / f"{count}.{kind}x")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000


def test_without_duckdb(write, calls, monkeypatch, tmp_path):
    """CSV and SQLite need no other package; Parquet names the extra."""
    path = write("a.jsonl", *calls(1))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    convert(path, to="csv")
    convert(path, to="sqlite")
    with pytest.raises(MissingDependencyError, match="analytics"):
        convert(path, to="parquet")
    assert ["a.csv", "a.db", "a.jsonl"] == sorted(os.listdir(tmp_path))


def test_time_zone(write, an_event, tmp_path):
    """Times with an offset are in UTC in the columns, and as they were in the line."""
    path = write("a.jsonl", an_event(timestamp="2026-01-02T03:04:05+02:00"))
    out = convert(path, to="parquet").output
    ((when,),) = duckdb.execute(f"SELECT timestamp FROM '{out}'").fetchall()
    assert datetime.datetime(2026, 1, 2, 1, 4, 5) == when
    assert path.read_bytes() == back(out, tmp_path)


@pytest.fixture
def encrypted(tmp_path, calls):
    """A log of two calls, the first of which is encrypted, and the key."""
    made = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", made)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    for number, options in ((1, {"encrypt_to": str(tmp_path / "a.pub.jwk")}), (2, {})):
        handler = HILTFileHandler(tmp_path / "a.jsonl", **options)
        logger = logging.Logger("hilt.test")
        logger.addHandler(handler)
        for event in calls(number):
            emit(event, logger=logger)
        handler.close()
    return tmp_path / "a.jsonl", tmp_path / "a.key.jwk"


SAID = ["Question 1", "Answer 1", "Question 2", "Answer 2"]


@pytest.mark.parametrize("kind", ["csv", "sqlite", "parquet"])
def test_keys(encrypted, tmp_path, kind):
    """With a key, what was encrypted is in the new file, which only its owner can read."""
    log, key = encrypted
    output = tmp_path / f"out.{kind}"
    done = convert(log, to=kind, output=output, columns=TEXT[kind], keys=[key])
    assert (4, 2, {}) == (done.events, done.opened, done.hidden)
    assert SAID == texts_in(output, kind)
    assert 0o600 == stat.S_IMODE(output.stat().st_mode)
    closed = convert(log, to=kind, output=output, columns=TEXT[kind], force=True)
    assert (0, {}) == (closed.opened, closed.hidden)
    assert SAID[2:] == texts_in(output, kind)[2:]
    assert not set(SAID[:2]) & set(texts_in(output, kind))


TEXT = {"csv": ["content.text"], "sqlite": ["text", "event"], "parquet": ["text"]}


def texts_in(path, kind):
    if kind == "csv":
        with open(path, newline="") as file:
            return [row["content.text"] for row in csv.DictReader(file)]
    if kind == "sqlite":
        with contextlib.closing(sqlite3.connect(path)) as database:
            return [text for (text,) in database.execute("SELECT text FROM events ORDER BY id")]
    return [text for (text,) in duckdb.execute(f"SELECT text FROM '{path}'").fetchall()]


def test_keys_that_do_not_fit(encrypted, tmp_path):
    """What stays encrypted is counted; a log is not what is made with keys."""
    log, key = encrypted
    other = tmp_path / "b.key.jwk"
    jwk.write_new(other, jwk.generate())
    done = convert(log, output=tmp_path / "out.csv", keys=[other])
    assert (0, {"no key": 2}) == (done.opened, done.hidden)
    with pytest.raises(ConfigurationError, match="decrypt"):
        convert(log, output=tmp_path / "out.jsonl", keys=[key])
    with pytest.raises(ConfigurationError, match="key"):
        convert(log, output=tmp_path / "other.csv", keys=[tmp_path / "gone.jwk"])
