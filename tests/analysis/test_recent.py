"""The last events of logs, and those that are written next."""

from __future__ import annotations

import datetime
import gzip
import itertools
import os
import threading

import pytest

from hilt_logging.analysis import Wanted, followed, recent
from hilt_logging.errors import ConfigurationError, ReadError
from hilt_logging.events import encode


@pytest.fixture
def event(an_event):
    """Makes events a second after each other."""

    def event(number, **fields):
        when = datetime.datetime(2026, 1, 2) + datetime.timedelta(seconds=number)
        return an_event(event_id=f"e{number}", timestamp=f"{when.isoformat()}.000000Z", **fields)

    return event


def numbers(events):
    return [int(event["event_id"][1:]) for event in events]


def test_last_ones(write, event):
    """The last ten, or as many as are asked for, the oldest first."""
    log = write("a.jsonl", *map(event, range(30)))
    assert list(range(20, 30)) == numbers(recent(log))
    assert [28, 29] == numbers(recent(log, number=2))
    assert list(range(30)) == numbers(recent(log, number=99))
    assert [] == recent(log, number=0)


def test_files_of_a_log(write, event, tmp_path):
    """Rotated files are gone back to as far as it takes, compressed ones too, and no further."""
    write("a.jsonl", event(8), event(9))
    write("a.jsonl.1", event(6), event(7))
    packed = write("x", event(4), event(5)).read_bytes()
    (tmp_path / "a.jsonl.2.gz").write_bytes(gzip.compress(packed))
    (tmp_path / "a.jsonl.3.gz").write_bytes(b"\x1f\x8bdamaged")
    errors = []
    assert [5, 6, 7, 8, 9] == numbers(recent(tmp_path / "a.jsonl", number=5, report=errors.append))
    assert [] == errors
    assert [9] == numbers(recent(tmp_path / "a.jsonl", number=1, rotated=False))
    assert 6 == len(recent(tmp_path / "a.jsonl", number=9, report=errors.append))
    assert [str(tmp_path / "a.jsonl.3.gz")] == [error.path for error in errors]


def test_several_logs(write, event):
    """Logs are mixed by the times of their events."""
    logs = [write("a.jsonl", event(1), event(4)), write("b.jsonl", event(2), event(3))]
    assert [2, 3, 4] == numbers(recent(logs, number=3))


def test_wanted(write, event):
    """Only what is wanted counts."""
    log = write("a.jsonl", *(event(n, action=("prompt", "feedback")[n % 2]) for n in range(20)))
    assert [15, 17, 19] == numbers(recent(log, Wanted(actions=["feedback"]), 3))
    assert [7, 8, 9] == numbers(recent(log, Wanted(until="2026-01-02T00:00:10"), 3))


def test_blocks(write, event):
    """Lines of any length are whole, wherever blocks of the file end; the last may have no end."""
    events = [event(n, content={"text": "x" * (n * 7919 % 200_000)}) for n in range(12)]
    log = write("a.jsonl", *events)
    log.write_bytes(log.read_bytes()[:-1])
    assert events == recent(log, number=12)


def test_what_cannot_be_read(write, event, tmp_path):
    """What is no event is reported with its line, and a file that is not there alone is an error."""
    log = write("a.jsonl", event(1), b"torn", event(2), b"")
    errors = []
    assert [1, 2] == numbers(recent([log, tmp_path / "no.jsonl"], report=errors.append))
    assert {(str(tmp_path / "no.jsonl"), None), (str(log), 2)} == {
        (error.path, error.line) for error in errors
    }
    with pytest.raises(ReadError):
        recent(tmp_path / "no.jsonl")
    assert [] == recent(write("empty.jsonl"))


def test_followed(write, event):
    """After the last ones come those that are written, each once, through a rotation."""
    log = write("a.jsonl", *map(event, range(5)))
    coming = followed(log, number=2)
    assert [3, 4] == numbers(itertools.islice(coming, 2))
    with open(log, "ab") as file:
        file.write(encode(event(5)) + b"\n")
    os.rename(log, f"{log}.1")
    write("a.jsonl", event(6))
    assert [5, 6] == numbers(itertools.islice(coming, 2))
    coming.close()


def test_followed_until(write, event, an_event):
    """What is wanted until a time is not waited for after it; a time that is over ends it at once."""
    log = write("a.jsonl", *map(event, range(5)))
    assert [3, 4] == numbers(followed(log, Wanted(until="2026-01-03"), 2))
    now = datetime.datetime.now(datetime.timezone.utc)
    coming = followed(log, Wanted(until=now + datetime.timedelta(seconds=0.2)), 1)
    assert [4] == numbers(itertools.islice(coming, 1))
    with open(log, "ab") as file:
        for later in (0, 3600):
            when = (now + datetime.timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            file.write(encode(an_event(event_id=f"e{later}", timestamp=when)) + b"\n")
    assert [0] == numbers(coming)
    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]


def test_standard_input_with_others(write, event):
    """Standard input is followed alone."""
    with pytest.raises(ConfigurationError, match="alone"):
        followed(["-", write("a.jsonl", event(1))])
