"""Questions in SQL: what is read, what may be asked, and what comes of it."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import os
import stat
import sys

import pytest

from hilt_logging.analysis import query
from hilt_logging.errors import ConfigurationError, MissingDependencyError, ReadError


duckdb = pytest.importorskip("duckdb")

IDS = "SELECT event_id FROM events"


def rows(sql, paths, **options):
    with query(sql, paths, **options) as answer:
        return list(answer)


def ids(paths, **options):
    return [event_id for (event_id,) in rows(IDS, paths, **options)]


def test_aggregate(write, calls):
    """Numbers are those of the events."""
    path = write("a.jsonl", *calls(1, 2, 3))
    sql = "SELECT model, count(*), sum(cost_usd), sum(prompt_tokens) FROM events GROUP BY model"
    assert {("gpt-4o-mini", 3, 0.75, 36), (None, 3, None, None)} == set(rows(sql, path))


def test_own_field(write, calls):
    """A field of one's own is asked of the whole event."""
    path = write("a.jsonl", *calls(1))
    sql = "SELECT event->>'$.extensions.team' FROM events WHERE action = 'prompt'"
    assert [("blue",)] == rows(sql, path)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT event FROM events",
        "FROM events SELECT event",
        "SELECT whole.event FROM (FROM events) AS whole",
        "SELECT e.event FROM (SELECT events AS e FROM events)",
        "SELECT COLUMNS('^event$') FROM events",
        "SELECT event AS a FROM events ORDER BY event_id DESC",
        "WITH lines AS (SELECT event FROM events) FROM lines",
        "SELECT a.event FROM events a JOIN events b USING (event_id)",
        "SELECT (SELECT any_value(event) FROM events b WHERE b.event_id = a.event_id) FROM events a",
        "SELECT e.event FROM conversations JOIN events e USING (session_id)",
        "SELECT event FROM events WHERE event = event || ''",
        "SELECT replace(concat('x', event), 'x{', '{') FROM events -- at the end",
        "SELECT DISTINCT event FROM events;",
    ],
)
def test_line(write, calls, sql):
    """The line is in `event` wherever a question asks for it."""
    path = write("a.jsonl", *calls(1))
    expected = path.read_text().splitlines()
    assert sorted(expected) == sorted(line for (line,) in rows(sql, path))


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT count(*) FROM events WHERE event LIKE '%Question%'", 1),
        ("SELECT count(DISTINCT event) FROM events", 2),
        ("SELECT count(*) FROM (SELECT DISTINCT event FROM events)", 2),
        ("SELECT sum(length(event)) > 600 FROM events", True),
        ("SELECT count(event) FROM events", 2),
        (
            "SELECT count(*) FROM (SUMMARIZE events) WHERE column_name = 'event' AND max LIKE '{%'",
            1,
        ),
        ("SELECT count(*) FROM (DESCRIBE events) WHERE column_type = 'VARCHAR'", 16),
    ],
)
def test_line_in_conditions(write, calls, sql, count):
    """Likewise in conditions and numbers."""
    assert [(count,)] == rows(sql, write("a.jsonl", *calls(1)))


def test_conversations(write, calls, an_event):
    """A conversation is a row; notices are no part of one, and retried attempts no failures."""
    more = [
        an_event(session_id="conv-1", action="tool_call", event_id="t"),
        an_event(session_id="conv-1", action="system", extensions={"outcome": "retried"}),
        an_event(session_id="conv-1", action="system", extensions={"outcome": "failed"}),
        an_event(session_id="conv-1", action="system", extensions={"notice": {"kind": "lost"}}),
    ]
    path = write("a.jsonl", *calls(1), *more)
    with query("SELECT * FROM conversations", path) as answer:
        (found,) = answer.dicts()
    expected = {
        "session_id": "conv-1",
        "user_id": "alice",
        "events": 5,
        "prompts": 1,
        "completions": 1,
        "tool_calls": 1,
        "failed": 1,
        "retried": 1,
        "prompt_tokens": 11,
        "completion_tokens": 5,
        "total_tokens": 16,
        "cost_usd": 0.25,
        "providers": "openai",
        "models": "gpt-4o-mini",
    }
    assert expected == {name: found[name] for name in expected}
    assert "2026-01-02T03:04:05.678901" == found["started"].isoformat()
    assert "2026-01-02T03:04:06.678901" == found["ended"].isoformat()


