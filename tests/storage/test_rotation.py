"""Moving a file aside."""

from __future__ import annotations

import os
import re

from pathlib import Path

import pytest

from hilt_logging.storage.appender import acquire, release
from hilt_logging.storage.rotation import move_aside


@pytest.fixture
def appender(tmp_path):
    """The appender of a file that is not there yet."""
    made = acquire(str(tmp_path / "a.jsonl"), 0o600, True)
    yield made
    release(made)


def test_name(appender, tmp_path):
    """The new name is the old one plus the time in UTC; nothing of the content changes."""
    (tmp_path / "a.jsonl").write_bytes(b"x\n")
    aside = move_aside(appender.path)
    assert re.fullmatch(r".*/a\.jsonl\.\d{8}T\d{6}\.\d{9}Z", aside)
    assert [aside] == [str(path) for path in tmp_path.iterdir()]
    with open(aside, "rb") as file:
        assert b"x\n" == file.read()


def test_never_twice(appender, tmp_path):
    """No name is used again, and names sort by time."""
    names = []
    for number in range(50):
        (tmp_path / "a.jsonl").write_text(f"{number}\n")
        names.append(move_aside(appender.path))
    assert sorted(set(names)) == names
    assert [f"{number}\n" for number in range(50)] == [Path(name).read_text() for name in names]


@pytest.mark.parametrize("there", ["nothing", "empty", "directory"])
def test_nothing_to_move(appender, tmp_path, there):
    """Where there is no file with content, nothing is moved, least of all a directory."""
    path = tmp_path / "a.jsonl"
    if there == "empty":
        path.touch()
    elif there == "directory":
        path.mkdir()
        (path / "precious").touch()
    before = sorted(tmp_path.rglob("*"))
    assert move_aside(appender.path) is None
    assert before == sorted(tmp_path.rglob("*"))


def test_another_was_first(appender, tmp_path, monkeypatch):
    """Where another process moves it at the same moment, there is nothing left to do."""
    (tmp_path / "a.jsonl").write_bytes(b"x\n")
    rename = os.rename

    def gone(source, target):
        os.unlink(appender.path)
        rename(source, target)

    monkeypatch.setattr(os, "rename", gone)
    assert move_aside(appender.path) is None
