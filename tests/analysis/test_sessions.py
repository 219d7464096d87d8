"""Which sessions logs have, with and without indexes."""

from __future__ import annotations

import gzip
import os
import random

import pytest

from hilt_logging.analysis._index import places_in
from hilt_logging.analysis._sessions import _Indexed, latest_sessions
from hilt_logging.analysis.conversation import index, sessions
from hilt_logging.errors import ReadError
from hilt_logging.events import encode
from hilt_logging.io.files import LONGEST, files_of


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def event(an_event):
    """Makes an event of a session at some minute."""

    def event(session, minute, **fields):
        return an_event(
            event_id=f"{session}-{minute}",
            timestamp=f"2026-01-02T{minute // 60:02d}:{minute % 60:02d}:00.000000Z",
            session_id=session,
            **fields,
        )

    return event


@pytest.fixture
def events(event):
    """Events of thirty sessions, nearly in the order of time, and what is no conversation."""
    chance = random.Random(7)
    made = []
    for minute in range(300):
        session = f"conv-{chance.randrange(30)}"
        actor = {"type": "human", "id": f"user-{chance.randrange(3)}"}
        model = {"provenance": {"model": f"m{chance.randrange(2)}"}} if minute % 2 else {}
        made.append(event(session, minute, actor=actor, **model))
    told = {"notice": {"kind": "loss"}}
    made += [event("conv-1", 400 + n, action="system", extensions=told) for n in range(2)]
    made.append(event("only-a-notice", 500, action="system", extensions=told))
    for _ in range(60):
        one = chance.randrange(1, len(made))
        made[one - 1], made[one] = made[one], made[one - 1]
    return made


def by_index(path, number):
    """The latest sessions, where indexes tell them."""
    return _Indexed(files_of(path)).latest(number)


@pytest.mark.parametrize("number", [1, 5, 99])
def test_indexed(write, events, event, number):
    """With an index they are the same, also those of lines behind it."""
    torn = encode(events[0]).replace(b'"actor"', b"torn", 1)
    log = write("a.jsonl", *events[:200], torn, b"", b"null", *events[200:])
    assert by_index(log, number) is None
    assert 1 == index(log, least_bytes=1)
    with open(log, "ab") as file:
        for each in (event("conv-2", 600), event("new", 550), event("half", 700)):
            file.write(encode(each) + b"\n")
    expected = sessions(log, report=lambda error: None)
    found = by_index(log, number)
    assert (expected[-number:], len(expected)) == (found.sessions, found.count)


NO_EVENTS = [
    b'{"session_id":"none","timestamp":"2026-01-03T00:00:00.000000Z",'
    b'"actor":{"type":"human","id":"a"},"action":"prompt"}',
    b'{"hilt_version":"1.0.0","event_id":"1","timestamp":"2026-01-03T00:00:00.000000Z",'
    b'"session_id":"conv-1","actor":{"type":"human","id":"a"},"action":"jump"}',
]


@pytest.mark.parametrize("at", [100, 301])
def test_lines_that_are_no_events(write, events, at):
    """What lacks a field, or has another value in it, is of no session, before an index ends and after."""
    log = write("a.jsonl", *events[:at])
    with open(log, "ab") as file:
        file.write(b"\n".join([*NO_EVENTS, b""]))
    index(log, least_bytes=1)
    with open(log, "ab") as file:
        file.write(b"\n".join([*NO_EVENTS, *map(encode, events[at:]), b""]))
    expected = sessions(log, report=lambda error: None)
    assert expected == by_index(log, 99).sessions
    assert "none" not in [each.session_id for each in expected]


def test_line_that_is_too_long(write, events):
    """A line that is passed over is told, with and without an index, by its number."""
    log = write(
        "a.jsonl", *events[:100], b'{"x":"' + b"x" * (LONGEST + 200_000) + b'"}', *events[100:]
    )
    told = {False: [], True: []}
    for is_indexed, faults in told.items():
        latest_sessions(log, 5, report=lambda error, to=faults: to.append(str(error)))
        assert is_indexed or 1 == index(log, least_bytes=1)
    assert [f"{log}, line 101: it has more than {LONGEST} bytes and is passed over"] == told[True]
    assert told[False] == told[True]


def test_many_lines_that_are_too_long(write, event, monkeypatch):
    """However many lines are passed over, the index is used, and tells of the first thousand."""
    for module in ("analysis._index", "io.files"):
        monkeypatch.setattr(f"hilt_logging.{module}.LONGEST", 10)
    monkeypatch.setattr("hilt_logging.analysis._index._BLOCK", 64)
    long = b"x" * 200
    log = write("a.jsonl", *[b""] * 10_000, *[long] * 1500, event("s", 1))
    assert index(log, least_bytes=1) == 1
    told = []
    with open(log, "rb", buffering=0) as source:
        places = places_in(str(log), source, told.append)
    assert places is not None
    assert places.end == log.stat().st_size
    assert [each.line for each in told] == [10_001 + number for number in range(1000)]


def test_files_of_a_log(write, events):
    """Sessions go on over the files of a log; a small file needs no index."""
    write("a.jsonl.1", *events[:150])
    log = write("a.jsonl", *events[150:])
    index(f"{log}.1", least_bytes=1)
    assert sessions(log)[-7:] == by_index(log, 7).sessions


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda log, data: log.write_bytes(data[:-500]), id="shorter"),
        pytest.param(
            lambda log, data: log.write_bytes(data.replace(b"00.000000Z", b"00.000000+00:00")),
            id="other times",
        ),
        pytest.param(
            lambda log, data: log.with_name("a.jsonl.1.gz").write_bytes(gzip.compress(data)),
            id="compressed",
        ),
    ],
)
def test_what_an_index_does_not_tell(write, events, change):
    """Where an index is not of the file, or can't tell, the log is read."""
    log = write("a.jsonl", *events)
    index(log, least_bytes=1)
    change(log, log.read_bytes())
    assert by_index(log, 5) is None
    expected = sessions(log, report=lambda error: None)
    found = latest_sessions(log, 5, report=lambda error: None)
    assert (expected[-5:], len(expected)) == (found.sessions, found.count)


def test_index_that_is_wrong(write, events, event):
    """An index whose lines are of another session is not believed."""
    log = write("a.jsonl", *events)
    index(log, least_bytes=1)
    data = log.read_bytes()
    log.write_bytes(data.replace(b'"conv-11"', b'"conv-12"'))
    os.utime(log)
    expected = sessions(log)
    found = latest_sessions(log, 99)
    assert [(each.session_id, each.events) for each in expected] == [
        (each.session_id, each.events) for each in found.sessions
    ]


def test_no_log(tmp_path):
    """A file that is not there, alone, is an error."""
    with pytest.raises(ReadError):
        latest_sessions(tmp_path / "no.jsonl", 5)
