"""The lock between processes, and file systems that have none."""

from __future__ import annotations

import errno
import os

import pytest

from hilt_logging import HILTFileHandler, emit


fcntl = pytest.importorskip("fcntl")


def prompt(text="Hi"):
    return {"actor": {"type": "human", "id": "bob"}, "action": "prompt", "content": {"text": text}}


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def without_locks(request, monkeypatch):
    """Each flock fails, as on a file system that has none."""

    def flock(fd, operation):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("without_locks")
def test_no_locks(tmp_path, hilt, lines):
    """Without locks each event is one whole line, and the file is not rotated."""
    path = tmp_path / "log.jsonl"
    handler = HILTFileHandler(path, max_bytes=2000)
    hilt.addHandler(handler)
    ids = [emit(prompt("x" * 500)) for _ in range(20)]
    counts = handler.stats()
    assert ids == [event["event_id"] for event in lines(path)]
    assert (20, 0) == (counts["written"], counts["dropped"])
    assert ["log.jsonl"] == [each.name for each in tmp_path.glob("log*")]


@pytest.mark.usefixtures("without_locks")
def test_several_processes(tmp_path, hilt, lines, forked):
    """Four processes without locks: each line is whole, none is lost."""
    path = tmp_path / "log.jsonl"
    hilt.addHandler(HILTFileHandler(path))

    def write():
        for number in range(200):
            emit(prompt("x" * (number * 37 % 5000)))

    pids = [forked.start(write) for _ in range(4)]
    assert [0] * 4 == [forked.wait(pid) for pid in pids]
    assert 800 == len(lines(path))