def test_rotated_and_compressed(write, calls, tmp_path):
    """A log is read with its rotated files, plain and compressed, the oldest first."""
    live = write("a.jsonl", *calls(3))
    write("a.jsonl.1", *calls(2))
    old = write("a.jsonl.2", *calls(1))
    (tmp_path / "a.jsonl.2.gz").write_bytes(gzip.compress(old.read_bytes()))
    old.unlink()
    assert ["p1", "c1", "p2", "c2", "p3", "c3"] == ids(live)
    assert ids(live) == ids([tmp_path])
    assert ["p3", "c3"] == ids(live, rotated=False)


def test_zstd(write, calls, tmp_path):
    """Files that are compressed with zstd are read, too."""
    path = write("a.jsonl", *calls(1))
    zst = tmp_path / "b.jsonl.zst"
    duckdb.execute(
        f"COPY (SELECT json FROM read_ndjson_objects('{path}')) TO '{zst}' "
        "(FORMAT csv, COMPRESSION zstd, HEADER false, QUOTE '', DELIMITER '\x01')"
    )
    assert b"\x28\xb5\x2f\xfd" == zst.read_bytes()[:4]
    assert ["p1", "c1"] == ids(zst)


def test_order(write, calls):
    """Events come in the order of the file, also of one that is read in pieces by threads."""
    event = calls(1)[0]
    many = [{**event, "event_id": f"{n}", "content": {"text": "x" * 2_000}} for n in range(20_000)]
    assert [f"{n}" for n in range(20_000)] == ids(write("a.jsonl", *many))


def test_faults(write, calls):
    """What is no event is counted and told with file and line; the rest is read."""
    prompt, answer = calls(1)
    torn = json.dumps(answer).encode()[:50]
    path = write("a.jsonl", b"not JSON", prompt, b"[1]", b"", {**answer, "action": "shout"}, torn)
    told = []
    with query(IDS, path, report=told.append) as done:
        assert [("p1",)] == list(done)
        assert (4, 1) == (done.faults.count, done.events)
    assert [1, 3, 5, 6] == [error.line for error in told]
    assert {str(path)} == {error.path for error in told}
    assert "Invalid action: 'shout'" in told[2].reason


def test_what_is_read_stays(write, calls):
    """No answer takes the place of a log that is asked, whatever is forced."""
    path = write("a.jsonl", *calls(1))
    before = path.read_bytes()
    with (
        query(IDS, path) as answer,
        pytest.raises(ConfigurationError, match="what is read"),
    ):
        answer.write(path, "csv", force=True)
    assert before == path.read_bytes()


def test_what_duckdb_does_not_read(write, calls):
    """A byte order mark, NUL bytes before a line and carriage returns cost no event."""
    (one, two), (three, four) = calls(1), calls(2)
    encoded = [json.dumps(each).encode() for each in (one, two, three, four)]
    path = write(
        "a.jsonl",
        b"\xef\xbb\xbf" + encoded[0],
        b"\0" * 5_000 + encoded[1],
        encoded[2] + b"\r",
        b" " + encoded[3],
        b"\0" * 10,
    )
    told = []
    assert {"p1", "c1", "p2", "c2"} == set(ids(path, report=told.append))
    assert [5] == [error.line for error in told]


def test_misnamed_archive(write, calls, tmp_path):
    """How a file is compressed is seen from what it holds."""
    path = write("a.jsonl", *calls(1))
    packed = tmp_path / "b.jsonl"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    plain = tmp_path / "c.jsonl.gz"
    plain.write_bytes(path.read_bytes())
    assert ["p1", "c1"] == ids(packed) == ids(plain)


