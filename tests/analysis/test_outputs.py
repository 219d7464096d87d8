"""Files and folders that appear whole, or not at all."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from hilt_logging.analysis._outputs import named_where_full, whole
from hilt_logging.errors import HILTError


pytestmark = pytest.mark.once


def os_error():
    raise OSError(errno.ENOSPC, "No space left on device")


def quota():
    raise OSError(errno.EDQUOT, "Disk quota exceeded", "new.db.1f.part/new.db")


def sqlite_error():
    database = sqlite3.connect(":memory:")
    database.execute("PRAGMA max_page_count = 2")
    database.execute("CREATE TABLE events (text)")
    database.execute("INSERT INTO events VALUES (zeroblob(100000))")


def duckdb_error():
    duckdb = pytest.importorskip("duckdb")
    raise duckdb.IOException('Could not write file "new.db.1f.part": No space left on device')


@pytest.mark.parametrize("fails", [os_error, quota, sqlite_error, duckdb_error])
def test_full_disk(tmp_path, fails):
    """Whoever writes, the error is of the file that was asked for; nothing stays of it."""
    path = str(tmp_path / "new.db")
    with pytest.raises(OSError, match=r"No space|quota") as caught, whole(path):
        fails()
    assert path == caught.value.filename
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "I/O error", "app.jsonl"), HILTError("disk is full"), KeyError("a")],
)
def test_other_errors(error):
    """What is no full disk is raised as it is."""
    with pytest.raises(type(error)) as caught, named_where_full("new.db"):
        raise error
    assert caught.value is error


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C when what is whole is to be given its name."""

    def replace(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("force", [True, False])
def test_folder(tmp_path, force):
    """A folder that was to be replaced is there, and no empty one, if Ctrl-C comes amid that."""
    lake = tmp_path / "lake"
    if force:
        lake.mkdir()
        (lake / "old").touch()
    with (
        pytest.raises(KeyboardInterrupt),
        whole(str(lake), force=force, folder=True) as part,
        open(os.path.join(part, "new"), "w"),
    ):
        pass
    assert (["lake"] if force else []) == os.listdir(tmp_path)
    assert not force or ["old"] == os.listdir(lake)


@pytest.mark.usefixtures("interrupted")
def test_file(tmp_path):
    """A file that was to be replaced is as it was."""
    (tmp_path / "out").write_bytes(b"old")
    with (
        pytest.raises(KeyboardInterrupt),
        whole(str(tmp_path / "out"), force=True) as part,
        open(part, "wb") as file,
    ):
        file.write(b"new")
    assert (["out"], b"old") == (os.listdir(tmp_path), (tmp_path / "out").read_bytes())
