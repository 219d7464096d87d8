"""`hilt-log import` and what it tells."""

from __future__ import annotations

import json
import re

import pytest

from hilt_logging.analysis.importing import SOURCES


@pytest.fixture
def old(tmp_path, an_event):
    """A log of hilt-python with a cost that is a text, and a line that is torn."""
    path = tmp_path / "old.jsonl"
    event = an_event(metrics={"cost_usd": "0.5"})
    path.write_text(f'{json.dumps(event)}\n{{"torn\n')
    return path


def test_help(hilt_log):
    """The help tells all that can be imported."""
    done = hilt_log("import", "--help")
    assert 0 == done.code
    assert set(SOURCES) <= set(re.split(r"[\[\]|\s]+", done.out))


def test_told(hilt_log, old, tmp_path):
    """How many events there are is told, and what was changed or not carried over."""
    done = hilt_log("import", old, "-o", tmp_path / "new.jsonl")
    assert 3 == done.code
    assert [
        f"{tmp_path}/new.jsonl: 1 event",
        "1 event with a field that is now in extensions.original",
        "Not carried over (1): lines",
    ] == done.out.splitlines()
    assert f"{old}, line 2: not an event" in done.err


def test_json(hilt_log, old, tmp_path):
    """The same as JSON."""
    done = hilt_log("import", old, "-o", tmp_path / "new.jsonl", "--json")
    expected = {"events": 1, "changed": 1, "lost": {"lines": 1}, "faults": 1}
    assert {"output": f"{tmp_path}/new.jsonl", **expected} == done.json


def test_wrong_usage(hilt_log, old, tmp_path):
    """An output must be given, is not written over, and never takes the place of what is read."""
    assert 2 == hilt_log("import", old).code
    assert 2 == hilt_log("import", old, "-o", old).code
    assert 2 == hilt_log("import", old, "-o", tmp_path / "x", "--from", "nobody").code
    assert 2 == hilt_log("import", old, "-o", old, "--force").code


def test_empty_and_missing(hilt_log, tmp_path):
    """An empty file gives an empty log; one that is not there ends with 3."""
    (tmp_path / "a.jsonl").touch()
    assert 0 == hilt_log("import", tmp_path / "a.jsonl", "-o", tmp_path / "b.jsonl").code
    assert b"" == (tmp_path / "b.jsonl").read_bytes()
    assert 3 == hilt_log("import", tmp_path / "no.jsonl", "-o", tmp_path / "c.jsonl").code
