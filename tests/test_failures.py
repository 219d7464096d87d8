"""What happens to events that can't be written: the option `on_error`, and the notice of a loss."""

from __future__ import annotations

import json
import logging
import os
import threading
import time

import pytest

import hilt_logging

from hilt_logging import ConfigurationError, HILTFileHandler, RecordingError, emit, validate_event
from hilt_logging._failures import Gap, Policy


@pytest.fixture
def hilt():
    """The logger of events, at INFO and by itself."""
    logger = logging.getLogger("hilt")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


@pytest.fixture
def full(monkeypatch):
    """A disk that is full while the set has something in it."""
    reasons, write = {"full"}, os.write

    def write_or_fail(fd, data):
        if reasons and fd > 2:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", write_or_fail)
    return reasons


def attached(logger, path, **options):
    handler = HILTFileHandler(path, **options)
    logger.addHandler(handler)
    return handler


def prompt():
    return {
        "actor": {"type": "human", "id": "a"},
        "action": "prompt",
        "content": {"text": "SECRET"},
    }


def lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize(
    ("on_error", "patience_s", "raises"),
    [
        ("count", 0, False),
        ("raise", 0, True),
        ("block:2", 2, False),
        ("block:0.5s", 0.5, False),
        ("block:250ms", 0.25, False),
        ("block:99999", 3600, False),
    ],
)
def test_policies(on_error, patience_s, raises):
    """Each form of the option means what it says; no wait is longer than an hour."""
    policy = Policy(on_error)
    assert (patience_s, raises) == (policy.patience_s, policy.raises)


@pytest.mark.parametrize(
    "on_error", ["", "ignore", "block", "block:", "block:-1", "block:x", None, 3]
)
def test_wrong_policy(on_error, tmp_path):
    """Anything else is an error at set-up that names the option, the value and what is allowed."""
    with pytest.raises(ConfigurationError, match="on_error") as caught:
        HILTFileHandler(tmp_path / "a", on_error=on_error)
    assert repr(on_error) in str(caught.value)
    assert "block:SECONDS" in str(caught.value)


def test_notice_of_a_loss(hilt, tmp_path, full):
    """Once writing works again, the file says how much was lost, when and why."""
    handler = attached(hilt, tmp_path / "a.jsonl")
    ids = [emit(prompt()) for _ in range(2)]
    full.clear()
    kept = emit(prompt())
    after = emit(prompt())
    found = lines(tmp_path / "a.jsonl")
    assert [kept, after] == [found[0]["event_id"], found[2]["event_id"]]
    notice = found[1]["extensions"]["notice"]
    assert ("loss", 2, {"ENOSPC": 2}) == (notice["kind"], notice["dropped"], notice["by_cause"])
    assert notice["from"] <= notice["to"] <= found[1]["timestamp"]
    assert [] == validate_event(found[1])
    assert None not in ids
    assert (4, 2, 2) == tuple(handler.stats()[name] for name in ("accepted", "written", "dropped"))


def test_notice_comes_once(hilt, tmp_path, full):
    """A loss is told once, and the next one anew."""
    attached(hilt, tmp_path / "a.jsonl")
    for _ in range(2):
        full.add("full")
        emit(prompt())
        full.clear()
        emit(prompt())
        emit(prompt())
    told = [
        event["extensions"]["notice"]
        for event in lines(tmp_path / "a.jsonl")
        if "notice" in event.get("extensions", {})
    ]
    assert [1, 1] == [notice["dropped"] for notice in told]


def test_notice_that_fails_is_told_later():
    """What could not be told is part of the next notice."""
    gap = Gap()
    gap.add("ENOSPC")
    told = gap.take()
    gap.add("EIO")
    gap.put_back(told)
    again = gap.take()
    assert (2, {"ENOSPC": 1, "EIO": 1}) == (again["dropped"], again["by_cause"])
    assert told["from"] == again["from"]
    assert gap.take() is None
    assert not gap.is_open


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_while_a_loss_is_counted(hilt, tmp_path, full, forked):
    """A child forked while a thread counts a loss does not hang, and leaves that to its parent."""
    handler = attached(hilt, tmp_path / "a.jsonl")
    emit(prompt())
    full.clear()
    held, done = threading.Event(), threading.Event()

    def count():
        with handler._gap._lock:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=count)
    thread.start()
    held.wait()
    try:
        assert 0 == forked.run(lambda: emit(prompt()), timeout=20)
    finally:
        done.set()
        thread.join()
    assert ["prompt"] == [event["action"] for event in lines(tmp_path / "a.jsonl")]
    emit(prompt())
    *_, notice = lines(tmp_path / "a.jsonl")
    assert 1 == notice["extensions"]["notice"]["dropped"]


def test_raise(hilt, tmp_path, full):
    """Under `raise`, `emit` raises when all handlers had the event; nothing else does."""
    attached(hilt, tmp_path / "a.jsonl", on_error="raise")
    seen = []

    class Later(logging.Handler):
        def emit(self, record):
            seen.append(record.hilt["event_id"])

    hilt.addHandler(later := Later())
    try:
        with pytest.raises(RecordingError, match="ENOSPC") as caught:
            emit(prompt())
        hilt.info("rated", extra={"hilt": prompt()})
    finally:
        hilt.removeHandler(later)
    assert 2 == len(seen)
    assert "SECRET" not in str(caught.value)
    full.clear()
    assert emit(prompt()) is not None


def test_raise_not_within_another(hilt, tmp_path, full):
    """An event within the handling of another raises nothing there."""
    attached(hilt, tmp_path / "a.jsonl", on_error="raise")
    raised = []

    class Nested(logging.Handler):
        def emit(self, record):
            if record.name == "hilt":
                try:
                    emit(prompt(), logger="hilt.app.nested")
                except RecordingError as error:
                    raised.append(error)

    hilt.addHandler(nested := Nested())
    try:
        with pytest.raises(RecordingError):
            emit(prompt())
    finally:
        hilt.removeHandler(nested)
    assert [] == raised


def test_block(hilt, tmp_path, full):
    """Under `block`, the caller waits until writing works again, and the event is kept."""
    handler = attached(hilt, tmp_path / "a.jsonl", on_error="block:30")
    threading.Timer(0.3, full.clear).start()
    kept = emit(prompt())
    assert [kept] == [event["event_id"] for event in lines(tmp_path / "a.jsonl")]
    assert 0 == handler.stats()["dropped"]


def test_block_has_an_end(hilt, tmp_path, full):
    """When the time is up, the event is counted as lost."""
    handler = attached(hilt, tmp_path / "a.jsonl", on_error="block:200ms")
    began = time.monotonic()
    assert emit(prompt()) is not None
    assert time.monotonic() - began >= 0.2
    assert {"ENOSPC": 1} == handler.stats()["dropped_by"]


def test_from_dict_config(tmp_path):
    """The option works from `dictConfig`."""
    import logging.config

    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "record": {
                    "class": "hilt_logging.HILTFileHandler",
                    "filename": str(tmp_path / "a.jsonl"),
                    "on_error": "raise",
                }
            },
            "loggers": {"hilt": {"level": "INFO", "handlers": ["record"], "propagate": False}},
        }
    )
    assert hilt_logging.emit(prompt()) is not None
