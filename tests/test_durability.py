"""What an event outlives: the option `durability`."""

from __future__ import annotations

import json
import os

import pytest

from hilt_logging import ConfigurationError, HILTFileHandler, emit
from hilt_logging.storage import appender as appenders


@pytest.fixture
def synced(monkeypatch):
    """The descriptors that were brought to the disk; a fault in them while `fails` is set."""

    class Synced(list):
        fails = False

    calls = Synced()

    def fdatasync(fd):
        calls.append(fd)
        if calls.fails:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(appenders, "_fdatasync", fdatasync)
    return calls


@pytest.fixture
def attached(hilt):
    """Attach a handler to `hilt`."""

    def attach(path, **options):
        handler = HILTFileHandler(path, **options)
        hilt.addHandler(handler)
        return handler

    return attach


@pytest.fixture
def hilt():
    """The logger of events, at INFO and by itself."""
    import logging

    logger = logging.getLogger("hilt")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


def prompt():
    return {"actor": {"type": "human", "id": "a"}, "action": "prompt"}


@pytest.mark.parametrize(
    ("durability", "events", "syncs"),
    [("process", 10, 0), ("disk", 10, 10), ("disk:3", 10, 3), ("disk:1", 4, 4)],
)
def test_how_often(durability, events, syncs, attached, synced, tmp_path):
    """The file is brought to the disk after each event, after every so many, or never."""
    attached(tmp_path / "a.jsonl", durability=durability)
    for _ in range(events):
        emit(prompt())
    assert syncs == len(synced)


def test_rest_at_the_end(attached, synced, tmp_path):
    """What is left of a hundred is brought to the disk when the file is closed."""
    handler = attached(tmp_path / "a.jsonl", durability="disk:100")
    emit(prompt())
    assert [] == synced
    handler.close()
    assert 1 == len(synced)


@pytest.mark.parametrize("on_error", ["count", "block:30"])
def test_failed_sync_is_a_loss(on_error, attached, synced, tmp_path):
    """What perhaps did not reach the disk counts as lost, is told, and is not written twice."""
    handler = attached(tmp_path / "a.jsonl", durability="disk", on_error=on_error)
    synced.fails = True
    emit(prompt())
    assert 1 == len(synced)
    synced.fails = False
    emit(prompt())
    assert (2, 1, {"EIO": 1}) == tuple(
        handler.stats()[name] for name in ("accepted", "written", "dropped_by")
    )
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [None, None, {"EIO": 1}] == [
        line.get("extensions", {}).get("notice", {}).get("by_cause") for line in lines
    ]


def test_folder_is_synced(attached, synced, tmp_path, monkeypatch):
    """The name of a new file is brought to the disk, too."""
    folders = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: folders.append(os.fstat(fd).st_ino) or fsync(fd))
    attached(tmp_path / "a.jsonl", durability="disk")
    assert [tmp_path.stat().st_ino] == folders


@pytest.mark.parametrize("durability", ["", "power", "disk:", "disk:0", "disk:-1", None, 3, True])
def test_wrong_durability(durability, tmp_path):
    """Anything else is an error at set-up that names the option, the value and what is allowed."""
    with pytest.raises(ConfigurationError, match="durability") as caught:
        HILTFileHandler(tmp_path / "a", durability=durability)
    assert "disk:LINES" in str(caught.value)


def test_for_real(attached, tmp_path):
    """With the real call the events are in the file."""
    attached(tmp_path / "a.jsonl", durability="disk")
    kept = [emit(prompt()) for _ in range(3)]
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert kept == [json.loads(line)["event_id"] for line in lines]


def test_notice_that_is_not_synced(attached, tmp_path, monkeypatch):
    """A notice that is in the file, but perhaps not on the disk, is not written once more."""
    attached(tmp_path / "a", durability="disk")
    results = iter([False, True, False, True, True, True])

    def fdatasync(fd):
        if not next(results):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(appenders, "_fdatasync", fdatasync)
    for _ in range(4):  # the first one fails, then the notice that follows the second one
        emit(prompt())
    events = map(json.loads, (tmp_path / "a").read_text().splitlines())
    assert [1] == [
        event["extensions"]["notice"]["dropped"] for event in events if "extensions" in event
    ]
