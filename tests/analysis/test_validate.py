"""Whether what stands in files are events."""

from __future__ import annotations

import gzip
import json

import pytest

from hilt_logging.analysis.validate import InvalidLine, validate
from hilt_logging.schema import Fault


@pytest.fixture
def write(tmp_path, an_event):
    """Writes a log; `$` stands for a good line."""

    def write_(text, name="app.jsonl"):
        path = tmp_path / name
        path.write_text(text.replace("$", json.dumps(an_event())))
        return path

    return write_


def test_good(write):
    """Events are counted, and nothing is wrong."""
    found = validate(write("$\n\n$\n"))
    assert (1, 2, 0, 0, []) == (
        found.files,
        found.events,
        found.invalid,
        found.unread,
        found.errors,
    )
    assert 0 == found.exit_code


def test_invalid(write):
    """Each line that is none is told with file, line and, where it is an object, each fault."""
    path = write('$\n{"event_id": ""}\nsecret\n')
    found = validate(path)
    first, second = found.errors
    assert (1, 2, 1) == (found.events, found.invalid, found.exit_code)
    assert (str(path), 2) == (first.file, first.line)
    assert Fault("$.event_id", "must not be empty") in first.faults
    assert Fault("$.actor", "is required") in first.faults
    assert isinstance(second, InvalidLine)
    assert (3, []) == (second.line, second.faults)
    assert "secret" not in second.reason


@pytest.mark.parametrize(("most", "kept"), [(0, 0), (2, 2), (100, 5)])
def test_max_errors(write, most, kept):
    """Only so many are kept; all are counted and reported."""
    reported = []
    found = validate(write("x\n" * 5), max_errors=most, report=reported.append)
    assert (5, kept, 5) == (found.invalid, len(found.errors), len(reported))


def test_unread(write, tmp_path):
    """A file that can't be read does not hinder the others, and is not taken for valid."""
    path = write("$\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(path.read_bytes() * 100)[:-20])
    found = validate([tmp_path / "nope.jsonl", tmp_path])
    assert (2, 3) == (found.unread, found.exit_code)
    assert 1 <= found.events
    assert f"File not found: {tmp_path}/nope.jsonl" in found.unread_files
    assert 3 == validate(tmp_path / "nope.jsonl").exit_code


def test_invalid_and_unread(write, tmp_path):
    """That lines are wrong is the answer, also where a file could not be read."""
    assert 1 == validate([write("x\n"), tmp_path / "nope.jsonl"]).exit_code


def test_hilt_python(write, an_event):
    """Lines that are read as events, after conversion, are valid."""
    event = an_event(timestamp="2025-01-02T04:04:05+01:00", metrics={"cost_usd": "0.5"})
    del event["hilt_version"]
    assert 0 == validate(write(json.dumps(event))).exit_code


def test_rotated(write):
    """A log is checked with its rotated files, or alone."""
    write("$\n$\n", "app.jsonl.1")
    path = write("$\n")
    assert (2, 3) == (validate(path).files, validate(path).events)
    assert 1 == validate(path, rotated=False).events


def test_empty(write):
    """An empty file is no fault."""
    assert (0, 0) == (validate(write("")).events, validate(write("")).exit_code)