def test_archive_that_ends_early(write, calls, tmp_path):
    """Of a damaged archive what stands before the damage is read; the other files are, too."""
    whole = write("a.jsonl", *calls(*range(1, 200)))
    packed = gzip.compress(whole.read_bytes())
    broken = tmp_path / "b.jsonl.gz"
    broken.write_bytes(packed[: len(packed) // 2])
    told = []
    found = ids([whole, broken], report=told.append)
    assert 398 < len(found) < 2 * 398
    assert [str(broken)] == sorted({error.path for error in told})


def test_line_that_is_too_long(write, calls):
    """A line of more than 16 MiB is passed over and told."""
    one, two = calls(1)
    long = {**one, "content": {"text": "x" * (40 * 1024 * 1024)}}
    told = []
    assert ["p1", "c1"] == ids(write("a.jsonl", one, long, two), report=told.append)
    assert [2] == [error.line for error in told]


def test_odd_names(write, calls):
    """A file's name may have quotes, spaces and characters of patterns in it."""
    for name in ("it's one.jsonl", "a[1].jsonl", "{b}*.jsonl"):
        assert ["p1", "c1"] == ids(write(name, *calls(1)))


def test_pattern_and_folder(write, calls, tmp_path):
    """A pattern and a folder mean the logs in it."""
    write("a.jsonl", *calls(1))
    write("b.jsonl", *calls(2))
    write("c.txt", b"no log")
    assert ["p1", "c1", "p2", "c2"] == ids(f"{tmp_path}/*.jsonl") == ids(tmp_path)


def test_empty(write, tmp_path):
    """An empty file has no events, and no faults; a view without files has its columns."""
    with query("SELECT * FROM events", write("a.jsonl")) as answer:
        assert ([], 0, 26) == (list(answer), answer.faults.count, len(answer.columns))
    folder = tmp_path / "nothing"
    folder.mkdir()
    assert [] == rows("SELECT * FROM conversations", folder)


def test_missing(write, calls, tmp_path):
    """The only path must be there; one of several that is not is told."""
    missing = tmp_path / "no.jsonl"
    with pytest.raises(ReadError, match="File not found"):
        ids(missing)
    with pytest.raises(ReadError, match="File not found"):
        ids(tmp_path / "no.parquet")
    told = []
    assert ["p1", "c1"] == ids([missing, write("a.jsonl", *calls(1))], report=told.append)
    assert [str(missing)] == [error.path for error in told]
    with pytest.raises(ConfigurationError, match="paths"):
        ids([])


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{path}'",
        "COPY events TO '{path}'",
        "CREATE TABLE x AS SELECT 1",
        "ATTACH '{path}.db'",
        "EXPORT DATABASE '{path}.folder'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{path}'",
        "SELECT 1; COPY (SELECT 1) TO '{path}'",
        "SELECT 1) TO '{path}'; --",
        "DROP VIEW events",
        "",
        "-- nothing",
        "SELEC 1",
        "SELECT nothing FROM events",
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM '{other}'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
    ],
)
def test_refused(write, calls, tmp_path, sql):
    """A question changes no file, reads no other one, and reaches no network."""
    path = write("a.jsonl", *calls(1))
    other = write("other.txt", b"hidden text")
    before = path.read_bytes(), sorted(os.listdir(tmp_path))
    with pytest.raises(ConfigurationError, match="Invalid SQL") as caught:
        rows(sql.format(path=path, other=other), path)
    assert "hidden text" not in str(caught.value)
    assert before == (path.read_bytes(), sorted(os.listdir(tmp_path)))


def test_error_of_a_value(write, an_event):
    """What a value is, is not told by an error."""
    path = write("a.jsonl", an_event(content={"text": "my secret"}))
    with pytest.raises(ConfigurationError, match="a value does not fit") as caught:
        rows("SELECT text::INTEGER FROM events", path)
    assert "my secret" not in str(caught.value)


def test_zoned_times(write, calls):
    """Times with a zone come in UTC, without a package for time zones."""
    sql = "SELECT timestamp AT TIME ZONE 'UTC' AS at, 1 AS one FROM events LIMIT 1"
    ((at, one),) = rows(sql, write("a.jsonl", *calls(1)))
    assert ("2026-01-02T03:04:05.678901", 1) == (at.isoformat(), one)


