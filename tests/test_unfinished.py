"""What is undone where the process must end at once."""

from __future__ import annotations

import os

import pytest

from hilt_logging import _unfinished
from hilt_logging._unfinished import Scratch, forget, note, remove, undo_all, undone


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch):
    """Nothing of other tests is undone."""
    monkeypatch.setattr(_unfinished, "_noted", {})


def test_block():
    """What a block does is undone when it ends, also by an error, and not again."""
    calls = []
    with pytest.raises(KeyboardInterrupt), undone(lambda: calls.append("undone")):
        assert [] == calls
        raise KeyboardInterrupt
    undo_all()
    assert ["undone"] == calls


def test_at_once():
    """All that goes on is undone, also where one can't be; what is over is not."""
    calls = []
    note("over", lambda: calls.append("over"))
    forget("over")
    forget("unknown")
    with undone(lambda: calls.append("block")):
        note("fails", lambda: os.unlink("/nowhere/at/all"))
        note("noted", lambda: calls.append("noted"))
        undo_all()
        assert ["block", "noted"] == calls


def test_remove(tmp_path):
    """A file, a folder with all in it, and a link alone are deleted; what is not there is no error."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("kept")
    for name in ("folder", "file", "link", "nothing"):
        remove(str(tmp_path / name))
    assert ["kept"] == os.listdir(tmp_path)
    assert ["file"] == os.listdir(tmp_path / "kept")


def test_scratch():
    """A temporary folder is gone after its block, and where the process ends within it."""
    with Scratch() as first:
        assert os.path.isdir(first)
    with Scratch() as second:
        undo_all()
        assert not os.path.lexists(second)
    assert not os.path.lexists(first)
    assert {} == _unfinished._noted
