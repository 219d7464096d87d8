"""`hilt-log sql` on the screen and to files."""

from __future__ import annotations

import json

import pytest

from hilt_logging.events import encode
from hilt_logging.safeguards import jwk


pytest.importorskip("duckdb")


@pytest.fixture
def log(tmp_path, an_event):
    """A log of two events and a line that is none."""
    path = tmp_path / "a.jsonl"
    events = [an_event(content={"text": text}) for text in ("Hi", "[red]\x1b[31mevil\nline")]
    path.write_bytes(b"".join(encode(each) + b"\n" for each in events) + b"torn\n")
    return path


def test_help(hilt_log):
    """The help tells what may be asked, with examples."""
    done = hilt_log("sql", "--help")
    assert 0 == done.code
    assert "events" in done.out
    assert "Examples" in done.out


def test_table(hilt_log, log):
    """A table of the rows; what can't be read is told on stderr, and the exit code is 3."""
    done = hilt_log("sql", "SELECT action, count(*) AS n FROM events GROUP BY action", log)
    assert (3, ["action", "n", "prompt", "2"]) == (done.code, done.out.split())
    assert f"{log}, line 3: not an event" in done.err


def test_sums(hilt_log, log):
    """Money that was added up has the digits that it has, and no exponent."""
    values = "0.1::DOUBLE + 0.2, 0.000066::DOUBLE, 3::DOUBLE, 1e20::DOUBLE, 'inf'::DOUBLE"
    shown = hilt_log("sql", f"SELECT {values}", log).out.splitlines()[-1].split()
    assert ["0.3", "0.000066", "3.0", "1e+20", "inf"] == shown


def test_hostile_text(hilt_log, log):
    """Text of a log can do nothing to a terminal, and is no markup."""
    done = hilt_log("sql", 'SELECT text AS "[bold]t\x1b[0m" FROM events', log)
    assert "[red]\\u001b[31mevil" in done.out
    assert "[bold]t\\u001b[0m" in done.out
    assert "\x1b" not in done.out


def test_many_rows(hilt_log, log):
    """A table on the screen ends somewhere, and tells how to have all."""
    done = hilt_log("sql", "FROM range(1000)", log)
    assert 201 == len(done.out.splitlines())
    assert "... and 800 more" in done.err
    assert 1_000 == len(
        hilt_log("sql", "FROM range(1000)", log, "--format", "jsonl").out.splitlines()
    )


def test_json(hilt_log, log):
    """JSON is an array of objects; CSV has a line of names."""
    sql = "SELECT text, 0.5 AS half FROM events LIMIT 1"
    assert [{"text": "Hi", "half": "0.5"}] == hilt_log("sql", sql, log, "--json").json
    assert "text,half\nHi,0.5\n" == hilt_log("sql", sql, log, "--format", "csv").out


def test_file(hilt_log, log, tmp_path):
    """A file is written in the format of its name, and not over another."""
    out = tmp_path / "out.csv"
    sql = "SELECT text FROM events LIMIT 1"
    done = hilt_log("sql", sql, log, "-o", out, "--json")
    assert (3, {"output": str(out), "events": 2, "unread": 1}) == (done.code, done.json)
    assert "text\nHi\n" == out.read_text()
    again = hilt_log("sql", sql, log, "-o", out)
    assert 2 == again.code
    assert "--force" in again.err
    assert 3 == hilt_log("sql", sql, log, "-o", out, "--force").code
    assert 3 == hilt_log("sql", sql, log, "-o", tmp_path / "x", "--format", "parquet").code
    assert b"PAR1" == (tmp_path / "x").read_bytes()[:4]


@pytest.mark.parametrize(
    "arguments",
    [
        ["SELEC 1"],
        ["DROP VIEW events"],
        ["SELECT 1", "--format", "parquet"],
        ["SELECT 1", "--format", "table", "-o", "x"],
        ["SELECT 1", "-o", "x.xls"],
    ],
)
def test_wrong_usage(hilt_log, log, arguments):
    """A question or option that is wrong is told, with the exit code 2."""
    done = hilt_log("sql", arguments[0], log, *arguments[1:])
    assert (2, "") == (done.code, done.out)
    assert "Error: " in done.err


def test_empty_and_missing(hilt_log, tmp_path):
    """An empty file has no rows; one that is not there ends with 3."""
    (tmp_path / "a.jsonl").touch()
    done = hilt_log("sql", "SELECT count(*) AS n FROM events", tmp_path / "a.jsonl", "--json")
    assert (0, [{"n": 0}], "") == (done.code, done.json, done.err)
    assert 3 == hilt_log("sql", "SELECT 1", tmp_path / "b.jsonl").code


def test_standard_input(in_shell, log):
    """`-` is standard input."""
    done = in_shell("sql", "SELECT count(*) AS n FROM events", "-", "--json", input=log.read_text())
    assert (3, [{"n": 2}]) == (done.returncode, json.loads(done.stdout))


def test_keys(hilt_log, written, tmp_path):
    """With a key there are answers from what is encrypted; a file with them is warned of."""
    made = jwk.generate()
    jwk.write_new(tmp_path / "a.key.jwk", made)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    log = written("the moon", "the sun", encrypt_to=str(tmp_path / "a.pub.jwk"))
    asked = ["sql", "SELECT text, event->>'$.content.text' AS said FROM events", log]
    assert [{"text": None, "said": None}] * 2 == hilt_log(*asked, "--json").json
    key = ["--key", tmp_path / "a.key.jwk"]
    said = [{"text": each, "said": each} for each in ("the moon", "the sun")]
    done = hilt_log(*asked, *key, "--json")
    assert (0, "", said) == (done.code, done.err, done.json)
    done = hilt_log(*asked, *key, "-o", tmp_path / "out.csv")
    assert (0, True) == (done.code, "may have what was encrypted" in done.err)
    assert 0o600 == (tmp_path / "out.csv").stat().st_mode & 0o777
    assert 2 == hilt_log(*asked, *key, "--engine", "spark").code
    assert 2 == hilt_log(*asked, "--key", tmp_path / "gone.jwk").code
