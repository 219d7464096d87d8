"""`hilt-log convert` and what it tells."""

from __future__ import annotations

import json

import pytest

from hilt_logging.events import encode
from hilt_logging.safeguards import jwk


@pytest.fixture
def log(tmp_path, an_event):
    """A log of two events."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(encode(an_event(event_id=each)) + b"\n" for each in "ab"))
    return path


def test_help(hilt_log):
    """The help tells what can be made, with examples."""
    done = hilt_log("convert", "--help")
    assert 0 == done.code
    assert "Parquet" in done.out
    assert "Examples" in done.out


def test_beside(hilt_log, log, tmp_path):
    """Without an output the new file stands beside the log."""
    done = hilt_log("convert", log, "--to", "csv", "--columns", "event_id, action")
    assert (0, f"{tmp_path}/a.csv: 2 events\n", "") == (done.code, done.out, done.err)
    assert "event_id,action\na,prompt\nb,prompt\n" == (tmp_path / "a.csv").read_text()


def test_round_trip(hilt_log, log, tmp_path):
    """To SQLite and back; the result as JSON."""
    done = hilt_log("convert", log, "-o", tmp_path / "a.db", "--json")
    expected = {"output": f"{tmp_path}/a.db", "format": "sqlite", "events": 2, "faults": 0}
    assert (0, expected) == (done.code, done.json)
    assert 0 == hilt_log("convert", tmp_path / "a.db", "-o", tmp_path / "b.jsonl").code
    assert log.read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_partition(hilt_log, log, tmp_path):
    """A folder of Parquet, compressed as it is wanted."""
    pytest.importorskip("duckdb")
    options = ["--to", "parquet", "--partition", "--compression", "snappy"]
    assert 0 == hilt_log("convert", log, *options, "-o", tmp_path / "lake").code
    assert 1 == len(list((tmp_path / "lake").glob("day=2026-01-02/provider=*/*.parquet")))


def test_faults(hilt_log, log, tmp_path):
    """The first lines that can't be read are told on stderr, the others counted; the code is 3."""
    with open(log, "ab") as file:
        file.write(b"torn\n" * 30)
    done = hilt_log("convert", log, "--to", "csv")
    assert (3, f"{tmp_path}/a.csv: 2 events\n") == (done.code, done.out)
    assert 20 == done.err.count("not an event")
    assert "... and 10 more" in done.err


@pytest.mark.parametrize(
    "arguments", [[], ["--to", "xls"], ["-o", "x.xls"], ["--to", "csv", "--partition"]]
)
def test_wrong_usage(hilt_log, log, arguments):
    """A wrong option ends with 2."""
    done = hilt_log("convert", log, *arguments)
    assert (2, "") == (done.code, done.out)
    assert "Error" in done.err


def test_format_that_is_not_known(hilt_log, log):
    """The error names what was typed, and what may be."""
    told = hilt_log("convert", log, "-o", "x.xls").err
    assert "Invalid --output: 'x.xls'. Must end with one of: .csv, .parquet, .db" in told
    assert ", or set --to\n" in told


def test_several_files_without_an_output(hilt_log, log, tmp_path):
    """Of several files there is no name to take for the new one."""
    told = hilt_log("convert", log, log, "--to", "csv").err
    assert told.startswith("Error: Missing --output. Name the new file")


def test_force(hilt_log, log, tmp_path):
    """A file that is there is replaced with --force alone."""
    (tmp_path / "a.csv").write_text("old")
    assert 2 == hilt_log("convert", log, "--to", "csv").code
    assert "old" == (tmp_path / "a.csv").read_text()
    assert 0 == hilt_log("convert", log, "--to", "csv", "--force").code


def test_empty_and_missing(hilt_log, tmp_path):
    """An empty file gives an empty table; one that is not there ends with 3."""
    (tmp_path / "a.jsonl").touch()
    assert 0 == hilt_log("convert", tmp_path / "a.jsonl", "--to", "csv").code
    assert 3 == hilt_log("convert", tmp_path / "b.jsonl", "--to", "csv", "-o", tmp_path / "c").code


def test_standard_input(in_shell, log, tmp_path):
    """`-` is standard input; a table of all fields needs what can be read twice."""
    data = log.read_text()
    options = ["--to", "csv", "-o", tmp_path / "out.csv"]
    refused = in_shell("convert", "-", *options, input=data)
    assert (2, True) == (refused.returncode, "columns" in refused.stderr)
    done = in_shell("convert", "-", *options, "--columns", "event_id", "--json", input=data)
    assert (0, 2) == (done.returncode, json.loads(done.stdout)["events"])


def test_keys(hilt_log, written, tmp_path):
    """With a key the new file has what was encrypted, which is said; what stays so is counted."""
    made, other = jwk.generate(), jwk.generate()
    for name, key in (("a", made), ("b", other)):
        jwk.write_new(tmp_path / f"{name}.key.jwk", key)
    jwk.write_new(tmp_path / "a.pub.jwk", jwk.public_of(made))
    log = written("the moon", encrypt_to=str(tmp_path / "a.pub.jwk"))
    done = hilt_log("convert", log, "--to", "csv", "--key", tmp_path / "a.key.jwk")
    assert (0, True) == (done.code, "1 event opened: the new file has what" in done.err)
    assert "the moon" in (tmp_path / "app.csv").read_text()
    done = hilt_log("convert", log, "--to", "csv", "--force", "--key", tmp_path / "b.key.jwk")
    assert (0, "", True) == (done.code, done.err, "1 event not opened: no key" in done.out)
    assert "the moon" not in (tmp_path / "app.csv").read_text()
