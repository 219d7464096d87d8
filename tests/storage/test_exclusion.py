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
    """The name of the error with which each flock fails, as on a file system that has none."""

    def flock(fd, operation):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)
    return errno.errorcode[request.param]


def test_no_locks(tmp_path, hilt, lines, without_locks):
    """Without locks each event is one whole line, the file is not rotated, and it is told why."""
    path = tmp_path / "log.jsonl"
    handler = HILTFileHandler(path, max_bytes=2000)
    hilt.addHandler(handler)
    ids = [emit(prompt("x" * 500)) for _ in range(20)]
    counts = handler.stats()
    assert ids == [event["event_id"] for event in lines(path)]
    assert (20, 0) == (counts["written"], counts["dropped"])
    assert {without_locks: 1} == counts["lock_failures"]
    assert ["log.jsonl"] == [each.name for each in tmp_path.glob("log*")]


def test_locks(tmp_path, hilt):
    """Where there are locks, none is told to fail, and the file is rotated."""
    handler = HILTFileHandler(tmp_path / "log.jsonl", max_bytes=2000)
    hilt.addHandler(handler)
    for _ in range(20):
        emit(prompt("x" * 500))
    assert {} == handler.stats()["lock_failures"]
    assert len(list(tmp_path.glob("log*"))) > 1


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
