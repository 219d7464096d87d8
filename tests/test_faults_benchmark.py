"""
What benchmarks/faults.py counts; tests/storage has the faults themselves.
"""

from __future__ import annotations

import importlib
import json
import sys

from pathlib import Path
from types import SimpleNamespace

import pytest


BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
MODULES = ("fault_contenders", "fault_scenarios", "faults")
A, B, C = (f"01a2047d-24da-7001-91aa-{number:012x}" for number in range(3))


@pytest.fixture
def modules(monkeypatch):
    """The modules of the benchmark, under their own names, which are forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def counted(modules, tmp_path):
    """Counts a run that told some notes and left some files."""

    def count(notes, **files):
        (tmp_path / "notes").write_text("".join(f"{note}\n" for note in notes))
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        found = modules.faults.outcome(tmp_path, modules.fault_contenders.Ours)
        return {name: value for name, value in vars(found).items() if value}

    return count


def line(event_id):
    return json.dumps({"event_id": event_id}).encode() + b"\n"


def test_all_there(counted):
    """Events may be in any file of the run, and fragments of what nobody was told are torn lines."""
    found = counted(
        ["round ", f"accepted {A}", f"accepted {B}"], log=line(A), log_1=b'{"event_id\n' + line(B)
    )
    assert {"rounds": 1, "events": 2, "torn": 1} == found


def test_missing(counted):
    """An accepted event that is nowhere is lost, one that was refused or raised is not."""
    found = counted([f"accepted {A}", f"refused {B}", "raised "], log=b"")
    assert {"events": 3, "lost": 1, "refused": 1, "raised": 1} == found


def test_glued(counted):
    """An accepted event behind a fragment is lost and its line is glued."""
    found = counted([f"accepted {A}"], log=line(B)[:20] + line(A))
    assert {"events": 1, "lost": 1, "glued": 1} == found


def test_glued_and_written_again(counted):
    """A line whose event is whole elsewhere is a torn one."""
    found = counted([f"accepted {A}"], log=line(B)[:20] + line(A) + line(A))
    assert {"events": 1, "torn": 1} == found


def test_twice(counted):
    """An event that is there twice is told."""
    assert {"events": 1, "twice": 1} == counted([f"accepted {A}"], log=line(A) * 2)


@pytest.mark.parametrize(
    "text",
    ['{"event_id": "%s", "x": NaN}', '{"event_id": "%s", "x": 1, "x": 2}', '"\\ud800%s"', "%s"],
)
def test_no_json(counted, text):
    """What a strict reader does not take is no event."""
    found = counted([f"accepted {A}"], log=(text % A).encode() + b"\n")
    assert {"events": 1, "lost": 1, "glued": 1} == found


def test_no_id(counted):
    """What the library returned instead of an id is lost each time."""
    assert {"events": 2, "lost": 2} == counted(["accepted None"] * 2, log=b"")


def test_failed_scenario(counted):
    """A scenario that failed by itself counts nothing."""
    with pytest.raises(RuntimeError, match="a fault did not happen"):
        counted(["failed a fault did not happen"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_a_scenario(modules):
    """A run in a process of its own: 3 rounds of 4 processes with 500 events each."""
    found = modules.faults.measure("own rotation, 4 processes", "hilt_logging", None)
    assert modules.faults.Outcome(3, 6000, 0, 0, 0, 0, 0, 0, 0) == found