def test_write(write, calls, tmp_path):
    """An answer becomes CSV, JSON, lines of JSON or Parquet, as the name of the file says."""
    path = write("a.jsonl", *calls(1))
    sql = "SELECT event_id, timestamp, cost_usd, [1, 2] AS list FROM events"
    for ending in ("csv", "json", "jsonl", "parquet"):
        with query(sql, path) as answer:
            answer.write(tmp_path / f"out.{ending}")
    expected = [
        {
            "event_id": "p1",
            "timestamp": "2026-01-02T03:04:05.678901",
            "cost_usd": None,
            "list": [1, 2],
        },
        {
            "event_id": "c1",
            "timestamp": "2026-01-02T03:04:06.678901",
            "cost_usd": 0.25,
            "list": [1, 2],
        },
    ]
    assert expected == json.loads((tmp_path / "out.json").read_text())
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert expected == [json.loads(line) for line in lines]
    with open(tmp_path / "out.csv", newline="") as file:
        assert [
            {**each, "cost_usd": str(each["cost_usd"] or ""), "list": "[1,2]"} for each in expected
        ] == list(csv.DictReader(file))
    again = duckdb.execute(f"SELECT event_id, list FROM '{tmp_path}/out.parquet'").fetchall()
    assert [("p1", [1, 2]), ("c1", [1, 2])] == again
    for name in os.listdir(tmp_path):
        if name.startswith("out."):
            assert 0o600 == stat.S_IMODE((tmp_path / name).stat().st_mode), name


def test_empty_answer(write, tmp_path):
    """An answer without rows is an empty array, or a table without rows."""
    path = write("a.jsonl")
    for ending, text in (("json", "[]\n"), ("jsonl", ""), ("csv", "event_id\n")):
        with query(IDS, path) as answer:
            answer.write(tmp_path / f"out.{ending}")
        assert text == (tmp_path / f"out.{ending}").read_text()


def test_write_over(write, calls, tmp_path):
    """A file that is there stays, unless it is to be replaced; another format is refused."""
    path, target = write("a.jsonl", *calls(1)), tmp_path / "out.csv"
    target.write_text("old")
    with query(IDS, path) as answer, pytest.raises(ConfigurationError, match="--force"):
        answer.write(target)
    assert "old" == target.read_text()
    with query(IDS, path) as answer:
        answer.write(target, force=True)
    assert "event_id\np1\nc1\n" == target.read_text()
    with query(IDS, path) as answer, pytest.raises(ConfigurationError, match="format"):
        answer.write(tmp_path / "out.xls")


def test_failed_write(write, calls, tmp_path):
    """A question that fails half way leaves nothing behind."""
    path = write("a.jsonl", *calls(1))
    before = sorted(os.listdir(tmp_path))
    with query("SELECT error(text) FROM events WHERE action = 'x'", path) as answer:
        answer.write(tmp_path / "fine.csv")
    with pytest.raises(ConfigurationError), query("SELECT error(text) FROM events", path) as answer:
        answer.write(tmp_path / "out.csv")
    assert [*before, "fine.csv"] == sorted(os.listdir(tmp_path))


def test_scratch_is_gone(write, calls, tmp_path, monkeypatch):
    """Nothing stays in the temporary folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with query(IDS, write("a.jsonl", b"\0", *calls(1))) as answer:
        list(answer)
    with pytest.raises(ConfigurationError):
        query("SELEC", write("a.jsonl", *calls(1)))
    assert [] == os.listdir(tmp_path / "temporary")


def test_without_duckdb(write, calls, monkeypatch):
    """Where duckdb is not installed, the extra is named."""
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingDependencyError, match="analytics"):
        query(IDS, write("a.jsonl", *calls(1)))


def test_late_import(in_child):
    """duckdb is loaded when a question is asked, and not before."""
    assert importlib.util.find_spec("duckdb")
    done = in_child(
        "import sys, hilt_logging.analysis.sql, hilt_logging.analysis as a\n"
        "a.query, a.convert; print('duckdb' in sys.modules)"
    )
    assert ("False\n", "") == (done.stdout, done.stderr)


def test_file_names_that_are_no_text(tmp_path, an_event):
    """A file whose name is not UTF-8 is read all the same."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.jsonl")
    try:
        with open(path, "wb") as file:
            file.write(json.dumps(an_event()).encode() + b"\n")
    except OSError:
        pytest.skip("not on this file system")
    assert [(1,)] == rows("SELECT count(*) FROM events", path)
